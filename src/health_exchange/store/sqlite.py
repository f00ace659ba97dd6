"""SQLite, embedded: one file, one writer, readers beside it (WAL)."""

import fcntl
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import IO, cast

from sqlalchemy import Connection, StaticPool, Table, create_engine, event
from sqlalchemy.exc import DBAPIError

from health_exchange.store.database import LIMITED, READ_S, DatabaseTakenError
from health_exchange.store.statements import insert_text

LOCK_SUFFIX = ".lock"
_STEPS = 100_000
"""Of SQLite's machine, after which it is asked whether a statement is to end: some milliseconds."""


class SqliteDatabase:
    """One file, or one database in memory."""

    def __init__(self, url: str, *, durable: bool = True) -> None:
        in_memory = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        self.engine = create_engine(url, hide_parameters=True, **(in_memory if url == "sqlite://" else {}))
        self._lock: IO[str] | None = None

        @event.listens_for(self.engine, "connect")
        def _settle(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None
            for pragma in (
                "busy_timeout=5000",
                "journal_mode=WAL",
                f"synchronous={'FULL' if durable else 'OFF'}",
                "cache_size=-65536",
                "wal_autocheckpoint=16384",
                "temp_store=MEMORY",
                "secure_delete=ON",
            ):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(self.engine, "begin")
        def _begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            writes = options.get("writes", False)
            driver = _driver(connection)
            driver.set_progress_handler(_ending(monotonic() + READ_S) if options.get(LIMITED) else None, _STEPS)
            if writes:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                # Waits for nobody and reads nothing yet, so it cannot fail.
                driver.execute("BEGIN")

    def begin_write(self, _connection: Connection) -> None:
        """BEGIN IMMEDIATE has waited already; the file's lock does not slip from a living process."""
        return

    def is_aborted(self, connection: Connection) -> bool:  # noqa: ARG002  # of PostgreSQL's kind
        """As ``Database.is_aborted``: a statement that fails takes back what it did, and no more."""
        return False

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """As ``Database.insert``."""
        connection.exec_driver_sql(insert_text(table, connection.dialect), list(rows))

    def fetch(self, connection: Connection, text: str, values: Sequence[object]) -> Sequence[tuple[object, ...]]:
        """As ``Database.fetch``."""
        try:
            return _driver(connection).execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error, hide_parameters=True) from None

    def claim(self) -> None:
        """As ``Database.claim``, by a lock on a file beside the database, which the kernel takes back from the dead.

        Raises:
            DatabaseTakenError: Another living process holds it.
        """
        path = self.engine.url.database
        if not path or self._lock is not None:
            return
        lock = Path(path + LOCK_SUFFIX).open("a")  # noqa: SIM115  # held as long as the process lives
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise DatabaseTakenError(f"another process runs a node on {Path(path).name}; stop it first") from None
        self._lock = lock

    def may_have_slipped(self) -> bool:
        """Never: a file's lock does not slip from a living process."""
        return False

    def scrub(self) -> bool:
        """As ``Database.scrub``: deleted rows are zeroed in their pages, former pages live on in the log until cut."""
        with self.engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            busy: int = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] if raw else 1
        return busy == 0

    def close(self) -> None:
        """As ``Database.close``."""
        self.engine.dispose()
        if self._lock is not None:
            self._lock.close()


def _driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection under SQLAlchemy's."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _ending(at: float) -> Callable[[], bool]:
    """Says that a statement is to end, from then on."""
    return lambda: monotonic() > at

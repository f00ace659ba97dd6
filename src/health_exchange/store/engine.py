"""The store as a whole: one writer, many readers, group commit.

Invariant: ``write`` resolves only after the COMMIT that holds its work is durable (WAL with synchronous=FULL). Every
function runs in its own savepoint, so one that raises takes nothing of the others with it.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from health_exchange.model.clock import Clock
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.model.randomness import Randomness
from health_exchange.store import migrations
from health_exchange.store.integrator import NUMBERED, integrate
from health_exchange.store.transaction import KeyRing, StoreKeys, Transaction

__all__ = ["Store", "StoreKeys", "Transaction"]

T = TypeVar("T")


class WriteConflictError(ExchangeError):
    """A row that may exist once exists already: somebody else wrote it meanwhile."""

    category = Category.BUSY
    code = "write-conflict"


GROUP_MAX = 256
"""Most writes that share one commit."""
READERS = 2

_Work = tuple[Callable[[Transaction], Any], Future[Any]]


class Store:
    """One node's database. Made by :meth:`open`."""

    def __init__(self, engine: Engine, keys: StoreKeys, clock: Clock, randomness: Randomness, *, inline: bool) -> None:
        self._engine = engine
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self._inline = inline
        self._ring = KeyRing(keys)
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._on_commit: Callable[[AbstractSet[str]], None] = _nothing
        self._readers = None if inline else ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._writer = None if inline else threading.Thread(target=self._run, name="store-write", daemon=True)
        if self._writer is not None:
            self._writer.start()

    @classmethod
    def open(  # the parts of a store, each named at the only call
        cls,
        url: str,
        keys: StoreKeys,
        clock: Clock,
        randomness: Randomness,
        *,
        inline: bool = False,
        durable: bool = True,
    ) -> Self:
        """The store at ``url``, its schema brought up to date.

        Args:
            url: ``sqlite:////path/to/file`` or ``sqlite://`` (in memory, inline only).
            keys: What it seals with.
            clock: For expiry.
            randomness: For keys and nonces.
            inline: Everything runs in the caller's thread, deterministic: stories and tools.
            durable: ``False`` skips waiting for the disk: stories only.

        Raises:
            UnavailableError: The database cannot be opened.
        """
        if url == "sqlite://" and not inline:
            raise ValueError("a database in memory has one connection, so it runs inline")
        engine = make_engine(url, durable=durable)
        try:
            with engine.connect() as connection:
                migrations.upgrade_connection(connection)
        except DBAPIError as error:
            engine.dispose()
            raise _unavailable(error) from None
        return cls(engine, keys, clock, randomness, inline=inline)

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """What ``fn`` returns, once its changes are durable.

        Raises:
            UnavailableError: Disk full or database locked; nothing of ``fn`` was kept.
        """
        if self._inline:
            return self.write_now(fn)
        return await asyncio.wrap_future(self._submit(fn))

    def write_now(self, fn: Callable[[Transaction], T]) -> T:
        """As :meth:`write`, for callers without an event loop."""
        if not self._inline:
            return self._submit(fn).result()
        future: Future[T] = Future()
        with self._lock:
            self._commit_group([(fn, future)])
        return future.result()

    async def read(self, fn: Callable[[Transaction], T]) -> T:
        """What ``fn`` returns, seeing one consistent state."""
        if self._readers is None:
            return self.read_now(fn)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, fn)

    def read_now(self, fn: Callable[[Transaction], T]) -> T:
        """As :meth:`read`, for callers without an event loop."""
        try:
            with self._engine.connect() as connection, connection.begin():
                return fn(self._transaction(connection))
        except DBAPIError as error:
            raise _unavailable(error) from None

    def on_commit(self, ring: Callable[[AbstractSet[str]], None]) -> None:
        """Have ``ring`` called after every commit with the names of the tables written to, in the writer's thread."""
        self._on_commit = ring

    def scrub(self) -> bool:
        """Overwrite what was deleted, also in the write-ahead log; ``False`` where a reader is in the way just now.

        Deleted rows are zeroed in their pages (``secure_delete``); their former pages live on in the log until it is
        copied and cut.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        with self._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            busy: int = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] if raw else 1
        return busy == 0

    def close(self) -> None:
        """Finish what was asked and let go of the database."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        if self._writer is not None:
            self._writer.join()
        if self._readers is not None:
            self._readers.shutdown()
        self._engine.dispose()

    def _transaction(self, connection: Connection) -> Transaction:
        return Transaction(
            connection=connection, ring=self._ring, keys=self._keys, clock=self._clock, randomness=self._randomness
        )

    def _submit(self, fn: Callable[[Transaction], T]) -> Future[T]:
        if self._closed:
            raise UnavailableError("the store is closed")
        future: Future[T] = Future()
        self._queue.put((fn, future))
        return future

    def _run(self) -> None:
        """The writer: take what waits, commit it together, tell."""
        while True:
            work = self._queue.get()
            group: list[_Work] = []
            while work is not None:
                group.append(work)
                if len(group) >= GROUP_MAX or self._queue.empty():
                    break
                work = self._queue.get()
            if group:
                self._commit_group(group)
            if work is None:
                return

    def _commit_group(self, group: list[_Work]) -> None:
        """One commit for ``group``; their futures are resolved after it."""
        wanted = [(fn, future) for fn, future in group if future.set_running_or_notify_cancel()]
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        touched: set[str] = set()
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                outcomes = [(future, *self._attempt(connection, fn, touched)) for fn, future in wanted]
                if self._engine.dialect.name == "sqlite" and not NUMBERED.isdisjoint(touched):
                    integrate(self._transaction(connection))
        except DBAPIError as error:
            # A full disk may have rolled back everything, so nobody in the group is told that it was kept.
            outcomes = [(future, None, _unavailable(error)) for _fn, future in wanted]
        except BaseException as error:  # noqa: BLE001  # the writer must survive and everyone must hear
            outcomes = [(future, None, error) for _fn, future in wanted]
        self._on_commit(touched)
        for future, value, problem in outcomes:
            if problem is None:
                future.set_result(value)
            else:
                future.set_exception(problem)

    def _attempt(
        self, connection: Connection, fn: Callable[[Transaction], Any], touched: set[str]
    ) -> tuple[Any, BaseException | None]:
        """The value or the failure of one function, in its own savepoint."""
        savepoint = connection.begin_nested()
        try:
            tx = self._transaction(connection)
            value = fn(tx)
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.IntegrityError):
                savepoint.rollback()
                # Ours in its place: the driver's text quotes what was written.
                return None, WriteConflictError("another write was faster", retry_after_s=0.1)
            raise
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            savepoint.rollback()
            return None, error
        savepoint.commit()
        touched |= tx.touched
        return value, None


def _nothing(_touched: AbstractSet[str]) -> None:
    """Nobody wants to know."""


def make_engine(url: str, *, durable: bool = True) -> Engine:
    """An engine with explicit transactions, as savepoints and a single writer need."""
    if url == "sqlite://":
        engine = create_engine(
            url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
        )
    else:
        engine = create_engine(url, hide_parameters=True)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
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

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _unavailable(error: DBAPIError) -> UnavailableError:
    """Ours, without the statement and its values."""
    name = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
    return UnavailableError(f"the database does not answer: {name}", retry_after_s=1)

"""PostgreSQL: a database of its own for each node, its writers one at a time, its bulk by COPY.

A write waits for an advisory lock that lasts until its transaction ends, so that several processes of one node write
one after another and commit in groups. Who the node is stands in ``node_state``: a process that lost its claim (the
server was restarted, another process took over) learns so under the lock, before it writes.
"""

import select
from collections.abc import Iterable, Sequence
from functools import cache
from struct import pack
from typing import Any, cast

import psycopg
from psycopg import IsolationLevel
from psycopg.errors import LockNotAvailable
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import DBAPIError

from health_exchange.model.secrecy import Secret
from health_exchange.store.database import LIMITED, READ_S, RUN, DatabaseTakenError, unavailable
from health_exchange.store.statements import insert_text
from health_exchange.store.token_lists import TokenList

CONNECT_S = 5
LOCK_S = 5
"""How long a write waits for the others."""
STATEMENT_S = 60
VANISHED_MS = 10_000
"""How long what was sent to a server may stay without any sign that it arrived."""
COPY_FROM = 8
"""Fewer rows than this are quicker inserted than copied."""
_WRITER, _NODE = 0x6865616C, 0x6E6F6465
"""Keys of advisory locks: who writes, and whose database it is."""
_OPTIONS = " ".join(
    (
        f"-c statement_timeout={STATEMENT_S}s",
        f"-c lock_timeout={LOCK_S}s",
        f"-c idle_in_transaction_session_timeout={STATEMENT_S}s",
        # Where a node's machine has vanished, the server lets go of its claim as soon.
        "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3",
    )
)

_INT8_OID = 20
_LOCK = f"SELECT pg_advisory_xact_lock({_WRITER}); SELECT value FROM node_state WHERE name = '{RUN}'"  # noqa: S608  # constants
_COPY_TYPES = {
    BigInteger: "int8",
    Boolean: "bool",
    Integer: "int4",
    LargeBinary: "bytea",
    Text: "text",
    TokenList: "bytea",
}


class PostgresqlDatabase:
    """One database on a server, and the roles that its administrator gave the node.

    Args:
        url: ``postgresql+psycopg://user@host:port/name``.
        password: Where the server asks for one.
        durable: ``False`` lets commits return before they are on the disk: stories only.
    """

    def __init__(self, url: str, *, password: Secret | None = None, durable: bool = True) -> None:
        options = _OPTIONS if durable else f"{_OPTIONS} -c synchronous_commit=off"
        self.engine = create_engine(
            make_url(url).set(password=password.raw.decode()) if password is not None else url,
            hide_parameters=True,
            paramstyle="format",
            connect_args={
                "connect_timeout": CONNECT_S,
                # A server that has vanished without a word is noticed, not waited for.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": VANISHED_MS,
                "options": options,
                "application_name": "health-exchange",
                "prepare_threshold": 3,
            },
        )
        self._claim: psycopg.Connection[Any] | None = None

        @event.listens_for(self.engine, "begin")
        def _begin(connection: Connection) -> None:
            # Not said to the server yet: the driver begins the transaction with the first statement, and says it there.
            driver, options = _driver(connection), connection.get_execution_options()
            writes = options.get("writes", False)
            driver.isolation_level = None if writes else IsolationLevel.REPEATABLE_READ
            driver.read_only = None if writes else True
            if options.get(LIMITED):
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(1000 * READ_S)}")

    def begin_write(self, connection: Connection) -> str | None:
        """As ``Database.begin_write``: one way to the server and back for the lock and what is read under it."""
        cursor = _driver(connection).cursor()
        try:
            cursor.execute(_LOCK)
            cursor.nextset()
            row = cursor.fetchone()
        except psycopg.Error as error:
            is_dead = not isinstance(error, LockNotAvailable)
            if is_dead:
                # What else is in the pool is as old as this one.
                self.engine.dispose()
            raise wrapped(error, is_dead=is_dead) from None
        return bytes(row[0]).decode() if row is not None else None

    def is_aborted(self, connection: Connection) -> bool:
        """As ``Database.is_aborted``."""
        return _driver(connection).info.transaction_status == TransactionStatus.INERROR

    def insert(self, connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """As ``Database.insert``, by COPY where it pays."""
        if len(rows) < COPY_FROM:
            connection.exec_driver_sql(insert_text(table, connection.dialect), list(rows))
            return
        text, types = _copying(table)
        try:
            with _driver(connection).cursor().copy(text) as copy:
                copy.set_types(types)
                for row in _with_packed_lists(table, rows):
                    copy.write_row(row)
        except psycopg.Error as error:
            raise wrapped(error) from None

    def fetch(self, connection: Connection, text: str, values: Sequence[object]) -> Sequence[tuple[object, ...]]:
        """As ``Database.fetch``."""
        driver = _driver(connection)
        try:
            return driver.execute(text, values).fetchall()
        except psycopg.Error as error:
            if driver.closed:
                # What else is in the pool is as old as this one.
                self.engine.dispose()
                connection.invalidate()
            raise wrapped(error, is_dead=connection.invalidated) from None

    def claim(self) -> None:
        """As ``Database.claim``, by an advisory lock that the server takes back when the connection ends.

        Raises:
            DatabaseTakenError: Another process holds it.
            UnavailableError: The server does not answer.
        """
        if self._claim is not None:
            if _answers(self._claim):
                return
            # What else is in the pool is as old.
            self.engine.dispose()
        connection = self._detached()
        try:
            taken = connection.execute("SELECT pg_try_advisory_lock(%s)", [_NODE]).fetchone()
        except psycopg.Error as error:
            # What else is in the pool is as old as this one.
            connection.close()
            self.engine.dispose()
            raise unavailable(wrapped(error)) from None
        if taken is None or not taken[0]:
            connection.close()
            raise DatabaseTakenError(
                f"another process runs a node on database {self.engine.url.database}; stop it first"
            )
        self._claim = connection

    def may_have_slipped(self) -> bool:
        """As ``Database.may_have_slipped``: on a connection that waits for nothing, anything to read is its end."""
        if self._claim is None or self._claim.closed:
            return self._claim is not None
        waiting = select.poll()
        waiting.register(self._claim.fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def _detached(self) -> "psycopg.Connection[Any]":
        """A connection that is nobody else's and outside transactions."""
        try:
            pooled = self.engine.raw_connection()
        except psycopg.Error as error:
            # This way in, the engine leaves the driver's errors as they are.
            raise unavailable(wrapped(error)) from None
        connection = cast("psycopg.Connection[Any]", pooled.driver_connection)
        pooled.detach()
        connection.autocommit = True
        return connection

    def scrub(self) -> bool:
        """As ``Database.scrub``; what it takes on PostgreSQL is the server's (``docs/operators/postgresql.md``)."""
        return True

    def close(self) -> None:
        """As ``Database.close``."""
        if self._claim is not None:
            self._claim.close()
        self.engine.dispose()


def wrapped(error: psycopg.Error, *, is_dead: bool = False) -> DBAPIError:
    """A driver's error as SQLAlchemy would have raised it, without what was written; whether its connection is dead."""
    return DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=is_dead)  # type: ignore[return-value]  # ours is one of the driver's, so it comes back wrapped


def _driver(connection: Connection) -> "psycopg.Connection[Any]":
    """The driver's own connection under SQLAlchemy's."""
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _answers(connection: "psycopg.Connection[Any]") -> bool:
    """Whether a connection is still one."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        connection.close()
        return False
    return True


def _with_packed_lists(table: Table, rows: Sequence[tuple[object, ...]]) -> Iterable[tuple[object, ...]]:
    """Rows with each token list as COPY carries it: the driver would dump number by number."""
    places = [place for place, column in enumerate(table.columns) if isinstance(column.type, TokenList)]
    for place in places:
        rows = [(*row[:place], packed_array(row[place]), *row[place + 1 :]) for row in rows]  # type: ignore[arg-type]  # a list
    return rows


def packed_array(numbers: Sequence[int] | None) -> bytes | None:
    """``bigint[]`` in PostgreSQL's binary form: dimensions, whether there are nulls, type, length, lower bound, items.

    Source: PostgreSQL's ``array_send`` (src/backend/utils/adt/arrayfuncs.c) and ``int8send``.
    """
    if numbers is None:
        return None
    if not numbers:
        return pack("!iii", 0, 0, _INT8_OID)
    items = [each for number in numbers for each in (8, number)]
    return pack(f"!iiiii{'iq' * len(numbers)}", 1, 0, _INT8_OID, len(numbers), 1, *items)


@cache
def _copying(table: Table) -> tuple[str, list[str]]:
    """The COPY of whole rows, and the types it takes."""
    names = ", ".join(table.columns.keys())
    types = [_COPY_TYPES[type(column.type)] for column in table.columns]
    return f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)", types

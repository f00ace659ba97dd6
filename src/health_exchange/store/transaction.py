"""One transaction: a connection inside a write or a read, and what its questions need beside it."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    CursorResult,
    Executable,
    Select,
    Table,
    UpdateBase,
    bindparam,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from health_exchange.crypto.sealing import SealBrokenError, unwrap_key, wrap_key
from health_exchange.model.clock import Clock
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.store.database import Database, TooSlowError
from health_exchange.store.schema import sequences
from health_exchange.store.statements import Prepared, compiled, prepared

_ALLOCATE = (
    update(sequences)
    .where(sequences.c.name == bindparam("sequence"))
    .values(last=sequences.c.last + bindparam("count"))
    .returning(sequences.c.last)
)
KEYS_CACHED_MAX = 20_000
IN_MAX = 500
"""Most values of one IN list; far below what either database bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKeys:
    """What the store seals with.

    Attributes:
        at_rest: Wraps subject and period keys.
        tokens: Makes search tokens.
        at_rest_now: The keys that wrap as they are kept now, the newest first; asked before anything is wrapped and
            where something does not open. Empty where they never change while the store is open.
    """

    at_rest: Secret
    tokens: Secret
    at_rest_now: Callable[[], tuple[Secret, ...]] = tuple


class KeyRing:
    """Unwraps keys and remembers the latest ones, by their wrapped bytes: a rolled-back key is never mistaken.

    While the key that wraps is being replaced, some keys are wrapped by it and some by the one before. Whoever wraps
    looks first which is the newest, inside its transaction: once that is another one and all earlier transactions
    have ended, nothing is wrapped by the old one any more.
    """

    def __init__(self, keys: StoreKeys) -> None:
        self._now = keys.at_rest_now
        self._at_rest = keys.at_rest_now() or (keys.at_rest,)
        self._before: tuple[Secret, ...] = ()
        self._known: OrderedDict[bytes, Secret] = OrderedDict()

    def wrap(self, key: Secret) -> bytes:
        """``key`` as it is kept."""
        self._look()
        return wrap_key(self._at_rest[0], key)

    def rewrap(self, wrapped: bytes) -> bytes:
        """What is kept as ``wrapped``, under the newest key; the same bytes where it is so already."""
        return self.wrap(self._open(wrapped))

    def unwrap(self, wrapped: bytes) -> Secret:
        """The key that is kept as ``wrapped``.

        Raises:
            SealBrokenError: It was wrapped by another node.
        """
        key = self._known.get(wrapped)
        if key is None:
            key = self._known[wrapped] = self._open(wrapped)
            if len(self._known) > KEYS_CACHED_MAX:
                self._known.popitem(last=False)
        return key

    def _open(self, wrapped: bytes) -> Secret:
        """The key in ``wrapped``, by whichever key it was wrapped."""
        for again in (False, True):
            if again:
                self._look()
            # Those before stay at hand for who still reads what was there before they were replaced.
            for at_rest in (*self._at_rest, *self._before):
                try:
                    return unwrap_key(at_rest, wrapped)
                except SealBrokenError:
                    continue
        raise SealBrokenError("the wrapped key does not open")

    def _look(self) -> None:
        """Go by the keys as they are kept now."""
        now = self._now()
        if now and now != self._at_rest:
            self._before, self._at_rest = self._at_rest, now
            self._known.clear()

    def forget(self, wrapped: bytes) -> None:
        """Drop a key that is being destroyed."""
        self._known.pop(wrapped, None)


def is_database_away(error: BaseException) -> bool:
    """Whether an error says that the database itself cannot go on (locked, disk full), whatever was asked of it."""
    return isinstance(error, DBAPIError) and not isinstance(error, IntegrityError)


@dataclass(slots=True, kw_only=True)
class Transaction:
    """What functions of the store take first.

    Attributes:
        connection: Inside its transaction; nobody commits it but the store.
        database: What the connection leads to.
        ring: Unwraps subject and period keys.
        keys: Node keys for sealing and tokens.
        touched: Names of the tables that were written to, for whoever waits for news in them.
        counted: What is counted for operators if this is committed (``meters``).
        ends_at: When a read that may take long must end, by the monotonic clock; ``None`` for any other.
    """

    connection: Connection
    database: Database
    ring: KeyRing
    keys: StoreKeys
    clock: Clock
    randomness: Randomness
    touched: set[str] = field(default_factory=set)
    counted: Counter[str] = field(default_factory=Counter)
    ends_at: float | None = None

    def execute(self, statement: Executable, parameters: Mapping[str, object] | None = None) -> CursorResult[Any]:
        """Run one statement.

        Raises:
            TooSlowError: The transaction has taken as long as it may.
        """
        self._check_time()
        if isinstance(statement, UpdateBase):
            self.touched.add(statement.table.description)
        return self.connection.execute(statement, parameters or {})

    def rows(self, statement: Select[Any], parameters: Mapping[str, object]) -> Sequence[Any]:
        """The rows of a SELECT that was made once at import, compiled once and straight from the driver.

        Raises:
            TooSlowError: As :meth:`execute`.
        """
        return self.fetch(prepared(statement, self.connection.dialect), parameters)

    def fetch(self, statement: Prepared, parameters: Mapping[str, object]) -> Sequence[Any]:
        """As :meth:`rows`."""
        self._check_time()
        return statement.rows(self.database.fetch(self.connection, statement.text, statement.values(parameters)))

    def _check_time(self) -> None:
        """Raise where the transaction has taken as long as it may."""
        if self.ends_at is not None and monotonic() > self.ends_at:
            raise TooSlowError

    def insert_many(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert whole rows, their values in the order of the table's columns and as the driver wants them."""
        if rows:
            self.touched.add(table.name)
            self.database.insert(self.connection, table, rows)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is done inside is undone where it raises, and nothing else."""
        nested = self.connection.begin_nested()
        try:
            yield
        except BaseException:
            nested.rollback()
            raise
        nested.commit()

    def run_many(self, statement: UpdateBase, rows: Sequence[Mapping[str, object]]) -> None:
        """Run one statement for each row, compiled once and straight on the driver."""
        if not rows:
            return
        self.touched.add(statement.table.description)
        text, order = compiled(statement, self.connection.dialect)
        self.connection.exec_driver_sql(text, [tuple([row[name] for name in order]) for row in rows])

    def allocate(self, name: str, count: int = 1) -> int:
        """The first of ``count`` new numbers of the sequence ``name``, gapless: a rollback gives them back."""
        last: int | None = self.execute(_ALLOCATE, {"sequence": name, "count": count}).scalar_one_or_none()
        if last is None:
            self.insert_many(sequences, [(name, count)])
        return 1 if last is None else last - count + 1


_T = TypeVar("_T")


def chunks(values: Iterable[_T], size: int = IN_MAX) -> Iterable[list[_T]]:
    """``values`` in lists short enough for one IN."""
    listed = list(values)
    return (listed[start : start + size] for start in range(0, len(listed), size))

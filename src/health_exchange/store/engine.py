"""The store as a whole: one writer, many readers, group commit.

Invariant: ``write`` resolves only after the COMMIT that holds its work is durable. Writes that wait share a commit, and
those of one kind (``write_each``) a call and its statements; every read has a transaction of its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError

from health_exchange.model.clock import Clock
from health_exchange.model.errors import ExchangeError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.store import migrations, node_state
from health_exchange.store.database import LIMITED, READ_S, RUN, Database, UnkeepableError, unavailable
from health_exchange.store.lane import Lane
from health_exchange.store.meters import Meters
from health_exchange.store.opening import open_database
from health_exchange.store.transaction import KeyRing, StoreKeys, Transaction
from health_exchange.store.waiting import Waiting
from health_exchange.store.writer import Work, Writer

__all__ = ["Store", "StoreKeys", "Transaction"]

T = TypeVar("T")
Q = TypeVar("Q")

READERS = 2


class Store:
    """One node's database. Made by :meth:`open`."""

    def __init__(
        self, database: Database, keys: StoreKeys, clock: Clock, randomness: Randomness, *, inline: bool
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self._inline = inline
        self._ring = KeyRing(keys)
        self._closed = False
        self._writer = Writer(database, self._transaction, clock, inline=inline)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._lane = Lane()

    @classmethod
    def open(  # the parts of a store, each named at the only call
        cls,
        url: str,
        keys: StoreKeys,
        clock: Clock,
        randomness: Randomness,
        *,
        password: Secret | None = None,
        upgrades: bool = True,
        inline: bool = False,
        durable: bool = True,
    ) -> Self:
        """The store at ``url``, its schema the one that this release works with.

        Args:
            url: As ``opening.open_database`` takes it; ``sqlite://`` (in memory) inline only.
            keys: What it seals with.
            clock: For expiry.
            randomness: For keys and nonces.
            password: Of the database's role, where the server asks for one.
            upgrades: Whether to bring an earlier schema up to date, not only an empty database: not for what works
                beside a node, whose schema it is.
            inline: Everything runs in the caller's thread, deterministic: stories and tools.
            durable: ``False`` skips waiting for the disk: stories only.

        Raises:
            UnavailableError: The database cannot be opened.
            SchemaError: Its schema is of a later release, or of an earlier one that may not be changed here.
        """
        if url == "sqlite://" and not inline:
            raise ValueError("a database in memory has one connection, so it runs inline")
        database = open_database(url, password=password, durable=durable)
        try:
            with database.engine.connect().execution_options(writes=True) as connection:
                standing = migrations.standing_of(connection)
                if upgrades or not standing.revision:
                    migrations.upgrade_connection(connection)
                else:
                    standing.check()
        except DBAPIError as error:
            database.close()
            raise unavailable(error) from None
        except ExchangeError:
            database.close()
            raise
        return cls(database, keys, clock, randomness, inline=inline)

    def claim(self, run: str) -> None:
        """Be this database's node, under a name that no other run has.

        Raises:
            DatabaseTakenError: Another process is; nothing was changed.
            UnavailableError: The database does not answer.
        """
        self._writer.claim()
        self.write_now(lambda tx: node_state.put(tx, RUN, run.encode()))
        self._writer.join(run)

    def join(self, run: str) -> None:
        """Write for the node whose run this is, and for no other: one of its further processes does."""
        self._writer.join(run)

    @property
    def meters(self) -> Meters:
        """What this process counts."""
        return self._writer.meters

    @property
    def refusal(self) -> str:
        """What the database said when it last refused a commit, for a while; empty since one was kept."""
        return self._writer.refusal

    async def write(self, fn: Callable[[Transaction], T]) -> T:
        """What ``fn`` returns, once its changes are durable.

        Raises:
            UnavailableError: Disk full or database locked; nothing of ``fn`` was kept.
        """
        return await self._written(_alone(fn), None, is_shared=False)

    async def write_each(self, fn: Callable[[Transaction, Sequence[Q]], Sequence[T]], item: Q) -> T:
        """What ``fn`` returns for an item, once it is durable; it is called once for all items that wait.

        Raises:
            UnavailableError: As :meth:`write`.
        """
        return await self._written(fn, item, is_shared=True)

    def write_now(self, fn: Callable[[Transaction], T]) -> T:
        """As :meth:`write`, for callers without an event loop."""
        waiting: Waiting[T] = Waiting(None)
        self._writer.do(Work(_alone(fn), None, waiting, is_shared=False))
        value: T = waiting.future.result()
        return value

    async def read(self, fn: Callable[[Transaction], T], *, asker: str | None = None) -> T:
        """What ``fn`` returns, seeing one consistent state.

        Args:
            fn: Reads.
            asker: For what may take long, who asks: it is bounded in time, and waits its turn among others like it.

        Raises:
            TooSlowError: It takes longer than ``READ_S``; or ``CrowdedError``, its turn does not come.
        """
        if self._inline:
            return self.read_now(fn)
        if asker is not None:
            return await self._lane.run(asker, partial(self.read_now, fn, limited=True))
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, fn)

    def read_now(self, fn: Callable[[Transaction], T], *, limited: bool = False) -> T:
        """As :meth:`read`, for callers without an event loop."""
        try:
            return self._read_once(fn, limited=limited)
        except DataError:
            raise UnkeepableError("a value of the request is none that a database can look for") from None
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise unavailable(error, limited=limited) from None
        # The server was restarted, and all connections at hand are dead: a read may be tried again.
        try:
            return self._read_once(fn, limited=limited)
        except DBAPIError as error:
            raise unavailable(error, limited=limited) from None

    def on_commit(self, ring: Callable[[AbstractSet[str]], None]) -> None:
        """Have ``ring`` called after every commit with the names of the tables written to, in the writer's thread."""
        self._writer.on_commit = ring

    def scrub(self) -> bool:
        """Overwrite what was deleted, as far as the database lets us; ``False`` where a reader is in the way now."""
        return self._database.scrub()

    def close(self) -> None:
        """Finish what was asked and let go of the database."""
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        self._readers.shutdown()
        self._lane.close()
        self._database.close()

    async def _written(self, fn: Callable[[Transaction, Sequence[Q]], Sequence[T]], item: Q, *, is_shared: bool) -> T:
        waiting: Waiting[T] = Waiting(None if self._inline else asyncio.get_running_loop())
        self._writer.do(Work(fn, item, waiting, is_shared=is_shared))
        value: T = waiting.future.result() if self._inline else await waiting.future
        return value

    def _read_once(self, fn: Callable[[Transaction], T], *, limited: bool) -> T:
        with self._database.engine.connect() as connection:
            if limited:
                connection.execution_options(**{LIMITED: True})
            with connection.begin():
                tx = self._transaction(connection)
                tx.ends_at = monotonic() + READ_S if limited else None
                return fn(tx)

    def _transaction(self, connection: Connection) -> Transaction:
        return Transaction(
            connection=connection,
            database=self._database,
            ring=self._ring,
            keys=self._keys,
            clock=self._clock,
            randomness=self._randomness,
        )


def _alone(fn: Callable[[Transaction], T]) -> Callable[[Transaction, Sequence[Any]], Sequence[T]]:
    """A function for one who asks, as one for all who ask the same."""
    return lambda tx, _items: [fn(tx)]

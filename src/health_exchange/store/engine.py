"""The store as a whole: one writer, many readers, group commit.

Invariant: ``write`` resolves only after the COMMIT that holds its work is durable. Every function runs in its own
savepoint, so one that raises takes nothing of the others with it. Several processes may have a store on one database:
whoever writes, writes alone (``database``).
"""

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from time import monotonic, perf_counter
from typing import Any, Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from health_exchange.model.clock import Clock
from health_exchange.model.errors import ExchangeError, UnavailableError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.store import migrations, node_state
from health_exchange.store.database import (
    LIMITED,
    READ_S,
    RUN,
    Database,
    DatabaseTakenError,
    not_kept,
    unavailable,
)
from health_exchange.store.lane import Lane
from health_exchange.store.meters import Meters
from health_exchange.store.opening import open_database
from health_exchange.store.transaction import KeyRing, StoreKeys, Transaction
from health_exchange.telemetry.families import COMMIT_SECONDS
from health_exchange.telemetry.metrics import observed

__all__ = ["Store", "StoreKeys", "Transaction"]

T = TypeVar("T")


GROUP_MAX = 256
"""Most writes that share one commit."""
READERS = 2
REFUSED = timedelta(seconds=10)
"""How long a refused commit is told of by a process that has written nothing since."""
METERS_S = 2.0
"""How often an idle writer looks whether counts wait to be handed in."""

_Work = tuple[Callable[[Transaction], Any], Future[Any]]
_Outcome = tuple[Future[Any], Any, BaseException | None]


class Store:
    """One node's database. Made by :meth:`open`."""

    def __init__(
        self, database: Database, keys: StoreKeys, clock: Clock, randomness: Randomness, *, inline: bool
    ) -> None:
        self._database = database
        self._run_id = ""
        self._claims = False
        self._claim_may_have_slipped = False
        self._refused: tuple[str, datetime] | None = None
        self._keys = keys
        self._clock = clock
        self._randomness = randomness
        self._inline = inline
        self._ring = KeyRing(keys)
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self.meters = Meters()
        self._on_commit: Callable[[AbstractSet[str]], None] = _nothing
        self._readers = None if inline else ThreadPoolExecutor(READERS, thread_name_prefix="store-read")
        self._lane = None if inline else Lane()
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
        self._database.claim()
        self._claims = True
        self.write_now(lambda tx: node_state.put(tx, RUN, run.encode()))
        self._run_id = run

    def join(self, run: str) -> None:
        """Write for the node whose run this is, and for no other: one of its further processes does."""
        self._run_id = run

    @property
    def refusal(self) -> str:
        """What the database said when it last refused a commit, for a while; empty since one was kept."""
        if self._refused is None or self._clock.now() - self._refused[1] > REFUSED:
            return ""
        return self._refused[0]

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

    async def read(self, fn: Callable[[Transaction], T], *, asker: str | None = None) -> T:
        """What ``fn`` returns, seeing one consistent state.

        Args:
            fn: Reads.
            asker: For what may take long, who asks: it is bounded in time, and waits its turn among others like it.

        Raises:
            TooSlowError: It takes longer than ``READ_S``; or ``CrowdedError``, its turn does not come.
        """
        if self._readers is None or self._lane is None:
            return self.read_now(fn)
        if asker is not None:
            return await self._lane.run(asker, partial(self.read_now, fn, limited=True))
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, fn)

    def read_now(self, fn: Callable[[Transaction], T], *, limited: bool = False) -> T:
        """As :meth:`read`, for callers without an event loop."""
        try:
            return self._read_once(fn, limited=limited)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise unavailable(error) from None
        # The server was restarted, and all connections at hand are dead: a read may be tried again.
        try:
            return self._read_once(fn, limited=limited)
        except DBAPIError as error:
            raise unavailable(error) from None

    def _read_once(self, fn: Callable[[Transaction], T], *, limited: bool) -> T:
        with self._database.engine.connect() as connection:
            if limited:
                connection.execution_options(**{LIMITED: True})
            with connection.begin():
                tx = self._transaction(connection)
                tx.ends_at = monotonic() + READ_S if limited else None
                return fn(tx)

    def on_commit(self, ring: Callable[[AbstractSet[str]], None]) -> None:
        """Have ``ring`` called after every commit with the names of the tables written to, in the writer's thread."""
        self._on_commit = ring

    def scrub(self) -> bool:
        """Overwrite what was deleted, as far as the database lets us; ``False`` where a reader is in the way now."""
        return self._database.scrub()

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
        if self._lane is not None:
            self._lane.close()
        self._database.close()

    def _transaction(self, connection: Connection) -> Transaction:
        return Transaction(
            connection=connection,
            database=self._database,
            ring=self._ring,
            keys=self._keys,
            clock=self._clock,
            randomness=self._randomness,
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
            try:
                work = self._queue.get(timeout=METERS_S)
            except queue.Empty:
                if self.meters.is_due():
                    self._commit_group([])
                continue
            group: list[_Work] = []
            while work is not None:
                group.append(work)
                if len(group) >= GROUP_MAX or self._queue.empty():
                    break
                work = self._queue.get()
            if group:
                self._commit_group(group)
            if work is None:
                self.meters.hurry()
                self._commit_group([])
                return

    def _commit_group(self, group: list[_Work]) -> None:
        """One commit for ``group``; their futures are resolved after it."""
        wanted = [(fn, future) for fn, future in group if future.set_running_or_notify_cancel()]
        outcomes: list[_Outcome] = []
        touched: set[str] = set()
        counted: Counter[str] = Counter()
        begun, is_kept = perf_counter(), False
        try:
            with self._begun() as connection:
                alone = len(wanted) == 1 and not self.meters.is_due()
                attempt = partial(self._attempt, connection, touched=touched, counted=counted, alone=alone)
                outcomes = [(future, *attempt(fn)) for fn, future in wanted]
                if not alone and self.meters.is_due():
                    self.meters.hand_in(self._transaction(connection))
        except DBAPIError as error:
            # A full disk may have rolled back everything, so nobody in the group is told that it was kept.
            self._claim_may_have_slipped = True
            refusal = unavailable(error)
            self._refused = refusal.detail, self._clock.now()
            outcomes = [(future, None, refusal) for _fn, future in wanted]
        except BaseException as error:  # noqa: BLE001  # the writer must survive and everyone must hear
            outcomes = [(future, None, error) for _fn, future in wanted]
        else:
            is_kept, self._refused = True, None
            # An empty group only hands in counts: counting it too would never end.
            took = observed(COMMIT_SECONDS, perf_counter() - begun) if group else {}
            self.meters.count(counted + Counter(took))
        self.meters.settle(is_kept=is_kept)
        self._on_commit(touched)
        for future, value, problem in outcomes:
            if problem is None:
                future.set_result(value)
            else:
                future.set_exception(problem)

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A connection inside a write's transaction, which commits at the end.

        Where the connection at hand turns out to be dead, because the server was restarted, a new one is tried: nothing
        was written yet.
        """
        with ExitStack() as stack:
            try:
                connection = self._enter(stack)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                self._claim_may_have_slipped = True
                connection = self._enter(stack)
            yield connection

    def _enter(self, stack: ExitStack) -> Connection:
        self._renew_claim()
        with ExitStack() as opening:
            connection = opening.enter_context(self._database.engine.connect().execution_options(writes=True))
            opening.enter_context(connection.begin())
            self._begin(connection)
            stack.push(opening.pop_all())
        return connection

    def _renew_claim(self) -> None:
        """Claim the database again after it was away: with the connection the server took the claim back.

        Raises:
            DatabaseTakenError: Another process was faster.
        """
        if self._claims and (self._claim_may_have_slipped or self._database.may_have_slipped()):
            self._database.claim()
        self._claim_may_have_slipped = False

    def _begin(self, connection: Connection) -> None:
        """Wait for the other writers; write nothing for a node that is another process by now.

        Raises:
            DatabaseTakenError: It is.
        """
        run = self._database.begin_write(connection)
        if self._run_id and run is not None and run != self._run_id:
            raise DatabaseTakenError("another process has taken this node's database over; this one must end")

    def _attempt(
        self,
        connection: Connection,
        fn: Callable[[Transaction], Any],
        *,
        touched: set[str],
        counted: Counter[str],
        alone: bool,
    ) -> tuple[Any, BaseException | None]:
        """The value or the failure of one function, in its own savepoint.

        Where nobody else is in the transaction, taking all of it back takes back nothing of others: it needs none.
        """
        whole = connection.get_transaction() if alone else None
        savepoint = whole or connection.begin_nested()
        try:
            tx = self._transaction(connection)
            value = fn(tx)
        except (IntegrityError, DataError) as error:
            savepoint.rollback()
            # Ours in its place: the driver's text quotes what was written.
            return None, not_kept(error)
        except DBAPIError:
            raise
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            savepoint.rollback()
            return None, error
        if not alone:
            savepoint.commit()
        touched |= tx.touched
        counted += tx.counted
        return value, None


def _nothing(_touched: AbstractSet[str]) -> None:
    """Nobody wants to know."""

"""The one writer of a process: what waits is committed together.

Every piece of work that others are committed with runs in its own savepoint, so that one that raises takes nothing of
them with it. Pieces that do the same with different items are done at once. Several processes may write to one
database: whoever writes, writes alone (``database``).
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from health_exchange.model.clock import Clock
from health_exchange.model.errors import UnavailableError
from health_exchange.store.database import Database, DatabaseTakenError, not_kept, unavailable
from health_exchange.store.meters import Meters
from health_exchange.store.transaction import Transaction
from health_exchange.store.waiting import Outcome, Waiting, tell
from health_exchange.telemetry.families import COMMIT_SECONDS
from health_exchange.telemetry.metrics import observed

GROUP_MAX = 256
"""Most pieces of work that share one commit."""
REFUSED = timedelta(seconds=10)
"""How long a refused commit is told of by a process that has written nothing since."""
METERS_S = 2.0
"""How often an idle writer looks whether counts wait to be handed in."""


class Work(NamedTuple):
    """Something to do in a transaction.

    Attributes:
        fn: Does it, for all items of those who ask for the same; gives one value for each.
        item: What it is done with.
        waiting: Is told what came of it.
        is_shared: Whether others' items may be done in the same call.
    """

    fn: Callable[[Transaction, Sequence[Any]], Sequence[Any]]
    item: Any
    waiting: Waiting[Any]
    is_shared: bool


class Writer:
    """Writes to one database.

    Args:
        database: To write to.
        begin: Makes a transaction on a connection.
        clock: For what is told of refused commits.
        inline: Whether work is done in the caller's thread instead of the writer's own.
    """

    def __init__(
        self, database: Database, begin: Callable[[Connection], Transaction], clock: Clock, *, inline: bool
    ) -> None:
        self._database, self._transaction, self._clock = database, begin, clock
        self._run_id = ""
        self._claims = False
        self._claim_may_have_slipped = False
        self._refused: tuple[str, datetime] | None = None
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self.meters = Meters()
        self.on_commit: Callable[[AbstractSet[str]], None] = _nothing
        self._thread = None if inline else threading.Thread(target=self._run, name="store-write", daemon=True)
        if self._thread is not None:
            self._thread.start()

    def claim(self) -> None:
        """Have this database be this process's.

        Raises:
            DatabaseTakenError: Another process has it; nothing was changed.
            UnavailableError: The database does not answer.
        """
        self._database.claim()
        self._claims = True

    def join(self, run: str) -> None:
        """Write for the node whose run this is, and for no other."""
        self._run_id = run

    @property
    def refusal(self) -> str:
        """What the database said when it last refused a commit, for a while; empty since one was kept."""
        if self._refused is None or self._clock.now() - self._refused[1] > REFUSED:
            return ""
        return self._refused[0]

    def do(self, work: Work) -> None:
        """Have something done; it is told of once its changes are durable.

        Raises:
            UnavailableError: The store is closed.
        """
        if self._closed:
            raise UnavailableError("the store is closed")
        if self._thread is not None:
            self._queue.put(work)
            return
        with self._lock:
            self._commit_group([work])

    def close(self) -> None:
        """Finish what was asked."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        """Take what waits, commit it together, tell."""
        while True:
            try:
                work = self._queue.get(timeout=METERS_S)
            except queue.Empty:
                if self.meters.is_due():
                    self._commit_group([])
                continue
            group: list[Work] = []
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

    def _commit_group(self, group: Sequence[Work], *, apart: bool = False) -> None:
        """One commit for ``group``; those who wait are told after it.

        Args:
            group: What waits.
            apart: Whether it has failed in a transaction that all of it had together.
        """
        wanted = [work for work in group if not work.waiting.has_left]
        pieces = list(_pieces(wanted))
        outcomes: list[Outcome] = []
        touched: set[str] = set()
        counted: Counter[str] = Counter()
        begun, is_kept = perf_counter(), False
        try:
            with self._begun() as connection:
                alone = len(pieces) == 1 and not apart and not self.meters.is_due()
                attempt = _Attempt(connection, self._transaction, self._database, touched, counted, alone=alone)
                outcomes = [outcome for piece in pieces for outcome in attempt.of(piece)]
                if not alone and self.meters.is_due():
                    self.meters.hand_in(self._transaction(connection))
        except _ApartError:
            self._commit_group(wanted, apart=True)
            return
        except DBAPIError as error:
            # A full disk may have rolled back everything, so nobody in the group is told that it was kept.
            self._claim_may_have_slipped = True
            refusal = unavailable(error)
            self._refused = refusal.detail, self._clock.now()
            outcomes = [Outcome(work.waiting, problem=refusal) for work in wanted]
        except BaseException as error:  # noqa: BLE001  # the writer must survive and everyone must hear
            outcomes = [Outcome(work.waiting, problem=error) for work in wanted]
        else:
            is_kept = True
            if not outcomes or any(outcome.problem is None for outcome in outcomes):
                self._refused = None
            # An empty group only hands in counts: counting it too would never end.
            took = observed(COMMIT_SECONDS, perf_counter() - begun) if group else {}
            self.meters.count(counted + Counter(took))
        self.meters.settle(is_kept=is_kept)
        self.on_commit(touched)
        tell(outcomes)

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


class _ApartError(Exception):
    """Works that fail together, and with them their transaction, are each to be tried in a savepoint of its own."""


class _Attempt:
    """Does pieces of work on one connection.

    Args:
        connection: Inside its transaction.
        begin: Makes a transaction on it.
        database: Whose it is.
        touched: Takes the names of tables that were written to.
        counted: Takes what was counted.
        alone: Whether there is only one piece.
    """

    def __init__(
        self,
        connection: Connection,
        begin: Callable[[Connection], Transaction],
        database: Database,
        touched: set[str],
        counted: Counter[str],
        *,
        alone: bool,
    ) -> None:
        self._connection, self._transaction, self._database = connection, begin, database
        self._touched, self._counted, self._alone = touched, counted, alone

    def of(self, piece: Sequence[Work]) -> Sequence[Outcome]:
        """What came of works of one function; where they fail together, each is tried by itself.

        Where what they need is away, it is so for each of them: none is tried again.

        Raises:
            _ApartError: They failed together, and with them the transaction.
        """
        values, problem = self._together(piece)
        if problem is None:
            return [Outcome(work.waiting, value) for work, value in zip(piece, values, strict=True)]
        if len(piece) == 1 or isinstance(problem, UnavailableError):
            return [Outcome(work.waiting, problem=problem) for work in piece]
        if self._alone:
            raise _ApartError
        return [outcome for work in piece for outcome in self.of([work])]

    def _together(self, piece: Sequence[Work]) -> tuple[Sequence[Any], BaseException | None]:
        """Values or the failure of one call, in its own savepoint.

        Where nobody else is in the transaction, taking all of it back takes back nothing of others: it needs none.
        """
        whole = self._connection.get_transaction() if self._alone else None
        savepoint = whole or self._connection.begin_nested()
        try:
            tx = self._transaction(self._connection)
            values = piece[0].fn(tx, [work.item for work in piece])
        except (IntegrityError, DataError) as error:
            savepoint.rollback()
            # Ours in its place: the driver's text quotes what was written.
            return (), not_kept(error)
        except DBAPIError:
            raise
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            savepoint.rollback()
            return (), error
        if self._alone and self._database.is_aborted(self._connection):
            # Its commit would be a rollback that nobody is told of; that of a savepoint fails.
            savepoint.rollback()
            return (), RuntimeError("a function of the store has hidden that a statement of its failed")
        if not self._alone:
            savepoint.commit()
        self._touched |= tx.touched
        self._counted += tx.counted
        return values, None


def _pieces(group: Sequence[Work]) -> Iterator[list[Work]]:
    """Works in the order they came, those that are shared together at the place of their first."""
    shared: dict[object, list[Work]] = {}
    for work in group:
        if work.is_shared:
            shared.setdefault(work.fn, []).append(work)
    for work in group:
        if not work.is_shared:
            yield [work]
        elif shared[work.fn][0] is work:
            yield shared[work.fn]


def _nothing(_touched: AbstractSet[str]) -> None:
    """Nobody wants to know."""

"""Threads of their own for reads that may take long, given to whoever asks in turn.

Nobody who reads one resource waits for a search, unless its body is long, and nobody waits for all that somebody else
asked before.
Whoever has a turn has what he waits for read in it, one after another, for some milliseconds: two threads in one
interpreter hinder each other, and to wake one for each read costs more than a quick read does. Behind a read that is
not quick, the asker's next begin beside it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.store.waiting import Outcome, Waiting, settle, tell

T = TypeVar("T")

THREADS = 3
WAIT_S = 25.0
"""How long one waits for a thread: longer than any read takes, which is ``READ_S`` and its last statement's."""
QUICK_S = 0.05
"""What takes longer is not quick."""
TURN_S = 0.01
"""Another read of the turn begins within this time."""


class CrowdedError(ExchangeError):
    """Too many long reads are under way to begin another one in time."""

    category = Category.BUSY
    code = "crowded"


class _Read:
    """One read, and who waits for it."""

    __slots__ = ("fn", "is_begun", "waiting")

    def __init__(self, fn: Callable[[], Any], waiting: Waiting[Any]) -> None:
        self.fn = fn
        self.waiting = waiting
        self.is_begun = False

    def outcome(self) -> Outcome:
        """Read, in a thread."""
        self.is_begun = True
        try:
            return Outcome(self.waiting, self.fn())
        except BaseException as error:  # noqa: BLE001  # handed to whoever waits
            return Outcome(self.waiting, problem=error)


class _Turn:
    """A thread's time for one asker.

    Attributes:
        asker: Whose it is.
        begun_at: When the read that is under way was begun.
        outcomes: What has been read and not been told.
    """

    __slots__ = ("asker", "begun_at", "outcomes")

    def __init__(self, asker: str) -> None:
        self.asker = asker
        self.begun_at = monotonic()
        self.outcomes: deque[Outcome] = deque()

    def tell(self) -> None:
        """Tell those who wait, in their event loop."""
        settle([self.outcomes.popleft() for _ in range(len(self.outcomes))])


class Lane:
    """The threads, and who waits for one. Used from one event loop."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store-search")
        self._free = threads
        # One thread is always another's.
        self._most = max(1, threads - 1)
        self._is_closed = False
        # Of everybody who waits or has a turn; who has had one stands last.
        self._reads: OrderedDict[str, deque[_Read]] = OrderedDict()
        self._turns: dict[str, list[_Turn]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, asker: str, fn: Callable[[], T]) -> T:
        """What ``fn`` returns, once it is ``asker``'s turn.

        Raises:
            CrowdedError: It was not within ``WAIT_S``.
            UnavailableError: The store is closed.
        """
        if self._is_closed:
            raise _closed()
        loop = asyncio.get_running_loop()
        read = _Read(fn, Waiting[T](loop))
        self._reads.setdefault(asker, deque()).append(read)
        if self._may_begin(asker):
            self._begin(asker)
        late = loop.call_later(WAIT_S, _give_up, read)
        try:
            value: T = await read.waiting.future
        finally:
            late.cancel()
        return value

    def close(self) -> None:
        """Let those under way end; no other begins, and who waits is told so."""
        self._is_closed = True
        tell(Outcome(read.waiting, problem=_closed()) for reads in self._reads.values() for read in list(reads))
        self._pool.shutdown()

    def _may_begin(self, asker: str) -> bool:
        """Whether a thread is free and an asker may have it: his first, or one beside a read that is not quick."""
        if not self._free or self._is_closed:
            return False
        under_way = self._turns.get(asker)
        if not under_way:
            return True
        return len(under_way) < self._most and monotonic() - min(turn.begun_at for turn in under_way) >= QUICK_S

    def _begin(self, asker: str) -> None:
        """Give an asker a turn."""
        turn = _Turn(asker)
        self._free -= 1
        self._turns.setdefault(asker, []).append(turn)
        self._reads.move_to_end(asker)
        self._pool.submit(self._take, turn, self._reads[asker], asyncio.get_running_loop())
        self._look_later()

    def _take(self, turn: _Turn, reads: deque[_Read], loop: asyncio.AbstractEventLoop) -> None:
        """Read what an asker waits for, in a thread, until his time is over; only one where somebody else is here."""
        until = turn.begun_at + TURN_S
        with suppress(IndexError):
            while True:
                read = reads.popleft()
                if not read.waiting.has_left:
                    turn.begun_at = monotonic()
                    turn.outcomes.append(read.outcome())
                    if len(self._reads) > 1 or monotonic() >= until:
                        break
        # Also where nobody waits for it any more: the thread is free now, and not before.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end, turn)

    def _end(self, turn: _Turn) -> None:
        """Take a thread back, and give it to the next who waits: one of each asker, and from the first again."""
        turn.tell()
        self._free += 1
        self._turns[turn.asker].remove(turn)
        if not self._turns[turn.asker]:
            del self._turns[turn.asker]
            if not self._reads[turn.asker]:
                del self._reads[turn.asker]
        self._begin_those_who_may()

    def _begin_those_who_may(self) -> None:
        """Give the threads that are free to those who wait."""
        for asker in list(self._reads):
            if self._reads[asker] and self._may_begin(asker):
                self._begin(asker)

    def _look_later(self) -> None:
        """See again, as long as anybody has a turn, when a read under way will have kept others waiting."""
        if self._timer is None and self._turns:
            now = monotonic()
            left_s = [turn.begun_at + QUICK_S - now for turns in self._turns.values() for turn in turns]
            wait_s = min((each for each in left_s if each > 0), default=QUICK_S)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _look(self) -> None:
        """Tell what was read before one that takes long, and begin beside it."""
        self._timer = None
        for turns in self._turns.values():
            for turn in turns:
                turn.tell()
        self._begin_those_who_may()
        self._look_later()


def _closed() -> UnavailableError:
    return UnavailableError("the store is closed")


def _give_up(read: _Read) -> None:
    """Tell one whose turn has not come."""
    if not read.is_begun:
        problem = CrowdedError("too many long reads are under way here; send the request again", retry_after_s=WAIT_S)
        settle([Outcome(read.waiting, problem=problem)])

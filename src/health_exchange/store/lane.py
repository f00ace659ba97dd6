"""Threads of their own for reads that may take long, given to whoever asks in turn.

Nobody who reads one resource waits for a search, and nobody's search waits for all that somebody else asked before.
One asker's searches that are quick come one after another, for two threads in one interpreter hinder each other; behind
one that is not, the next begins beside it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from health_exchange.model.errors import Category, ExchangeError

T = TypeVar("T")

THREADS = 3
WAIT_S = 25.0
"""How long one waits for a thread: longer than any read takes, which is ``READ_S`` and its last statement's."""
QUICK_S = 0.05
"""What takes longer is not quick."""


class CrowdedError(ExchangeError):
    """Too many long reads are under way to begin another one in time."""

    category = Category.BUSY
    code = "crowded"


class Lane:
    """The threads, and who waits for one. Used from one event loop."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store-search")
        self._free = threads
        # One thread is always another's.
        self._most = max(1, threads - 1)
        # Of each asker, when those under way were begun, the oldest first.
        self._begun_at: dict[str, list[float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: OrderedDict[str, deque[asyncio.Future[float]]] = OrderedDict()

    async def run(self, asker: str, fn: Callable[[], T]) -> T:
        """What ``fn`` returns, once it is ``asker``'s turn.

        Raises:
            CrowdedError: It was not within ``WAIT_S``.
        """
        begun_at = await self._turn(asker)
        loop = asyncio.get_running_loop()
        under_way = self._pool.submit(fn)

        def ended(_future: Future[T]) -> None:
            # Also where nobody waits for it any more: the thread is free now, and not before.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._pass_on, asker, begun_at)

        under_way.add_done_callback(ended)
        return await asyncio.wrap_future(under_way)

    def close(self) -> None:
        """Let those under way end."""
        self._pool.shutdown()

    async def _turn(self, asker: str) -> float:
        """Wait for a thread, which then is the caller's to pass on; when it was given."""
        if self._free and self._may_begin(asker):
            return self._take(asker)
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker, deque()).append(turn)
        self._look_later()
        try:
            async with asyncio.timeout(WAIT_S):
                return await turn
        except BaseException as error:
            # It may have been given in the very moment in which its asker gave up.
            if turn.done() and not turn.cancelled():
                self._pass_on(asker, turn.result())
            if not isinstance(error, TimeoutError):
                raise
        raise CrowdedError("too many searches are under way here; send the request again", retry_after_s=WAIT_S)

    def _take(self, asker: str) -> float:
        self._free -= 1
        now = asyncio.get_running_loop().time()
        self._begun_at.setdefault(asker, []).append(now)
        return now

    def _pass_on(self, asker: str, begun_at: float) -> None:
        """Take a thread back, and give it to the next who waits: one of each asker, and from the first again."""
        self._free += 1
        self._begun_at[asker].remove(begun_at)
        if not self._begun_at[asker]:
            del self._begun_at[asker]
        self._begin_those_who_may()

    def _begin_those_who_may(self) -> None:
        """Give the threads that are free to those who wait."""
        for waiting in list(self._waiting):
            if self._free and self._may_begin(waiting):
                self._begin(waiting)
        self._look_later()

    def _may_begin(self, asker: str) -> bool:
        """Whether an asker may have a thread more: the first, or one beside another that is not quick."""
        under_way = self._begun_at.get(asker)
        if not under_way:
            return True
        return len(under_way) < self._most and asyncio.get_running_loop().time() - under_way[0] >= QUICK_S

    def _look_later(self) -> None:
        """See again whether somebody may begin, where a thread is free and somebody waits."""
        if self._timer is None and self._free and self._waiting:
            self._timer = asyncio.get_running_loop().call_later(QUICK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        self._begin_those_who_may()

    def _begin(self, asker: str) -> None:
        """Begin one of an asker's turns, if one of them still waits."""
        turns = self._waiting[asker]
        while turns:
            turn = turns.popleft()
            if not turn.done():
                turn.set_result(self._take(asker))
                break
        if turns:
            self._waiting.move_to_end(asker)
        else:
            del self._waiting[asker]

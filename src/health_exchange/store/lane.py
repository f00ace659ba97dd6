"""Threads of their own for reads that may take long, given to whoever asks in turn.

Nobody who reads one resource waits for a search, and nobody's search waits for all that somebody else asked before.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from health_exchange.model.errors import Category, ExchangeError

T = TypeVar("T")

THREADS = 2
WAIT_S = 10.0
"""How long one waits for a thread, while others' reads have theirs."""


class CrowdedError(ExchangeError):
    """Too many long reads are under way to begin another one in time."""

    category = Category.BUSY
    code = "crowded"


class Lane:
    """The threads, and who waits for one. Used from one event loop."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store-search")
        self._free = threads
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, asker: str, fn: Callable[[], T]) -> T:
        """What ``fn`` returns, once it is ``asker``'s turn.

        Raises:
            CrowdedError: It was not within ``WAIT_S``.
        """
        await self._turn(asker)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, fn)
        finally:
            self._pass_on()

    def close(self) -> None:
        """Let those under way end."""
        self._pool.shutdown()

    async def _turn(self, asker: str) -> None:
        """Wait for a thread, which then is the caller's to pass on."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(asker, deque()).append(turn)
        is_late = False
        try:
            async with asyncio.timeout(WAIT_S):
                await turn
        except BaseException as error:
            # It may have been given in the very moment in which its asker gave up.
            if turn.done() and not turn.cancelled():
                self._pass_on()
            if not isinstance(error, TimeoutError):
                raise
            is_late = True
        if is_late:
            raise CrowdedError("too many searches are under way here; send the request again", retry_after_s=WAIT_S)

    def _pass_on(self) -> None:
        """Give a thread to the next who waits for one: one of each asker, and from the first again."""
        while self._waiting:
            asker, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            if turns:
                self._waiting.move_to_end(asker)
            else:
                del self._waiting[asker]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

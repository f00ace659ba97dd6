"""Worker processes: where a node computes what would hold up its doors.

They start with the first work that is worth it, so that a node with little to do costs one process. When a worker
dies, its pool goes with it, and all work that the pool was given and has not done: each asker is told to send his
request again, and a new pool starts with the next work. Workers end with their node, however that ends.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from health_exchange.model.errors import UnavailableError
from health_exchange.node.workers import WORTH_BYTES
from health_exchange.wiring.memory import settle_memory

T = TypeVar("T")


class Processes:
    """Runs functions in ``count`` processes of their own.

    Args:
        count: How many.
        niceness: 0 for work that somebody waits for; higher for work that may wait for a free core.
    """

    def __init__(self, count: int, *, niceness: int = 0) -> None:
        self._count, self._niceness = count, niceness
        self._pool: ProcessPoolExecutor | None = None
        self._at_work = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def quiet(self, timeout_s: float) -> None:
        """Return once nobody waits for them, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._quiet.wait()
        except TimeoutError:
            pass

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:
        """What ``fn(*arguments)`` returns or raises; done here where it is not worth the way."""
        if work_bytes < WORTH_BYTES:
            return fn(*arguments)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=get_context("spawn"), initializer=_begin, initargs=(self._niceness,)
            )
        pool = self._pool
        self._at_work += 1
        self._quiet.clear()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, fn, *arguments)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._quiet.set()
        raise UnavailableError("a worker process has died; send the request again", retry_after_s=1.0)

    def close(self) -> None:
        """Let the workers finish what they do, and end."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _begin(niceness: int) -> None:
    """What a worker does first."""
    os.nice(niceness)
    settle_memory()
    threading.Thread(target=_end_with_node, name="node-watch", daemon=True).start()


def _end_with_node() -> None:
    """End at once when the node is gone: killed nodes tell nobody."""
    node = parent_process()
    if node is not None:
        connection.wait([node.sentinel])
        os._exit(1)

"""A bell that rings when something was committed that its listener waits for, so that he need not look for it."""

import asyncio
from collections.abc import Set as AbstractSet


class Bell:
    """Wakes one listener in one event loop; may be rung from any thread.

    Args:
        tables: A commit that writes to none of them does not ring.
    """

    def __init__(self, tables: AbstractSet[str]) -> None:
        self._tables = tables
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def commit(self, tables: AbstractSet[str]) -> None:
        """Ring if ``tables`` are of interest."""
        if not self._tables.isdisjoint(tables):
            self.ring()

    def ring(self) -> None:
        """Wake the listener, or spare him the next wait."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung.set)

    def silence(self) -> None:
        """Forget what was rung before: who looks now sees it."""
        self._rung.clear()

    async def wait(self, timeout_s: float) -> None:
        """Return once it has rung since it was silenced, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            pass

"""A bell that rings when something was committed, so that recurring work need not look for it."""

import asyncio


class Bell:
    """Wakes whoever waits in one event loop; may be rung from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self.count = 0
        """How often it has rung."""

    def ring(self) -> None:
        """Wake all."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    async def wait(self, count: int, timeout_s: float) -> None:
        """Return once it has rung more than ``count`` times, or after ``timeout_s``."""
        if self.count > count:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            pass

    def _ring(self) -> None:
        self.count += 1
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

"""A wire between two nodes that can be cut and slowed, where the machine has none to pull: a relay of TCP bytes.

A cut wire is silent, as a real one: connections stay open, nothing is answered, and what was under way arrives when it
is mended, late.
"""

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
PIECE_BYTES = 64 << 10


class Relay:
    """Carries bytes between one node and another one's door.

    Attributes:
        delay_s: How long every piece of up to ``PIECE_BYTES`` takes.
        bytes_per_s: How many bytes pass a second; 0 does not bound them.
    """

    def __init__(self, door: str) -> None:
        parts = urlsplit(door)
        self._to = (parts.hostname or HOST, parts.port or 0)
        self._passable = asyncio.Event()
        self._passable.set()
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        self.bytes_per_s = 0

    @classmethod
    async def open(cls, door: str) -> Self:
        """A relay to ``door``, on a port of its own."""
        relay = cls(door)
        relay._server = await asyncio.start_server(relay._carry, HOST, 0)
        return relay

    @property
    def url(self) -> str:
        """Where it is found."""
        if self._server is None:
            raise RuntimeError("the relay is not open")
        return f"https://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Let nothing pass."""
        self._passable.clear()

    def join(self) -> None:
        """Let everything pass again, also what was under way."""
        self._passable.set()

    async def close(self) -> None:
        """Drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end closes it."""
        task = asyncio.current_task()
        if task is not None:
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)
        onward: asyncio.StreamWriter | None = None
        try:
            await self._passable.wait()
            back, onward = await asyncio.open_connection(*self._to)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, onward))
                ways.create_task(self._pump(back, writer))
        except (OSError, ExceptionGroup):
            # The door is shut, or an end has gone away without a word: the other end sees the same.
            pass
        finally:
            for each in (writer, onward):
                if each is not None:
                    each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of a connection."""
        while piece := await reader.read(PIECE_BYTES):
            if self.delay_s or self.bytes_per_s:
                await asyncio.sleep(self.delay_s + (len(piece) / self.bytes_per_s if self.bytes_per_s else 0.0))
            await self._passable.wait()
            writer.write(piece)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()

"""Where computing is done that would hold up everything else: a port, with what runs it handed in by wiring.

What runs there is a plain function of values at the top of a module: no I/O, no clock, no randomness, and arguments and
results that pickle. Small work is done at once, because carrying it to another process costs more than doing it.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")

WORTH_BYTES = 32 << 10
"""Work on fewer bytes than this is done where it is asked for: some milliseconds at most."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """Many values on their way to a worker or back: MessagePack where they are pickled, several times as fast."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _unpacked, (type(self), msgspec.msgpack.encode(self))


def _unpacked(kind: type[T], raw: bytes) -> T:
    """What was carried."""
    return msgspec.msgpack.decode(raw, type=kind)


class Workers(Protocol):
    """Runs functions elsewhere."""

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:
        """What ``fn(*arguments)`` returns or raises.

        Args:
            fn: At the top of a module.
            *arguments: Its own.
            work_bytes: How much it has to go through; decides whether it is worth the way.

        Raises:
            UnavailableError: The worker died; nothing was done.
        """
        ...


class Here:
    """Runs everything at once, in the caller's thread: stories, tools, and nodes without processes to spare."""

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:  # noqa: ARG002  # all is done here
        """What ``fn(*arguments)`` returns or raises."""
        return fn(*arguments)

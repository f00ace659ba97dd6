"""What a story does to its nodes and wires, all from one seed: drop, delay, duplicate, reorder, partition, crash."""

import random
from collections.abc import Callable, Mapping
from typing import TypeVar

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store.engine import Store, Transaction

T = TypeVar("T")
Door = Callable[[str, str, Mapping[str, str], bytes], "object"]


class CrashError(BaseException):
    """The node's process is gone, between two steps. Not an ``Exception``: nothing in the product may catch it."""

    def __init__(self, address: NodeAddress) -> None:
        super().__init__(str(address))
        self.address = address


class Faults:
    """The seed's dice, and how often each fault falls."""

    def __init__(self, seed: int, *, rate: float = 0.08, crash_rate: float = 0.01) -> None:
        self.dice = random.Random(seed)
        self.rate = rate
        self.crash_rate = crash_rate
        self.is_on = True
        self.cut: set[frozenset[NodeAddress]] = set()
        self.down: set[NodeAddress] = set()

    def stop(self) -> None:
        """No more faults; everything heals."""
        self.is_on = False
        self.cut.clear()
        self.down.clear()

    def happens(self, share: float = 1.0) -> bool:
        """Whether a fault falls now."""
        return self.is_on and self.dice.random() < self.rate * share

    def crash(self, address: NodeAddress) -> None:
        """Perhaps end the node here."""
        if self.is_on and self.dice.random() < self.crash_rate:
            raise CrashError(address)

    def is_cut(self, one: NodeAddress, other: NodeAddress) -> bool:
        """Whether no message passes between two nodes."""
        return frozenset((one, other)) in self.cut or bool({one, other} & self.down)


class StoryStore(Store):
    """A node's store that may crash before a write or after its commit, when nobody has heard of it yet."""

    faults: Faults | None = None
    address: NodeAddress | None = None

    def write_now(self, fn: Callable[[Transaction], T]) -> T:
        self._perhaps()
        value = super().write_now(fn)
        self._perhaps()
        return value

    def _perhaps(self) -> None:
        if self.faults is not None and self.address is not None:
            self.faults.crash(self.address)


class FaultyWire:
    """The door of one node as another one finds it across a wire with faults.

    A delayed request is told as lost to its sender and arrives later, after others: so requests also overtake.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.late: list[Callable[[], object]] = []

    async def carry(
        self, sender: NodeAddress, to: NodeAddress, door: Callable[..., "object"], arguments: tuple[object, ...]
    ) -> PeerAnswer:
        """One request through the wire."""
        faults = self._faults
        lost = UnavailableError(f"{to} does not answer")
        if faults.is_cut(sender, to) or faults.happens():
            raise lost
        if faults.happens(0.5):
            self.late.append(lambda: door(*arguments))
            raise lost
        answer = await door(*arguments)  # type: ignore[misc]  # doors are coroutines of one signature
        if faults.happens(0.5):
            await door(*arguments)  # type: ignore[misc]  # the duplicate's answer goes nowhere
        if faults.happens():
            raise lost
        assert isinstance(answer, PeerAnswer)
        return answer

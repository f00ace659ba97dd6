"""Requests to peers within one process: for the federation's stories, and for a node that has no peer but itself.

Same signatures, same doors; only the wire is missing. What a story does to the wire (drop, delay, partition) it does
around this class.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.errors import UnavailableError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.hops import REQUEST_ID, sign_hop
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.telemetry.trace import current_request_id

Door = Callable[[str, str, Mapping[str, str], bytes], Awaitable[PeerAnswer]]
"""Takes method, path, headers and body."""


class DoorPlan(Protocol):
    """Where the doors of the nodes that are up are found."""

    def get(self, address: NodeAddress, /) -> Door | None:
        """The node's door, or ``None`` while it is down."""


class InProcessTransport:
    """Carries one node's requests; a ``PeerTransport``."""

    def __init__(
        self, *, address: NodeAddress, seed: Callable[[], Secret], clock: Clock, randomness: Randomness, doors: DoorPlan
    ) -> None:
        self._address = address
        self._seed = seed
        self._clock = clock
        self._randomness = randomness
        self._doors = doors

    async def send(
        self, to: NodeAddress, method: str, path: str, body: bytes = b"", *, timeout_s: float = 10.0
    ) -> PeerAnswer:
        """The peer's answer, whatever its status.

        Raises:
            UnavailableError: The node is not there.
        """
        door = self._doors.get(to)
        if door is None:
            raise UnavailableError(f"{to} cannot be reached within {timeout_s:g} s", retry_after_s=1.0)
        headers = sign_hop(
            method,
            path,
            body,
            sender=self._address,
            recipient=to,
            at=self._clock.now(),
            nonce=self._randomness(16),
            seed=self._seed(),
        )
        headers[REQUEST_ID] = current_request_id()
        return await door(method, path, headers, body)

    async def close(self) -> None:
        """Nothing is held open."""

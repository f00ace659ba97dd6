"""Where a drill's nodes run, as a port: what a machine must offer so that wires between nodes can be cut and slowed.

Everything else that is done to a node (its end, its disk, its clock, its twin) is done to a process, wherever it runs.
"""

from collections.abc import Sequence
from typing import Protocol

from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.plan import NetworkPlan


class Stage(Protocol):
    """A place for the nodes of one network."""

    async def open(self, plan: NetworkPlan) -> NetworkPlan:
        """Make room for the nodes of ``plan``; the plan with the places that they got.

        Raises:
            ExchangeError: This machine cannot.
        """

    def door(self, sender: NodeAddress, to: NodeAddress) -> str:
        """The URL under which one node finds another one's exchange door."""

    def words(self, address: NodeAddress) -> Sequence[str]:
        """What to put before a command so that it runs in a node's place."""

    async def cut(self, one: NodeAddress, other: NodeAddress) -> None:
        """Let nothing pass between two nodes any more."""

    async def join(self, one: NodeAddress, other: NodeAddress) -> None:
        """Undo ``cut``."""

    async def slow(self, one: NodeAddress, other: NodeAddress, *, delay_s: float, bytes_per_s: int) -> None:
        """Let what passes between two nodes take longer; zeros undo it.

        Raises:
            ExchangeError: Not on this stage.
        """

    async def close(self) -> None:
        """Leave nothing behind."""

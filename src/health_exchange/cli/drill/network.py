"""A running network that a scenario does something to, and what was done to it, told in order."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.drill.clocks import Clocks
from health_exchange.cli.drill.databases import Databases
from health_exchange.cli.drill.disks import Disks
from health_exchange.cli.drill.load import Load
from health_exchange.cli.drill.stage import Stage
from health_exchange.cli.samples.dice import Dice
from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.plan import NetworkPlan, PlannedNode


@dataclass(slots=True, kw_only=True)
class DrillNetwork:
    """The network, and every means to do something to it.

    Attributes:
        root: Its folder.
        plan: Its nodes.
        dice: The scenario's, from the seed.
        fault_s: How long whatever is done lasts.
        story: What was done, with seconds since the first of it.
    """

    root: Path
    plan: NetworkPlan
    dice: Dice
    fault_s: float
    stage: Stage
    supervisor: Supervisor
    databases: Databases
    disks: Disks | None
    clocks: Clocks | None
    load: Load
    http: httpx.AsyncClient
    story: list[tuple[float, str]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @property
    def addresses(self) -> list[NodeAddress]:
        """All nodes, in the plan's order."""
        return [node.address for node in self.plan.nodes]

    def node(self, address: NodeAddress) -> PlannedNode:
        """One node of the plan."""
        return next(node for node in self.plan.nodes if node.address == address)

    def tell(self, what: str) -> None:
        """Note that ``what`` happens now."""
        self.story.append((round(time.monotonic() - self._began, 1), what))

    def shuffled(self, addresses: Iterable[NodeAddress]) -> list[NodeAddress]:
        """An order of the dice."""
        left, order = list(addresses), list[NodeAddress]()
        while left:
            order.append(left.pop(self.dice.below(len(left))))
        return order

    def database_processes(self, address: NodeAddress) -> Sequence[int]:
        """Who writes a node's database."""
        return self.databases.processes(address, self.supervisor.process_of(address))

    async def kill_node(self, address: NodeAddress) -> None:
        """End it as a power cut would."""
        self.tell(f"{address} is killed")
        await asyncio.to_thread(self.supervisor.kill, address)

    async def start_node(self, address: NodeAddress) -> None:
        """Start it on what its database holds."""
        self.tell(f"{address} is started")
        self.supervisor.start(address)

    async def cut(self, pairs: Sequence[tuple[NodeAddress, NodeAddress]]) -> None:
        """Let nothing pass between any of ``pairs``."""
        for one, other in pairs:
            await self.stage.cut(one, other)

    async def join(self, pairs: Sequence[tuple[NodeAddress, NodeAddress]]) -> None:
        """Undo it."""
        for one, other in pairs:
            await self.stage.join(one, other)

"""The stage that every machine has: all nodes on one loopback interface, a relay for each way between two of them."""

from collections.abc import Sequence
from dataclasses import replace

from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.cli.drill.relay import Relay
from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.plan import NetworkPlan


class Loopback:
    """A ``Stage``."""

    def __init__(self) -> None:
        self._relays: dict[tuple[NodeAddress, NodeAddress], Relay] = {}

    async def open(self, plan: NetworkPlan) -> NetworkPlan:
        """Ports for all nodes, and relays between them."""
        base = free_ports(2 * len(plan.nodes))
        nodes = tuple(
            replace(
                node,
                fhir_url=f"https://{HOST}:{base + 2 * index}",
                exchange_url=f"https://{HOST}:{base + 2 * index + 1}",
            )
            for index, node in enumerate(plan.nodes)
        )
        for sender in nodes:
            for to in nodes:
                if sender != to:
                    self._relays[sender.address, to.address] = await Relay.open(to.exchange_url)
        return replace(plan, nodes=nodes)

    def door(self, sender: NodeAddress, to: NodeAddress) -> str:
        """The relay from one to the other."""
        return self._relays[sender, to].url

    def words(self, address: NodeAddress) -> Sequence[str]:
        """Nothing: all are in one place."""
        del address
        return ()

    async def cut(self, one: NodeAddress, other: NodeAddress) -> None:
        """Both ways."""
        for relay in self._between(one, other):
            relay.cut()

    async def join(self, one: NodeAddress, other: NodeAddress) -> None:
        """Both ways."""
        for relay in self._between(one, other):
            relay.join()

    async def slow(self, one: NodeAddress, other: NodeAddress, *, delay_s: float, bytes_per_s: int) -> None:
        """Both ways."""
        for relay in self._between(one, other):
            relay.delay_s, relay.bytes_per_s = delay_s, bytes_per_s

    async def close(self) -> None:
        """Close all relays."""
        for relay in self._relays.values():
            await relay.close()

    def _between(self, one: NodeAddress, other: NodeAddress) -> tuple[Relay, Relay]:
        return self._relays[one, other], self._relays[other, one]

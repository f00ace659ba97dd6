"""A network before it exists: which nodes there shall be, where they listen, who keeps key shares."""

from dataclasses import dataclass

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory
from health_exchange.model.powers import POWERS, Power, Tier

LOOPBACK = "127.0.0.1"
EMBEDDED = "sqlite:///node.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """One node to be.

    Attributes:
        address: Its place.
        tier: Names its powers.
        name: What people call it.
        exchange_url: Where peers will find it.
        fhir_url: Where facilities and readers will find it.
        host: Address of its machine that it listens on.
        database: URL of its database, as in its settings.
    """

    address: NodeAddress
    tier: Tier
    name: str
    exchange_url: str
    fhir_url: str
    host: str = LOOPBACK
    database: str = EMBEDDED


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A whole network to be.

    Attributes:
        nodes: All nodes; each but the nation has its parent among them.
        holders: Who keeps shares of the pseudonym key, in the order of their indexes (from 1).
        threshold: How many of them it takes.

    Raises:
        ValueError: A parent is missing or relays nothing, an address occurs twice, a holder is no node or its tier may
            not keep a share, or the threshold is not between 1 and the number of holders.
    """

    nodes: tuple[PlannedNode, ...]
    holders: tuple[NodeAddress, ...]
    threshold: int

    def __post_init__(self) -> None:
        tiers = {node.address: node.tier for node in self.nodes}
        if len(tiers) != len(self.nodes):
            raise ValueError("an address occurs twice in the plan")
        for address in tiers:
            if address.parent is not None and address.parent not in tiers:
                raise ValueError(f"{address} reports to {address.parent}, which is not in the plan")
            if address.parent is not None and Power.RELAYS not in POWERS[tiers[address.parent]]:
                raise ValueError(f"{address} reports to {address.parent}, which takes no envelopes")
        for holder in self.holders:
            if holder not in tiers or Power.KEEPS_KEY_SHARE not in POWERS[tiers[holder]]:
                raise ValueError(f"{holder} may not keep a key share")
        if not 1 <= self.threshold <= len(self.holders):
            raise ValueError(f"a threshold of {self.threshold} does not fit {len(self.holders)} holders")

    def witnesses(self, address: NodeAddress) -> tuple[NodeAddress, ...]:
        """Who cosigns a node's log: its parent and one node of another province; for key holders, non-holders only.

        The nation has no parent and gets two nodes of different provinces.
        """
        barred = set(self.holders) if address in self.holders else set()
        candidates = [
            node.address
            for node in self.nodes
            if node.address != address and node.address not in barred and Power.COSIGNS in POWERS[node.tier]
        ]
        parent = [candidate for candidate in candidates if candidate == address.parent]
        foreign = sorted(
            (candidate for candidate in candidates if candidate.province not in {address.province, None}),
            key=lambda candidate: (len(candidate.segments), candidate),
        )
        chosen = [*parent]
        # Spread the work: neighbours in the list start at different foreign witnesses.
        turn = sum(map(ord, str(address)))
        for offset in range(len(foreign)):
            if len(chosen) == 2:  # noqa: PLR2004  # DESIGN: the parent and one node of another province
                break
            candidate = foreign[(turn + offset) % len(foreign)]
            if candidate.province not in {other.province for other in chosen}:
                chosen.append(candidate)
        return tuple(chosen)


def plan_behind(directory: NetworkDirectory) -> NetworkPlan:
    """The plan that a directory was made of, as far as a directory tells."""
    return NetworkPlan(
        nodes=tuple(
            PlannedNode(
                address=card.address,
                tier=card.tier,
                name=card.name,
                exchange_url=card.exchange_url,
                fhir_url=card.fhir_url,
            )
            for card in directory.nodes.values()
        ),
        holders=tuple(holder.address for holder in directory.key.holders),
        threshold=directory.key.threshold,
    )

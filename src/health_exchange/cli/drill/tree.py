"""The drill's tree and folder: every tier, two provinces, and for each node its own ways to the others."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from health_exchange.cli.samples.facilities import FACILITIES
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.wiring.ceremony import Ceremony, hold_ceremony
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.registration import Registration, encode_registry, register

NATION, PROVINCE = NodeAddress.parse("cn"), NodeAddress.parse("cn/33")
COUNTY, HOSPITALS = NodeAddress.parse("cn/33/3305/330521"), NodeAddress.parse("cn/51/5100")
"""The two that admit facilities."""
DATABASE_FOLDER = "disk"
"""In a node's folder, with nothing in it but its database: so that it can be a file system of its own."""

_NODES = (
    ("cn", Tier.NATION),
    ("cn/33", Tier.PROVINCE),
    ("cn/51", Tier.PROVINCE),
    ("cn/33/3305", Tier.CITY),
    ("cn/33/3305/330521", Tier.COUNTY),
    ("cn/51/5100", Tier.ATTACHED),
)
_HOLDERS = ("cn", "cn/33", "cn/51")


def drill_plan() -> NetworkPlan:
    """The tree, its places still open."""
    return NetworkPlan(
        nodes=tuple(
            PlannedNode(
                address=NodeAddress.parse(address),
                tier=tier,
                name=address,
                exchange_url="https://127.0.0.1:1",
                fhir_url="https://127.0.0.1:2",
            )
            for address, tier in _NODES
        ),
        holders=tuple(map(NodeAddress.parse, _HOLDERS)),
        threshold=2,
    )


def admitting_node(facility_node: str) -> NodeAddress:
    """Where in the drill's tree the facilities of a node of the samples hand in: about half of them at either."""
    return HOSPITALS if HOSPITALS.province == NodeAddress.parse(facility_node).province else COUNTY


def write_tree(
    root: Path,
    plan: NetworkPlan,
    *,
    door: Callable[[NodeAddress, NodeAddress], str],
    databases: Mapping[NodeAddress, Sequence[str]],
) -> dict[str, bytes]:
    """Write the network's folder; the facilities' private keys by client id.

    Args:
        root: Must hold no network.
        plan: With the places of its nodes.
        door: Where one node finds another.
        databases: Per node the lines of its settings about its database.
    """
    ceremony = hold_ceremony(plan, randomness=os.urandom)
    registrations = _registrations()
    # Valid from well before: one of the clocks may stand an hour away.
    now = datetime.now(UTC) - timedelta(hours=2)
    registries = {address: encode_registry(each) for address, each in registrations.items()}
    write_network(root, ceremony, clients=registries, now=now)
    for node in plan.nodes:
        _make_own(root, ceremony, node.address, door=door, database=databases[node.address])
    return {each.client.client_id: each.private_key_pem for nodes in registrations.values() for each in nodes}


def _registrations() -> dict[NodeAddress, list[Registration]]:
    """Every facility of the samples, where it hands in."""
    found: dict[NodeAddress, list[Registration]] = {COUNTY: [], HOSPITALS: []}
    for facility in FACILITIES.values():
        found[admitting_node(facility.node)].append(
            register(
                client_id=facility.client_id,
                kind="facility",
                organization=facility.credit_code,
                name=facility.name,
                purpose=Purpose.TREATMENT,
                randomness=os.urandom,
            )
        )
    return found


def _make_own(
    root: Path,
    ceremony: Ceremony,
    address: NodeAddress,
    *,
    door: Callable[[NodeAddress, NodeAddress], str],
    database: Sequence[str],
) -> None:
    """Give a node its own ways and its database."""
    folder = node_folder(root, address)
    (folder / DATABASE_FOLDER).mkdir(mode=0o700)
    settings = folder / "node.toml"
    lines = [line for line in settings.read_text("utf-8").splitlines() if not line.startswith("database =")]
    routes = [f'"{other}" = "{door(address, other)}"' for other in ceremony.directory.nodes if other != address]
    settings.write_text("\n".join([*lines, *database, "[routes]", *routes]) + "\n", "utf-8")

"""The demo's working folder: the network, its clients, and who they are."""

import os
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from health_exchange.cli.demo.samples import Samples
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import POWERS, Power
from health_exchange.model.purposes import Purpose
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.network_folder import write_network
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.registration import Registration, encode_registry, register

NATION = NodeAddress.parse("cn")
VIEWER, AUDITOR, RESEARCHER = "national-viewer", "national-auditor", "national-researcher"
STRANGER = "dq-county"
"""A county hospital that is registered at the nation as well, to show that it may not write there."""

COMMISSION = "national-health-commission"
_READERS = (
    (VIEWER, "viewer", "National data center, duty physician", Purpose.TREATMENT),
    (AUDITOR, "auditor", "National audit office", Purpose.AUDIT),
    (RESEARCHER, "researcher", "Institute of epidemiology", Purpose.RESEARCH),
)


def clinician_at(address: NodeAddress) -> str:
    """The practitioner who is registered at an admitting node."""
    return f"physician-{address.segments[-1]}"


def auditor_at(address: NodeAddress) -> str:
    """The auditor who is registered at an admitting node, where one may ask by identity."""
    return f"auditor-{address.segments[-1]}"


def make_setting(root: Path, plan: NetworkPlan, samples: Samples, *, apart: bool = False) -> dict[str, bytes]:
    """Write the network's folder and the clients' keys; private keys by client id.

    Args:
        root: The folder.
        plan: The network.
        samples: Whose facilities are registered.
        apart: Whether nodes will share no folder, as ``write_network`` has it.

    Raises:
        FileExistsError: ``root`` holds a network already.
    """
    by_node: dict[NodeAddress, list[Registration]] = defaultdict(list)
    for facility in samples.facilities:
        registration = _register(
            facility.client_id, "facility", facility.name, Purpose.TREATMENT, organization=facility.credit_code
        )
        by_node[NodeAddress.parse(facility.node)].append(registration)
        if facility.client_id == STRANGER:
            by_node[NATION].append(registration)
    by_node[NATION] += [_register(*reader) for reader in _READERS]
    hospitals = {facility.node: facility.credit_code for facility in reversed(samples.facilities)}
    for node in plan.nodes:
        if Power.ADMITS_FACILITIES in POWERS[node.tier]:
            by_node[node.address] += [
                _register(
                    clinician_at(node.address),
                    "clinician",
                    f"Physician on duty, {node.name}",
                    Purpose.TREATMENT,
                    organization=hospitals[str(node.address)],
                ),
                _register(auditor_at(node.address), "auditor", f"Audit office, {node.name}", Purpose.AUDIT),
            ]
    # Valid from a little earlier: clocks of one laptop agree, those of two may not.
    now = datetime.now(UTC) - timedelta(minutes=5)
    registries = {address: encode_registry(registrations) for address, registrations in by_node.items()}
    keys = {each.client.client_id: each.private_key_pem for nodes in by_node.values() for each in nodes}
    folder = root / "clients"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for client_id, pem in keys.items():
        path = folder / f"{client_id}.pem"
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(pem)
    write_network(root, hold_ceremony(plan, randomness=os.urandom), clients=registries, now=now, apart=apart)
    return keys


def read_clients(root: Path) -> dict[str, bytes]:
    """The clients' private keys by client id, as ``make_setting`` wrote them."""
    return {path.stem: path.read_bytes() for path in (root / "clients").glob("*.pem")}


def _register(
    client_id: str, kind: str, name: str, purpose: Purpose, *, organization: str = COMMISSION
) -> Registration:
    """A client with a new key."""
    return register(
        client_id=client_id,
        kind=kind,
        organization=organization,
        name=name,
        purpose=purpose,
        randomness=os.urandom,
    )

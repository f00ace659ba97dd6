"""A real network for a measurement: processes, TLS, databases, in a folder that is thrown away."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from benchmarks.databases import Databases, databases

from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.store import outbox, statistics
from health_exchange.store.transaction import Transaction
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.registration import encode_registry, register
from health_exchange.wiring.settings import read_settings

TIERS = {1: Tier.NATION, 2: Tier.PROVINCE, 3: Tier.CITY, 4: Tier.COUNTY}
CLIENT = "hospital"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNetwork:
    """A network that is up; its nodes are started and killed by ``supervisor``; all were ready after ``ready_s``."""

    supervisor: Supervisor
    root: Path
    plan: NetworkPlan
    http: httpx.AsyncClient
    key: bytes
    databases: Databases
    ready_s: float

    def url(self, address: str) -> str:
        """The node's FHIR door."""
        return next(node.fhir_url for node in self.plan.nodes if str(node.address) == address)

    def facility(self, address: str) -> FacilityClient:
        """The hospital at one admitting node."""
        return FacilityClient(client_id=CLIENT, private_key_pem=self.key, base_url=self.url(address), http=self.http)


def make_plan(tiers: dict[str, Tier], holders: Iterable[str]) -> NetworkPlan:
    """A plan on free ports."""
    base = free_ports(2 * len(tiers))
    return NetworkPlan(
        nodes=tuple(
            PlannedNode(
                address=NodeAddress.parse(address),
                tier=tier,
                name=address,
                fhir_url=f"https://{HOST}:{base + 2 * index}",
                exchange_url=f"https://{HOST}:{base + 2 * index + 1}",
            )
            for index, (address, tier) in enumerate(tiers.items())
        ),
        holders=tuple(map(NodeAddress.parse, holders)),
        threshold=2,
    )


async def until_settled(network: RunningNetwork, origins: Iterable[str]) -> None:
    """Wait until everything has left these nodes and every node above has signed for it.

    Looks into their databases: a node's own status counts all it holds, which would be most of its work if asked often.
    """
    folders = [node_folder(network.root, NodeAddress.parse(origin)) for origin in origins]
    stores = [open_store(read_settings(folder / "node.toml")) for folder in folders]
    try:
        while not all(store.read_now(_is_settled) for store in stores):  # noqa: ASYNC110  # other processes write it
            await asyncio.sleep(0.05)
    finally:
        for store in stores:
            store.close()


def _is_settled(tx: Transaction) -> bool:
    """Whether nothing waits to be sent, taken or signed for."""
    return not (statistics.unsent_changes(tx) or outbox.undelivered_count(tx) or outbox.awaits_receipts(tx))


@asynccontextmanager
async def running(
    plan: NetworkPlan, *, postgresql: bool = False, processes: Mapping[str, int] | None = None
) -> AsyncIterator[RunningNetwork]:
    """The plan's network, healthy; stopped and gone afterwards.

    Args:
        plan: Who is in it.
        postgresql: Every node on a database of one server, instead of a file.
        processes: How many serve a node's doors; one where it is not named.
    """
    registration = register(
        client_id=CLIENT,
        kind="facility",
        organization="121000001000791901",
        name=CLIENT,
        purpose=Purpose.TREATMENT,
        randomness=os.urandom,
    )
    registry = encode_registry([registration])
    with (
        TemporaryDirectory(prefix="health-exchange-") as folder,
        databases(Path(folder), postgresql=postgresql) as where,
    ):
        root = Path(folder) / "network"
        clients = {node.address: registry for node in plan.nodes}
        now = datetime.now(UTC) - timedelta(minutes=5)
        write_network(root, hold_ceremony(plan, randomness=os.urandom), clients=clients, now=now)
        for node in plan.nodes:
            _settle(root, str(node.address), where, (processes or {}).get(str(node.address), 1))
        supervisor = Supervisor(root, plan.nodes)
        began = time.perf_counter()
        supervisor.start_all()
        trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
        try:
            async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=120.0) as http:
                await supervisor.wait_until_healthy(http)
                yield RunningNetwork(
                    supervisor=supervisor,
                    root=root,
                    plan=plan,
                    http=http,
                    key=registration.private_key_pem,
                    databases=where,
                    ready_s=time.perf_counter() - began,
                )
        finally:
            supervisor.stop_all()


def database_of(address: str) -> str:
    """The name of a node's database."""
    return address.replace("/", "-")


def _settle(root: Path, address: str, where: Databases, processes: int) -> None:
    """Have a node keep its records where this measurement wants them."""
    path = node_folder(root, NodeAddress.parse(address)) / "node.toml"
    settings = path.read_text().replace("sqlite:///node.sqlite", where.new(database_of(address)))
    path.write_text(f"{settings}processes = {processes}\n")

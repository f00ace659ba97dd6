"""A small tree of real processes with a hospital that goes on writing while something is changed."""

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.cli.client import RegisteredClient
from health_exchange.cli.demo.live import fetch_network
from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.inspection import verify_logs
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.registration import encode_registry, register

NODES = (("cn", Tier.NATION), ("cn/33", Tier.PROVINCE), ("cn/51", Tier.PROVINCE), ("cn/33/330521", Tier.COUNTY))
NATION, ZHEJIANG, SICHUAN, COUNTY = (NodeAddress.parse(address) for address, _tier in NODES)
NEWCOMER = NodeAddress.parse("cn/51/510121")
SETTLED_WITHIN_S = 90.0
HOSPITAL = register(
    client_id="hospital",
    kind="facility",
    organization="121000001000791901",
    name="hospital",
    purpose=Purpose.TREATMENT,
    randomness=os.urandom,
)


@dataclass(slots=True)
class Written:
    """What a hospital has sent: how often, what went wrong, and the slowest answer."""

    bundles: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


class Tree:
    """Four nodes, and room for a fifth."""

    def __init__(self, root: Path) -> None:
        base = free_ports(2 * len(NODES) + 2)
        self.root, self.spare_port = root, base + 2 * len(NODES)
        self.plan = NetworkPlan(
            nodes=tuple(
                PlannedNode(
                    address=NodeAddress.parse(address),
                    tier=tier,
                    name=address,
                    fhir_url=f"https://{HOST}:{base + 2 * index}",
                    exchange_url=f"https://{HOST}:{base + 2 * index + 1}",
                )
                for index, (address, tier) in enumerate(NODES)
            ),
            holders=(NATION, ZHEJIANG, SICHUAN),
            threshold=2,
        )
        write_network(
            root,
            hold_ceremony(self.plan, randomness=os.urandom),
            clients={COUNTY: encode_registry([HOSPITAL])},
            now=datetime.now(UTC) - timedelta(minutes=5),
        )
        self.supervisor = Supervisor(root, self.plan.nodes)
        self.trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
        self.number = 0

    def folder(self, address: NodeAddress) -> Path:
        return node_folder(self.root, address)

    def settings(self, address: NodeAddress) -> str:
        return str(self.folder(address) / "node.toml")

    def url(self, address: NodeAddress) -> str:
        return next(node.fhir_url for node in self.plan.nodes if node.address == address)

    async def write(self, url: str, stop: asyncio.Event, written: Written) -> None:
        """One Bundle after another, each by a new person, no failure forgiven, until told to stop."""
        async with httpx.AsyncClient(verify=self.trust, trust_env=False, timeout=30.0) as http:
            client = RegisteredClient(
                client_id="hospital", private_key_pem=HOSPITAL.private_key_pem, base_url=url, http=http
            )
            while not stop.is_set():
                self.number += 1
                began = time.monotonic()
                try:
                    await client.fetch("POST", "/fhir", bundle(self.number), media_type="application/fhir+json")
                    written.bundles += 1
                except Exception as error:  # noqa: BLE001  # whatever it is, the test tells of it
                    written.failures.append(repr(error))
                written.slowest_s = max(written.slowest_s, time.monotonic() - began)

    @asynccontextmanager
    async def written_to(self, url: str) -> AsyncIterator[Written]:
        """A hospital writes as long as this lasts."""
        written, stop = Written(), asyncio.Event()
        writing = asyncio.create_task(self.write(url, stop, written))
        try:
            yield written
        finally:
            stop.set()
            await writing

    async def settled(self) -> NetworkStatus:
        """The tree's numbers once nothing is under way."""
        async with httpx.AsyncClient(verify=self.trust, trust_env=False) as http, asyncio.timeout(SETTLED_WITHIN_S):
            looks = 0
            while True:
                status = await fetch_network(http, self.url(NATION))
                looks = looks + 1 if not status.away and all(node.is_settled for node in status.nodes) else 0
                if looks > 2:
                    return status
                await asyncio.sleep(0.3)

    def log_failures(self) -> list[str]:
        """What is wrong with any log, verified offline."""
        return [f"{log.origin}: {finding}" for log in verify_logs(self.root) for finding in log.failures]


@asynccontextmanager
async def running_tree(root: Path) -> AsyncIterator[Tree]:
    """A tree at work."""
    tree = Tree(root)
    tree.supervisor.start_all()
    try:
        async with httpx.AsyncClient(verify=tree.trust, trust_env=False) as http:
            await tree.supervisor.wait_until_healthy(http)
        yield tree
    finally:
        tree.supervisor.stop_all()


def bundle(number: int) -> bytes:
    """One person and one result."""
    who = patient(f"p{number}", identity=national_id(number))
    return transaction(who, observation(f"o{number}", f"p{number}"))


async def run(*words: str, code: int = 0) -> str:
    """What the program prints; it must end as expected."""
    answer = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "health_exchange", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == code, answer.stderr
    return answer.stdout

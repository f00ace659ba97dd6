"""A node of several processes on PostgreSQL tells one sum, whichever of them is asked."""

import asyncio
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.databases import NODE_ROLE, PostgresqlServer
from tests.federation.operators import read_metrics

from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan, PlannedNode

NATION = NodeAddress.parse("cn")
REQUESTS = 60
WITHIN_S = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


async def test_what_all_processes_were_asked_is_told_by_each(tmp_path: Path, postgresql: PostgresqlServer) -> None:
    port = free_ports(2)
    urls = {"fhir_url": f"https://{HOST}:{port}", "exchange_url": f"https://{HOST}:{port + 1}"}
    node = PlannedNode(address=NATION, tier=Tier.NATION, name="Nation", **urls)
    plan = NetworkPlan(nodes=(node,), holders=(NATION,), threshold=1)
    write_network(tmp_path, hold_ceremony(plan, randomness=os.urandom), clients={}, now=datetime.now(UTC))
    settings = node_folder(tmp_path, NATION) / "node.toml"
    database = postgresql.url(postgresql.new_database(), NODE_ROLE)
    lines = settings.read_text("utf-8").replace('"sqlite:///node.sqlite"', f'"{database}"')
    settings.write_text(f"{lines}processes = 3\n", "utf-8")
    trust = ssl.create_default_context(cafile=str(tmp_path / "network" / "authority.pem"))
    supervisor = Supervisor(tmp_path, plan.nodes)
    supervisor.start_all()
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=10.0) as http:
            await supervisor.wait_until_healthy(http)
            for _request in range(REQUESTS):
                await ask(trust, f"{node.fhir_url}/fhir/Patient/none")
            async with asyncio.timeout(WITHIN_S):
                while [await told(trust, node.fhir_url) for _scrape in range(6)] != [REQUESTS] * 6:
                    await asyncio.sleep(1)
            ready = (await http.get(f"{node.fhir_url}/health/ready")).json()
            assert (ready["status"], ready["missing"]) == ("ready", [])
    finally:
        supervisor.stop_all()


async def ask(trust: ssl.SSLContext, url: str) -> httpx.Response:
    """One request on a connection of its own, so that the kernel chooses a process anew."""
    async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=10.0) as http:
        return await http.get(url)


async def told(trust: ssl.SSLContext, url: str) -> float:
    """How many of the requests some process tells of."""
    found = read_metrics((await ask(trust, f"{url}/metrics")).text)
    return sum(
        value
        for (name, labels), value in found.items()
        if name == "health_exchange_requests_total" and dict(labels)["route"] == "/fhir/{type}/{id}"
    )

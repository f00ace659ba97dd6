"""The operator's commands and doors on real nodes: all well, one killed, one that hangs, and the one asked gone."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.federation.operators import read_metrics
from tests.processes.test_auditor_commands import plan_here

from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.model.addresses import NodeAddress
from health_exchange.telemetry.metrics import MEDIA_TYPE
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan

NATION, ZHEJIANG, COUNTY = (NodeAddress.parse(address) for address in ("cn", "cn/33", "cn/33/330521"))
WITHIN_S = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


class Tree:
    """Four nodes at work, and an operator who asks them."""

    def __init__(self, root: Path, plan: NetworkPlan) -> None:
        self.root, self.plan = root, plan
        self.urls = {node.address: node.fhir_url for node in plan.nodes}
        self.authority = root / "network" / "authority.pem"

    async def ask(self, what: str, address: NodeAddress, *more: str) -> tuple[int, str]:
        """Exit code and output of ``health-exchange node|network status``."""
        words = [what, "status", "--url", self.urls[address], "--ca", str(self.authority), *more]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "health_exchange", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, failed = await process.communicate()
        assert b"Traceback" not in failed
        return process.returncode or 0, (told + failed).decode()

    async def until(self, what: str, address: NodeAddress, code: int, *words: str) -> str:
        """What the command says once it exits so and says all of ``words``."""
        answer: tuple[int, str] = (-1, "")
        for _second in range(int(WITHIN_S)):
            answer = await self.ask(what, address)
            if answer[0] == code and all(word in answer[1] for word in words):
                return answer[1]
            await asyncio.sleep(1)
        raise AssertionError(answer)


async def test_operators_see_who_is_well_who_is_away_why_and_since_when(tmp_path: Path) -> None:
    plan = plan_here()
    write_network(tmp_path, hold_ceremony(plan, randomness=os.urandom), clients={}, now=datetime.now(UTC))
    tree, supervisor = Tree(tmp_path, plan), Supervisor(tmp_path, plan.nodes)
    supervisor.start_all()
    trust = ssl.create_default_context(cafile=str(tree.authority))
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=10.0) as http:
            await supervisor.wait_until_healthy(http)
            assert "4 nodes, 4 ok, 0 not" in await tree.until("network", NATION, 0)
            assert "cn/33/330521, county" in await tree.until("node", COUNTY, 0, ": ok")
            await check_doors(http, tree)

            supervisor.kill(ZHEJIANG)
            await tree.until("network", NATION, 1, "away: cn/33 cannot be reached", "since 20")
            told = await tree.until("node", COUNTY, 1, "parent-away: cn/33 cannot be reached")
            assert "key-holders" not in told  # two of three are enough
            assert (await http.get(f"{tree.urls[COUNTY]}/health/ready")).json()["status"] == "degraded"

            supervisor.start(ZHEJIANG)
            await tree.until("network", NATION, 0, "4 ok")

            # A county that hangs is named by its province, which still answers in time.
            os.kill(supervisor.process_of(COUNTY), signal.SIGSTOP)
            try:
                code, told = await tree.ask("network", NATION, "--json")
                assert (code, away_in(told)) == (1, ["cn/33/330521"])
            finally:
                os.kill(supervisor.process_of(COUNTY), signal.SIGCONT)

            supervisor.kill(NATION)
            code, told = await tree.ask("network", NATION)
            assert (code, "does not answer" in told) == (3, True)
    finally:
        supervisor.stop_all()
    check_lines(tmp_path)


async def check_doors(http: httpx.AsyncClient, tree: Tree) -> None:
    """Every node's doors for machines."""
    for address, url in tree.urls.items():
        assert (await http.get(f"{url}/health/live")).json() == {"status": "live"}
        assert (await http.get(f"{url}/health/ready")).json() == {"status": "ready", "missing": []}
        answer = await http.get(f"{url}/metrics")
        assert answer.headers["content-type"] == MEDIA_TYPE
        found = read_metrics(answer.text)
        assert found["health_exchange_ready", ()] == 1
        ends = {dict(labels)["certificate"] for name, labels in found if name.endswith("expiry_timestamp_seconds")}
        assert ends == {"node", "authority"}
        assert found["health_exchange_database_bytes", ()] > 0
        assert found["health_exchange_disk_free_bytes", ()] > 0
        assert any(dict(labels).get("address") == str(address) for _name, labels in found)


def away_in(told: str) -> list[str]:
    answer: dict[str, Any] = json.loads(told)
    away: list[str] = answer["away"]
    assert [answer["silences"][address]["since"] for address in away]
    return away


def check_lines(root: Path) -> None:
    """Everything that nodes wrote to standard error is an event that says where it was written."""
    told: set[str] = set()
    for address in (NATION, ZHEJIANG, COUNTY):
        lines = (node_folder(root, address) / "node.log").read_text("utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        assert {event.get("node") for event in events} == {str(address)}
        assert "node-started" in {event["event"] for event in events}
        told |= {event["event"] for event in events}
    assert told >= {"request", "peer-away"}

"""The auditor's commands as typed: real nodes, real ports; no identity in any of their traces."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.network import HOST, free_ports
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.network_folder import write_network
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.registration import encode_registry, register

NODES = (("cn", Tier.NATION), ("cn/33", Tier.PROVINCE), ("cn/51", Tier.PROVINCE), ("cn/33/330521", Tier.COUNTY))
COUNTY = NodeAddress.parse("cn/33/330521")
SOMEBODY = national_id(1)
ARRIVED_WITHIN_S = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def plan_here() -> NetworkPlan:
    base = free_ports(2 * len(NODES))
    nodes = tuple(
        PlannedNode(
            address=NodeAddress.parse(address),
            tier=tier,
            name=address,
            fhir_url=f"https://{HOST}:{base + 2 * index}",
            exchange_url=f"https://{HOST}:{base + 2 * index + 1}",
        )
        for index, (address, tier) in enumerate(NODES)
    )
    return NetworkPlan(nodes=nodes, holders=tuple(map(NodeAddress.parse, ("cn", "cn/33", "cn/51"))), threshold=2)


class Running:
    """A small network at work, with an auditor and a hospital registered at its county."""

    def __init__(self, root: Path) -> None:
        self.root, self.plan = root, plan_here()
        registrations = [
            register(
                client_id=name,
                kind=kind,
                organization="121000001000791901",
                name=name,
                purpose=purpose,
                randomness=os.urandom,
            )
            for name, kind, purpose in (
                ("auditor", "auditor", Purpose.AUDIT),
                ("hospital", "facility", Purpose.TREATMENT),
            )
        ]
        write_network(
            root,
            hold_ceremony(self.plan, randomness=os.urandom),
            clients={COUNTY: encode_registry(registrations)},
            now=datetime.now(UTC) - timedelta(minutes=5),
        )
        for each in registrations:
            (root / f"{each.client.client_id}.pem").write_bytes(each.private_key_pem)
        self.url = next(node.fhir_url for node in self.plan.nodes if node.address == COUNTY)
        self.authority = root / "network" / "authority.pem"
        self.supervisor = Supervisor(root, self.plan.nodes)

    def command(self, *words: str, typed: str = "", client: str = "auditor") -> subprocess.CompletedProcess[str]:
        """``health-exchange audit`` with a connection."""
        connection = ["--url", self.url, "--ca", str(self.authority), "--client-id", client]
        connection += ["--key", str(self.root / f"{client}.pem")]
        return run(words[0], *connection, *words[1:], typed=typed)


def run(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange", "audit", *words],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    network = Running(tmp_path / "net")
    network.supervisor.start_all()
    trust = ssl.create_default_context(cafile=str(network.authority))
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30.0) as http:
            await network.supervisor.wait_until_healthy(http)
            hospital = FacilityClient(
                client_id="hospital",
                private_key_pem=(network.root / "hospital.pem").read_bytes(),
                base_url=network.url,
                http=http,
            )
            bundle = transaction(patient("p1", identity=SOMEBODY), observation("o1", "p1"))
            assert (await hospital.submit(bundle, request_id="r1")).status_code == 200
            await arrived(http, network)
        yield network
    finally:
        network.supervisor.stop_all()


async def arrived(http: httpx.AsyncClient, network: Running) -> None:
    """Until the nation has opened what was sent."""
    nation = next(node.fhir_url for node in network.plan.nodes if node.address.parent is None)
    async with asyncio.timeout(ARRIVED_WITHIN_S):
        while (await http.get(f"{nation}/operator/v1/status")).json()["opened"] == 0:
            await asyncio.sleep(0.2)


def traces(folder: Path) -> list[Path]:
    """Files below a folder that hold the identity."""
    return [path for path in folder.rglob("*") if path.is_file() and SOMEBODY.encode() in path.read_bytes()]


async def test_an_auditor_lists_shows_proves_gathers_and_reconciles(running: Running, tmp_path: Path) -> None:
    listed = await asyncio.to_thread(running.command, "list", "--person", "-", typed=f"{SOMEBODY}\n")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "facility hospital" in listed.stdout
    assert "  receive   node cn/33/330521" in listed.stdout
    assert "of 4 nodes" in listed.stdout

    line = next(line for line in listed.stdout.splitlines() if " write " in line)
    position = line.split("#")[1].split()[0]
    shown = await asyncio.to_thread(running.command, "show", position)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "treatment (TREAT)" in shown.stdout
    assert "the same request, everywhere" in shown.stdout

    proof = tmp_path / "proof.json"
    proved = await asyncio.to_thread(running.command, "prove", position, "--out", str(proof))
    assert proved.returncode == 0, proved.stdout + proved.stderr
    verified = await asyncio.to_thread(run, "verify", str(proof))
    assert verified.returncode == 0
    assert f"Entry {position} stands in the log" in verified.stdout

    folder = tmp_path / "evidence"
    gathered = await asyncio.to_thread(
        running.command, "evidence", "--person", "-", "--out", str(folder), typed=f"{SOMEBODY}\n"
    )
    assert gathered.returncode == 0, gathered.stdout + gathered.stderr
    assert (await asyncio.to_thread(run, "verify", str(folder))).returncode == 0
    first = next((folder / "proofs").rglob("*.json"))
    first.write_bytes(first.read_bytes().replace(b"allowed", b"refused"))
    broken = await asyncio.to_thread(run, "verify", str(folder))
    assert broken.returncode == 1
    assert first.name in broken.stdout

    reconciled = await asyncio.to_thread(running.command, "reconcile")
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
    assert "Nothing stands out" in reconciled.stdout

    outputs = (listed, shown, proved, gathered, reconciled)
    assert not [each for each in outputs if SOMEBODY in each.stdout + each.stderr]
    assert traces(tmp_path) == []


async def test_what_goes_wrong_is_told_and_has_its_exit_code(running: Running, tmp_path: Path) -> None:
    refused = await asyncio.to_thread(running.command, "list", client="hospital")
    assert (refused.returncode, "auditor" in refused.stderr) == (2, True)

    (tmp_path / "there").mkdir()
    existing = await asyncio.to_thread(running.command, "evidence", "--out", str(tmp_path / "there"))
    assert (existing.returncode, "exists already" in existing.stderr) == (2, True)

    # Code 3 says that the node cannot answer just now, as one that is busy does: whoever asked asks again.
    attempts = 0
    while (absent := await asyncio.to_thread(running.command, "show", "99999")).returncode == 3 and attempts < 10:
        attempts += 1
    assert (absent.returncode, "no such entry" in absent.stderr) == (2, True), absent.stderr

    running.supervisor.kill(NodeAddress.parse("cn/51"))
    incomplete = await asyncio.to_thread(running.command, "list", "--everywhere")
    assert incomplete.returncode == 3
    assert "NOT COMPLETE: cn/51 away" in incomplete.stdout

    running.supervisor.kill(COUNTY)
    away = await asyncio.to_thread(running.command, "list")
    assert (away.returncode, "cannot be reached" in away.stderr) == (3, True)
    for each in (refused, existing, absent, incomplete, away):
        assert "Traceback" not in each.stderr

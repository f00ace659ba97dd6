"""Real processes, real ports: every node is ended by SIGKILL in the middle of the replay, and the end is the same.

The undisturbed run and the disturbed one replay the same sample records; what every node keeps and holds back, and what
the nation knows, must be identical, and every log must verify.
"""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest

from health_exchange.cli.demo.live import fetch_network
from health_exchange.cli.demo.network import demo_plan
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.samples import Samples, read_samples
from health_exchange.cli.demo.setting import make_setting
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.samples.writer import make_files
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.inspection import verify_logs
from health_exchange.wiring.plan import NetworkPlan

PEOPLE = 14
DEAD_FOR_S = 0.5
SETTLE_WITHIN_S = 120.0

Summary = dict[str, tuple[int, int, dict[str, int], dict[str, int]]]

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("samples")
    for path, raw in make_files(seed=3, people=PEOPLE).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    return read_samples(folder)


async def test_the_end_is_the_same_whoever_is_killed(samples: Samples, tmp_path: Path) -> None:
    undisturbed = await run_network(tmp_path / "undisturbed", samples, kill=False)
    disturbed = await run_network(tmp_path / "disturbed", samples, kill=True)

    assert disturbed == undisturbed
    assert undisturbed["cn"][0] > 0


async def run_network(root: Path, samples: Samples, *, kill: bool) -> Summary:
    """Replay on a network of its own; what every node ends with."""
    plan = demo_plan()
    keys = make_setting(root, plan, samples)
    supervisor = Supervisor(root, plan.nodes)
    supervisor.start_all()
    trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30.0) as http:
            await supervisor.wait_until_healthy(http)
            replay = Replay(plan=plan, samples=samples, keys=keys, http=http)
            replaying = asyncio.create_task(replay.run())
            if kill:
                await kill_each(plan, supervisor, replay)
            await replaying
            assert replay.failures == []
            assert sum(replay.sent.values()) == samples.count
            status = await settled(http, plan)
    finally:
        supervisor.stop_all()
    failures = [finding for log in verify_logs(root) for finding in log.failures]
    assert failures == []
    return {node.address: (node.resources, node.persons, node.held, node.shared_with) for node in status.nodes}


async def kill_each(plan: NetworkPlan, supervisor: Supervisor, replay: Replay) -> None:
    """Kill every node in turn, spread over the replay; each comes back on what its disk holds."""
    victims = [node.address for node in plan.nodes]
    for number, victim in enumerate(victims):
        while sum(replay.sent.values()) < replay.samples.count * number // (len(victims) + 2):
            await asyncio.sleep(0.02)
        supervisor.kill(victim)
        await asyncio.sleep(DEAD_FOR_S)
        supervisor.start(victim)


async def settled(http: httpx.AsyncClient, plan: NetworkPlan) -> NetworkStatus:
    """The tree's numbers once nothing is under way."""
    nation = next(node.fhir_url for node in plan.nodes if node.address.parent is None)
    quiet = 0
    async with asyncio.timeout(SETTLE_WITHIN_S):
        while True:
            await asyncio.sleep(0.5)
            try:
                status = await fetch_network(http, nation)
            except httpx.HTTPError:
                continue
            if not status.away and all(node.is_settled for node in status.nodes):
                quiet += 1
                if quiet == 3:
                    return status
            else:
                quiet = 0

"""Real processes, the operator's own commands: a province backed up under load loses its database, and comes back."""

import asyncio
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.processes.test_kill import settled

from health_exchange.cli.demo.network import demo_plan
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.samples import Samples, read_samples
from health_exchange.cli.demo.setting import make_setting
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.samples.writer import make_files
from health_exchange.model.addresses import NodeAddress
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.inspection import verify_logs
from health_exchange.wiring.network_folder import node_folder

PEOPLE = 6
PROVINCE = NodeAddress.parse("cn/33")

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("samples")
    for path, raw in make_files(seed=5, people=PEOPLE).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    return read_samples(folder)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What ``health-exchange`` says."""
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )


def told(*arguments: str | Path) -> str:
    """As :func:`command`, of one that does what it should."""
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_province_comes_back_with_everything_it_had(samples: Samples, tmp_path: Path) -> None:
    root, plan = tmp_path / "network", demo_plan()
    keys = make_setting(root, plan, samples)
    settings = node_folder(root, PROVINCE) / "node.toml"
    recovery, folder = tmp_path / "recovery", tmp_path / "backups"
    await asyncio.to_thread(told, "database", "recovery-key", recovery)
    supervisor = Supervisor(root, plan.nodes)
    supervisor.start_all()
    trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30.0) as http:
            await supervisor.wait_until_healthy(http)
            early, late = (Replay(plan=plan, samples=half, keys=keys, http=http) for half in halves(samples))
            sealing = ("--recovery-key", f"{recovery}.pub", "--folder", folder)
            backing_up = asyncio.to_thread(told, "database", "backup", "--settings", settings, *sealing)
            await asyncio.gather(early.run(), backing_up)
            await late.run()
            assert early.failures + late.failures == []
            before = summary(await settled(http, plan))
            supervisor.kill(PROVINCE)
            report = await asyncio.to_thread(bring_back, settings, recovery, folder)
            supervisor.start(PROVINCE)
            after = summary(await settled(http, plan))
            compared = await asyncio.to_thread(command, "database", "compare", "--settings", settings)
    finally:
        supervisor.stop_all()

    assert after == before
    assert "are sent again" in report
    assert "database-taken" in compared.stderr  # the node is at work
    failures = [finding for log in verify_logs(root) for finding in log.failures]
    assert failures == []
    assert [len(log.restores) for log in verify_logs(root) if log.restores] == [1]


def halves(samples: Samples) -> tuple[Samples, Samples]:
    """What is sent while the backup is taken, and what is sent after it."""
    middles = {address: len(bundles) // 2 for address, bundles in samples.bundles.items()}
    early = {address: bundles[: middles[address]] for address, bundles in samples.bundles.items()}
    late = {address: bundles[middles[address] :] for address, bundles in samples.bundles.items()}
    return replace(samples, bundles=early), replace(samples, bundles=late)


def bring_back(settings: Path, recovery: Path, folder: Path) -> str:
    """Lose the database, restore it, and rejoin; the report."""
    for path in settings.parent.glob("node.sqlite*"):
        path.unlink()
    (bulk,), (keys,) = folder.glob("*.bulk"), folder.glob("*.keys")
    files = ("--bulk", bulk, "--keys", keys)
    told("database", "restore", "--settings", settings, "--recovery-key", recovery, *files)
    too_early = command("node", "run", "--settings", settings)
    assert too_early.returncode == 1
    assert "not-rejoined" in too_early.stderr
    return told("database", "rejoin", "--settings", settings)


def summary(status: NetworkStatus) -> dict[str, tuple[int, int, dict[str, int], dict[str, int]]]:
    return {node.address: (node.resources, node.persons, node.held, node.shared_with) for node in status.nodes}

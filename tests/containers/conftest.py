"""One network of ten nodes in containers for all tests here, whatever their order: none leaves it other than it was.

Beside it the demo, in processes and undisturbed, on the same records: what the network in containers must count.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.containers.engine import Compose, compose_here
from tests.containers.replays import Report, nodes, read_report, replaying

from health_exchange.cli.samples.writer import make_files

FURTHER_SEED = 4
FURTHER_PEOPLE = 96
DEMO_WITHIN_S = 300.0
DEMO_ENDS_WITHIN_S = 60.0


@pytest.fixture(scope="session")
def network() -> Iterator[Compose]:
    """The network, brought up by what ``make up`` runs, and taken away for good."""
    compose = compose_here("national")
    compose.run("build", "init", "database-cn")
    try:
        compose.run("up", "--detach")
        yield compose
    finally:
        compose.take_away()


@pytest.fixture(scope="session")
def ready(network: Compose) -> Compose:
    """The network, once every node says that it is ready."""
    for service in nodes().values():
        network.until_ready(service)
    return network


@pytest.fixture(scope="session")
def idle(ready: Compose) -> dict[str, int]:
    """What every node takes of memory once it is ready and before it has done anything."""
    return {service: ready.memory_bytes(service) for service in nodes().values()}


@pytest.fixture(scope="session")
def replayed(network: Compose, idle: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of the first replay."""
    assert idle
    with replaying(network, tmp_path_factory.mktemp("first")) as first:
        return first.report()


@pytest.fixture(scope="session")
def further(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of other people than those that ship with the program."""
    folder = tmp_path_factory.mktemp("further")
    for path, raw in make_files(seed=FURTHER_SEED, people=FURTHER_PEOPLE).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def demo(further: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Report]:
    """What the demo reports, and after it a replay of the further records on the demo's network."""
    folder = tmp_path_factory.mktemp("demo")
    first, second = folder / "first.json", folder / "second.json"
    program, root = (sys.executable, "-m", "health_exchange"), str(folder / "demo")
    with subprocess.Popen(  # noqa: S603  # our own program
        [*program, "demo", "--stay", "--dir", root, "--json", str(first)], stdout=subprocess.DEVNULL
    ) as staying:
        try:
            deadline = time.monotonic() + DEMO_WITHIN_S
            while not first.is_file():
                assert staying.poll() is None, staying.returncode
                assert time.monotonic() < deadline, "the demo does not come to its report"
                time.sleep(0.2)
            words = ("replay", "--dir", root, "--samples", str(further), "--json", str(second))
            subprocess.run([*program, *words], check=True, stdout=subprocess.DEVNULL, timeout=DEMO_WITHIN_S)  # noqa: S603  # our own program
        finally:
            staying.terminate()
            staying.wait(timeout=DEMO_ENDS_WITHIN_S)
    return read_report(first), read_report(second)

"""The ten nodes in containers: they come up, count what the demo counts, and lose nothing when a part is killed.

One network serves all tests here, whatever their order: none leaves it other than it was.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.containers.engine import TREE, Compose, compose_here

from health_exchange.wiring.plan_file import read_plan

IDLE_BYTES = 200 * 1024 * 1024
WHOLE = ("records_in", "persons", "persons_across_provinces")
"""What the report counts over the whole tree."""
AT_NODES = ("held", "resources")
KILLED = ("database-cn-33-3305-330521", "cn-51", "database-cn")
"""Of an admitting node, of a key holder that relays, and of the nation."""

Report = dict[str, Any]

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def nodes(network: str = "national") -> dict[str, str]:
    """The plan's nodes: service by address."""
    plan = read_plan(TREE / "deploy" / "networks" / f"{network}.toml")
    return {str(node.address): str(node.address).replace("/", "-") for node in plan.nodes}


@pytest.fixture(scope="module")
def network() -> Iterator[Compose]:
    """The network, brought up by what ``make up`` runs, and taken away for good."""
    compose = compose_here("national")
    compose.run("build", "init", "database-cn")
    try:
        compose.run("up", "--detach")
        yield compose
    finally:
        compose.take_away()


@pytest.fixture(scope="module")
def ready(network: Compose) -> Compose:
    """The network, once every node says that it is ready."""
    for service in nodes().values():
        network.until_ready(service)
    return network


@pytest.fixture(scope="module")
def idle(ready: Compose) -> dict[str, int]:
    """What every node takes of memory once it is ready and before it has done anything."""
    return {service: ready.memory_bytes(service) for service in nodes().values()}


@pytest.fixture(scope="module")
def replayed(network: Compose, idle: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of the first replay."""
    assert idle
    return replay(network, tmp_path_factory.mktemp("first"))


def replay(network: Compose, folder: Path) -> Report:
    """The report of ``make replay``, for machines."""
    folder.chmod(0o777)  # the container's user is nobody here
    words = ("run", "--rm", "-T", "-v", f"{folder}:/report", "replay")
    told = network.run(*words, "replay", "--dir", "/exchange", "--json", "/report/report.json", check=False)
    file = folder / "report.json"
    assert file.is_file(), told[-4000:]
    report: Report = msgspec.json.decode(file.read_bytes())
    # Before the counts, what was found wrong, and beside it what it was found by.
    assert report["disagreements"] == [], (report["break_glass"], report["lookup"], report["consent"])
    return report


def counts(report: Report) -> dict[str, Any]:
    """What two reports on the same records must agree in."""
    return {name: report[name] for name in WHOLE} | {
        node["address"]: {name: node[name] for name in AT_NODES} for node in report["nodes"]
    }


def test_the_replay_counts_what_the_demo_counts(replayed: Report, tmp_path: Path) -> None:
    demo = tmp_path / "demo.json"
    words = ("demo", "--once", "--dir", str(tmp_path / "demo"), "--json", str(demo))
    subprocess.run([sys.executable, "-m", "health_exchange", *words], check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own program
    told: Report = msgspec.json.decode(demo.read_bytes())

    assert counts(replayed) == counts(told)
    assert replayed["audit"]["failures"] == 0
    for part in ("records_at_nation", "records_granted", "consent"):
        assert replayed[part] == told[part], part
    assert replayed["lookup"]["resources"] == told["lookup"]["resources"] > 0
    assert replayed["break_glass"]["broken"] == told["break_glass"]["broken"] > 0
    assert len(replayed["left_out"]) == 1
    assert told["left_out"] == []


def test_what_is_killed_comes_back_and_nothing_is_lost_or_doubled(
    network: Compose, replayed: Report, tmp_path: Path
) -> None:
    network.run("kill", "-s", "KILL", *KILLED)
    network.run("start", *KILLED)

    again = replay(network, tmp_path)

    assert again["audit"]["failures"] == 0
    assert again["audit"]["entries"] > replayed["audit"]["entries"]
    for name in WHOLE:
        assert again[name] == replayed[name], name


def test_containers_may_do_little_and_know_no_secret_from_their_surroundings(network: Compose) -> None:
    secret = network.execute("cn", "cat", "database-password").strip()
    assert len(secret) > 40

    known = network.inspect()

    lasting = set(known) - {"init", "schema", "replay"}
    assert lasting == {*nodes().values(), *(f"database-{each}" for each in nodes().values())}
    assert secret not in str(known)
    for service in lasting:
        host = known[service]["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert known[service]["Config"]["User"] in {"10001:10001", "10002:10002"}, service


AS_NODE = """\
import pathlib, psycopg, sys
password = pathlib.Path("database-password").read_text()
with psycopg.connect(host=sys.argv[1], user="node", dbname="node", password=password) as connection:
    print(connection.execute(sys.argv[2]).rowcount, "rows")
"""


@pytest.mark.parametrize(
    ("database", "statement", "told"),
    [
        ("database-cn", "SELECT 1", "1 rows"),
        ("database-cn-33", "SELECT 1", "password authentication failed"),
        ("database-cn", "DELETE FROM audit_entries", "permission denied"),
        ("database-cn", "DROP TABLE resources", "must be owner"),
    ],
)
def test_a_database_lets_in_its_own_node_alone_and_only_as_a_node(
    ready: Compose, database: str, statement: str, told: str
) -> None:
    assert told in ready.execute("cn", "python3", "-c", AS_NODE, database, statement, check=False)


def test_what_is_a_nodes_own_is_in_no_other_container(network: Compose) -> None:
    for service in nodes().values():
        folders = network.execute(service, "sh", "-c", "ls /exchange; ls /exchange/nodes").split()
        files = network.execute(service, "sh", "-c", "find . -type f | xargs stat -c '%a %u'").splitlines()
        assert folders == ["nodes", service]
        assert len(files) > 8
        assert set(files) == {"600 10001"}


def test_making_the_network_again_changes_nothing(network: Compose) -> None:
    look = ("cn", "sha256sum", "keys.json", "node.toml", "network/directory.sig")
    before = network.execute(*look)

    told = network.run("run", "--rm", "-T", "init")

    assert "already" in told
    assert network.execute(*look) == before


def test_another_plan_does_not_overwrite_a_network(network: Compose) -> None:
    words = ("-e", "COMPOSE_PROFILES=small", "--entrypoint", "health-exchange", "init")
    told = network.run(
        *("run", "--rm", "-T", *words, "network", "create"),
        *("--plan", "/deploy/networks/small.toml", "--dir", "/exchange"),
        check=False,
    )

    assert "holds another network, of 10 nodes" in told


def test_an_idle_node_is_small(idle: dict[str, int]) -> None:
    assert min(idle.values()) > 0
    assert max(idle.values()) < IDLE_BYTES, idle

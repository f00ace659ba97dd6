"""The ten nodes in containers: they come up, count what the demo counts, and have no more than is theirs."""

import pytest
from tests.containers.engine import EXCHANGE, Compose
from tests.containers.replays import Report, counts, nodes

IDLE_BYTES = 200 * 1024 * 1024

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def test_the_replay_counts_what_the_demo_counts(replayed: Report, demo: tuple[Report, Report]) -> None:
    told = demo[0]

    assert counts(replayed) == counts(told)
    for part in ("records_at_nation", "records_granted", "consent"):
        assert replayed[part] == told[part], part
    assert replayed["lookup"]["resources"] == told["lookup"]["resources"] > 0
    assert replayed["break_glass"]["broken"] == told["break_glass"]["broken"] > 0
    assert len(replayed["left_out"]) == 1
    assert told["left_out"] == []


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


AS_ROLE = """\
import pathlib, psycopg, sys
password = pathlib.Path("database-password").read_text()
with psycopg.connect(host=sys.argv[1], user=sys.argv[2], dbname="node", password=password) as connection:
    print(connection.execute(sys.argv[3]).rowcount, "rows")
"""
"""With the password of the node it runs beside."""


@pytest.mark.parametrize(
    ("database", "role", "statement", "told"),
    [
        ("database-cn", "node", "SELECT 1", "1 rows"),
        ("database-cn", "owner", "SELECT 1", "password authentication failed"),
        ("database-cn", "node", "DELETE FROM audit_entries", "permission denied"),
        ("database-cn", "node", "DROP TABLE resources", "must be owner"),
        ("database-cn-33", "node", "SELECT 1", "failed to resolve host"),
    ],
)
def test_a_database_lets_in_its_own_node_alone_and_only_as_a_node(
    ready: Compose, database: str, role: str, statement: str, told: str
) -> None:
    assert told in ready.execute("cn", "python3", "-c", AS_ROLE, database, role, statement, check=False)


def test_nodes_meet_on_one_network_alone(network: Compose) -> None:
    on = {service: set(each["NetworkSettings"]["Networks"]) for service, each in network.inspect().items()}

    for one in nodes().values():
        for other in set(nodes().values()) - {one}:
            assert on[one] & on[other] == {EXCHANGE}
            assert not on[one] & on[f"database-{other}"]


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

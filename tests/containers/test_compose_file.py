"""The compose file, as text: its services are those of the plans, and both generations of compose can read it."""

import re

import pytest
from tests.containers.engine import TREE

from health_exchange.cli.demo.network import demo_plan
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.plan_file import read_plan

TEXT = (TREE / "docker-compose.yml").read_text("utf-8")
SERVICES = {
    name: (kind, profiles.split(", "), body)
    for name, kind, profiles, body in re.findall(
        r"^  (\S+):\n    <<: \*(node|database)\n    profiles: \[(.*)\]\n((?:    .*\n)+)", TEXT, re.MULTILINE
    )
}


def planned(network: str) -> NetworkPlan:
    return read_plan(TREE / "deploy" / "networks" / f"{network}.toml")


@pytest.mark.parametrize("network", ["national", "small"])
def test_each_node_of_a_plan_has_a_service_a_database_and_volumes_of_its_own(network: str) -> None:
    hosts = [str(node.address).replace("/", "-") for node in planned(network).nodes]

    assert sorted(name for name, (_kind, profiles, _body) in SERVICES.items() if network in profiles) == sorted(
        [*hosts, *(f"database-{host}" for host in hosts)]
    )
    for host in hosts:
        node, database = SERVICES[host][2], SERVICES[f"database-{host}"][2]
        assert f"working_dir: /exchange/nodes/{host}\n" in node
        assert f"networks: [exchange, database-{host}]\n" in node
        assert f"networks: [database-{host}]\n" in database
        assert f"schema: {{condition: service_completed_successfully}}, database-{host}:" in node
        assert re.findall(r"(?:node|password|database)-[\w-]+:/", node) == [f"node-{host}:/"]
        assert re.findall(r"(?:node|password|database)-[\w-]+:/", database) == [
            f"password-{host}:/",
            f"database-{host}:/",
        ]
    for node in planned(network).nodes:
        host = str(node.address).replace("/", "-")
        assert node.fhir_url == f"https://{host}:8443"
        assert node.exchange_url == f"https://{host}:8444"
        assert node.database == f"postgresql+psycopg://node@database-{host}/node"


def test_who_brings_schemas_up_to_date_has_no_nodes_folder_and_who_admits_the_nations_alone() -> None:
    bodies = dict(re.findall(r"^  (schema|admit):\n((?:    .*\n|\n)+)", TEXT, re.MULTILINE))

    assert re.findall(r"- ((?:node|authority|clients)[\w-]*):/", bodies["schema"]) == []
    assert re.findall(r"- ([\w-]+):/", bodies["admit"]) == ["authority", "node-cn"]


@pytest.mark.enable_socket
def test_the_national_network_is_the_demos() -> None:
    demo, national = demo_plan(), planned("national")

    assert [(node.address, node.tier, node.name) for node in national.nodes] == [
        (node.address, node.tier, node.name) for node in demo.nodes
    ]
    assert (national.holders, national.threshold) == (demo.holders, demo.threshold)


def test_the_small_network_has_one_node_of_every_tier() -> None:
    tiers = [node.tier for node in planned("small").nodes]

    assert sorted(tiers) == sorted({node.tier for node in planned("national").nodes})


def test_nothing_in_the_file_is_for_one_generation_of_compose_alone() -> None:
    keys = set(re.findall(r"^ *([\w-]+):", TEXT, re.MULTILINE))

    assert not keys & {"version", "name", "secrets", "deploy", "container_name", "links"}
    assert {"mem_limit", "cpus"} <= keys

"""What the operator API says of itself: every route that a node has, and no other."""

from pathlib import Path

import pytest
from tests.api.door import COUNTY, Door
from tests.federation.network import Network
from tests.federation.records import national_id

from health_exchange.api.operator_description import DESCRIBED, DESCRIPTION_PATH
from health_exchange.wiring.assembly import fhir_app

PREFIXES = ("/health/", "/metrics", "/operator/")
"""What stands under these is the operator API."""


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def routes_of(door: Door) -> set[tuple[str, str]]:
    """What the node mounts of the operator API; HEAD comes with every GET."""
    routes = fhir_app(door.node, {}).routes
    return {
        (method, route.path)
        for route in routes
        for method in (route.methods or set()) - {"HEAD"}
        if route.path.startswith(PREFIXES)
    }


@pytest.mark.parametrize("address", [COUNTY, "cn/33/3305", "cn/33", "cn"])
async def test_a_node_describes_exactly_the_routes_it_has(network: Network, tmp_path: Path, address: str) -> None:
    door = Door(tmp_path, address, network)

    answer = await door.http.get(DESCRIPTION_PATH)

    described = answer.json()["paths"]
    told = {(method.upper(), path) for path, methods in described.items() for method in methods}
    assert told == routes_of(door)
    assert told <= DESCRIBED.keys()


async def test_every_description_is_of_a_route_that_some_node_has(network: Network, tmp_path: Path) -> None:
    assert routes_of(Door(tmp_path, COUNTY, network)) == DESCRIBED.keys()


async def test_what_needs_no_token_is_said_to_and_the_rest_refuses_without(network: Network, tmp_path: Path) -> None:
    door = Door(tmp_path, COUNTY, network)

    for (method, path), row in DESCRIBED.items():
        answer = await door.http.request(method, path.replace("{", "").replace("}", ""), json=dict(row.example))
        assert (answer.status_code != 401) == row.is_open, path


async def test_a_url_that_is_refused_before_all_else_is_a_failure_that_every_route_describes(
    network: Network, tmp_path: Path
) -> None:
    door = Door(tmp_path, COUNTY, network)
    described = (await door.http.get(DESCRIPTION_PATH)).json()["paths"]

    for method, path in DESCRIBED:
        answer = await door.http.request(method, f"{path}?x={national_id(1)}".replace("{", "").replace("}", ""))
        assert str(answer.status_code) == "400"
        assert "400" in described[path][method.lower()]["responses"]


@pytest.mark.parametrize("path", ["search", "evidence"])
async def test_a_node_that_is_not_in_the_directory_is_a_failure_that_is_described(
    network: Network, tmp_path: Path, path: str
) -> None:
    door = Door(tmp_path, COUNTY, network)
    described = (await door.http.get(DESCRIPTION_PATH)).json()["paths"]
    answer = await door.send("POST", f"/operator/v1/audit/{path}", {"nodes": ["cn/99"]}, who="auditor")

    assert answer.status_code == 404
    assert "404" in described[f"/operator/v1/audit/{path}"]["post"]["responses"]


def test_names_of_operations_are_unique() -> None:
    assert len({row.name for row in DESCRIBED.values()}) == len(DESCRIBED)

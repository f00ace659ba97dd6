"""Nodes are data: a country of 3 provinces, 9 cities and 30 counties runs in one process, with nothing but a plan."""

from pathlib import Path

import pytest
from tests.federation.network import Network, plan_of
from tests.federation.practitioners import look_up, resources_of
from tests.federation.records import immunization, national_id, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.wiring.plan import NetworkPlan

PROVINCES, CITIES_EACH, COUNTIES = 3, 3, 30


def country() -> NetworkPlan:
    """Codes count up; counties are dealt to cities in turn, one straight to its province."""
    provinces = [f"cn/{11 + number}" for number in range(PROVINCES)]
    cities = [
        f"{province}/{province[-2:]}{number:02d}" for province in provinces for number in range(1, CITIES_EACH + 1)
    ]
    parents = [*cities, provinces[0]]
    counties = [
        f"{parents[number % len(parents)]}/{parents[number % len(parents)].split('/')[-1]:0<4}{number:02d}"
        for number in range(1, COUNTIES + 1)
    ]
    return plan_of(["cn", *provinces, *cities, *counties], holders=["cn", *provinces[:2]])


async def test_one_person_of_thirty_counties_is_one_person_at_the_nation(tmp_path: Path) -> None:
    plan = country()
    network = Network(tmp_path, plan)
    counties = [str(node.address) for node in plan.nodes if node.tier is Tier.COUNTY]
    for number, county in enumerate(counties):
        everyone = patient("p0", identity=national_id(0))
        own = patient("p1", identity=national_id(number + 1))
        await network.admit(
            county,
            transaction(everyone, own, observation("o0", "p0"), immunization("i1", "p1")),
            f"request-{number}",
        )
    await network.settle()

    assert len(counties) == COUNTIES
    assert len(plan.nodes) == 1 + PROVINCES + PROVINCES * CITIES_EACH + COUNTIES
    nation = network.kept("cn")
    assert set(nation) == network.granted("cn")
    assert len(nation) == 4 * COUNTIES
    assert len({person for _origin, _version, person, _body in nation.values()}) == COUNTIES + 1
    for node in plan.nodes:
        if node.tier in {Tier.CITY, Tier.PROVINCE}:
            kept = network.kept(str(node.address))
            assert set(kept) == network.granted(str(node.address))
            assert all(node.address.contains(NodeAddress.parse(origin)) for origin, *_rest in kept.values())
    assert network.log_failures() == []


@pytest.mark.parametrize("count", [12, pytest.param(60, marks=pytest.mark.slow)])
async def test_a_person_of_many_counties_is_looked_up_in_all_of_them(tmp_path: Path, count: int) -> None:
    counties = [f"cn/11/1101{number:02d}" for number in range(1, count + 1)]
    network = Network(tmp_path, plan_of(["cn", "cn/11", "cn/12", *counties], holders=["cn", "cn/11", "cn/12"]))
    for number, county in enumerate(counties):
        await network.admit(county, transaction(patient("p0", identity=national_id(0))), f"request-{number}")
    await network.settle()
    result = await look_up(network, national_id(0), at=counties[0])

    assert len(resources_of(result)) == len(counties)
    assert result.is_whole


@pytest.mark.parametrize("count", [31])
def test_a_nation_with_all_its_provinces_needs_a_plan_only(count: int) -> None:
    provinces = [f"cn/{11 + number}" for number in range(count)]
    municipality = f"{provinces[0]}/110101"

    plan = plan_of(["cn", *provinces, municipality], holders=["cn", *provinces[1:3]])

    witnesses = {node.address: plan.witnesses(node.address) for node in plan.nodes}
    assert all(len(chosen) >= 1 for chosen in witnesses.values())
    assert all(not set(chosen) & set(plan.holders) for address, chosen in witnesses.items() if address in plan.holders)

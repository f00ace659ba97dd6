"""One record's way from a hospital to the nation, and what each kind of change does there."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.federation.network import HOSPITAL, Network
from tests.federation.records import condition, immunization, national_id, observation, patient, transaction

from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.erasing import erase_person
from health_exchange.node.writes import WriteResult
from health_exchange.protocol.exchange_ids import exchange_id

COUNTY, HOSPITALS_OF_51 = "cn/33/3305/330521", "cn/51/5100"
ABOVE = ("cn/33/3305", "cn/33", "cn")
CALLER = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("story"))


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def above(network: Network, resource_type: str, local_id: str, origin: str = COUNTY) -> tuple[str, str]:
    return resource_type, exchange_id(network[origin].parts.keys.exchange_ids, resource_type, local_id)


async def test_a_record_reaches_every_tier_that_policy_lets_open_it(network: Network) -> None:
    who = patient("p1", identity=national_id(1))
    await network.admit(
        COUNTY,
        transaction(who, observation("o1", "p1"), immunization("i1", "p1"), condition("c1", "p1", "F32.9")),
        "r1",
    )
    await network.settle()

    for address in ABOVE:
        assert set(network.kept(address)) == network.granted(address)
    assert above(network, "Observation", "o1") in network.kept("cn")
    assert above(network, "Observation", "o1") not in network.kept("cn/33/3305")
    assert above(network, "Immunization", "i1") in network.kept("cn/33/3305")
    # A psychiatric diagnosis is not pushed to anyone.
    assert not [place for address in ABOVE for place in network.kept(address) if place[0] == "Condition"]
    assert network.log_failures() == []


async def test_what_arrives_keeps_every_value_and_no_identity(network: Network) -> None:
    number = national_id(2)
    await network.admit(COUNTY, transaction(patient("p1", identity=number), observation("o1", "p1")), "r1")
    await network.settle()

    body = network.kept("cn")[above(network, "Observation", "o1")][3]
    assert b'"value":1.50' in body
    assert b"2026-01-02T03:04:05+08:00" in body
    for node in network.nodes:
        assert number.encode() not in network.disk_of(node)
    for address in ABOVE:
        for _origin, _version, _person, kept in network.kept(address).values():
            assert number.encode() not in kept
            assert "测试".encode() not in kept


async def test_one_person_of_two_provinces_has_one_pseudonym_at_the_nation(network: Network) -> None:
    for address, name in ((COUNTY, "a"), (HOSPITALS_OF_51, "b")):
        who = patient(name, identity=national_id(3))
        await network.admit(address, transaction(who, observation(f"o{name}", name)), f"r{name}")
    await network.settle()

    persons = {person for _origin, _version, person, _body in network.kept("cn").values()}
    origins = {origin for origin, _version, _person, _body in network.kept("cn").values()}
    assert len(persons) == 1
    assert origins == {COUNTY, HOSPITALS_OF_51}


async def test_an_update_and_a_delete_arrive(network: Network) -> None:
    who = patient("p1", identity=national_id(4))
    await network.admit(COUNTY, transaction(who, observation("o1", "p1"), observation("o2", "p1")), "r1")
    await network.settle()
    await network.admit(COUNTY, transaction(observation("o1", "p1", "2.50"), delete=("Observation/o2",)), "r2")
    await network.settle()

    kept = network.kept("cn")
    assert kept[above(network, "Observation", "o1")][1] == 2
    assert b'"value":2.50' in kept[above(network, "Observation", "o1")][3]
    assert above(network, "Observation", "o2") not in kept


async def test_a_corrected_identity_moves_the_records_to_the_right_person(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(5)), observation("o1", "p1")), "r1")
    await network.settle()
    wrong = network.kept("cn")[above(network, "Observation", "o1")][2]
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(6))), "r2")
    await network.settle()

    for address in ("cn/33", "cn"):
        kept = network.kept(address)
        assert kept[above(network, "Observation", "o1")][2] != wrong
        assert {person for _o, _v, person, _b in kept.values()} == {kept[above(network, "Patient", "p1")][2]}


async def test_a_person_without_identity_is_held_and_released_later(network: Network) -> None:
    outcome = await network.admit(COUNTY, transaction(patient("p1", identity=None), observation("o1", "p1")), "r1")
    await network.settle()
    assert {result.held for result in outcome.results if isinstance(result, WriteResult)} == {"no-identity"}
    assert network.kept("cn") == {}

    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(7))), "r2")
    await network.settle()

    assert above(network, "Observation", "o1") in network.kept("cn")


async def test_an_erased_person_is_forgotten_everywhere(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(8)), observation("o1", "p1")), "r1")
    await network.settle()
    person = network.kept("cn")[above(network, "Observation", "o1")][2]
    assert person is not None

    assert await erase_person(network[COUNTY].parts, person, CALLER) == 2
    await network.settle()

    assert all(network.kept(address) == {} for address in (*ABOVE, COUNTY))
    assert network.log_failures() == []


async def test_a_raised_sensitivity_takes_back_what_was_shared(network: Network) -> None:
    who = patient("p1", identity=national_id(9))
    await network.admit(COUNTY, transaction(who, condition("c1", "p1", "J18.9")), "r1")
    await network.settle()
    assert above(network, "Condition", "c1") in network.kept("cn")

    await network.admit(COUNTY, transaction(condition("c1", "p1", "B20")), "r2")
    await network.settle()

    assert above(network, "Condition", "c1") not in network.kept("cn")
    assert above(network, "Condition", "c1") not in network.kept("cn/33")


Change = Callable[[Network], Awaitable[object]]


@pytest.mark.parametrize("down", ["cn/33/3305", "cn/33", "cn"])
async def test_changes_made_while_a_tier_was_down_arrive_once_it_is_back(network: Network, down: str) -> None:
    who = patient("p1", identity=national_id(10))
    await network.admit(COUNTY, transaction(who, observation("o1", "p1"), observation("o2", "p1")), "r1")
    await network.settle()
    network.faults.down.add(network[down].parts.address)
    await network.admit(COUNTY, transaction(observation("o1", "p1", "9.90"), delete=("Observation/o2",)), "r2")
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(11))), "r3")
    for _round in range(5):
        await network.round()
    network.faults.down.clear()
    await network.settle()

    for address in ABOVE:
        assert set(network.kept(address)) == network.granted(address)
    assert network.kept("cn")[above(network, "Observation", "o1")][1] == 2


async def test_the_same_request_twice_is_carried_out_once(network: Network) -> None:
    bundle = transaction(patient("p1", identity=national_id(12)), observation("o1", "p1"))
    first = await network.admit(COUNTY, bundle, "same")
    second = await network.admit(COUNTY, bundle, "same")
    await network.settle()

    carried_out = [each for each in first.results if isinstance(each, WriteResult)]
    assert len(carried_out) == 2
    assert second.results == [msgspec.structs.replace(each, is_repeat=True) for each in carried_out]
    assert network.kept("cn")[above(network, "Observation", "o1")][1] == 1


def consent(local_id: str, patient_id: str, *, provision: dict[str, object]) -> dict[str, object]:
    return {
        "resourceType": "Consent",
        "id": local_id,
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "dateTime": "2026-01-01",
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": provision,
    }


async def test_an_objection_to_sharing_takes_back_what_was_shared_and_its_withdrawal_shares_again(
    network: Network,
) -> None:
    who = patient("p1", identity=national_id(14))
    await network.admit(COUNTY, transaction(who, observation("o1", "p1")), "r1")
    await network.settle()
    assert above(network, "Observation", "o1") in network.kept("cn")

    await network.admit(COUNTY, transaction(consent("k1", "p1", provision={"type": "deny"})), "r2")
    await network.settle()
    assert all(network.kept(address) == {} for address in ABOVE)
    assert above(network, "Observation", "o1")[0] in {kind for kind, _id in network.kept(COUNTY)}

    await network.admit(COUNTY, transaction(delete=("Consent/k1",)), "r3")
    await network.settle()
    assert above(network, "Observation", "o1") in network.kept("cn")
    assert network.log_failures() == []

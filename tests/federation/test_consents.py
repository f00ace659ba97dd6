"""Consents on their way: before what they affect, through faults, at their hours, and taken back with receipts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from tests.federation.consents import (
    COUNTY,
    CREDIT_CODES,
    OTHER_HOSPITAL,
    OUR_HOSPITAL,
    deny,
    labels,
    may_look_up,
    permit,
    person_of,
    purposes,
    recipient,
    said_at,
    told,
)
from tests.federation.faults import Faults
from tests.federation.network import Network
from tests.federation.records import (
    condition,
    consent,
    immunization,
    national_id,
    objection,
    observation,
    patient,
    transaction,
)

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ForbiddenError, NotFoundError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node import sending
from health_exchange.node.callers import Caller
from health_exchange.node.cleaning import AllCleaned, clean_all
from health_exchange.node.erasing import erase_person
from health_exchange.node.everything import Everything
from health_exchange.policy.decisions import Principal
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.store import subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.schema import identity_cache

HOSPITALS_OF_51 = "cn/51/5100"
NOT_FOR_PUBLIC_HEALTH = permit(provision=[deny(purpose=purposes("PUBHLTH"))])
HIV_GRANT = permit(securityLabel=labels("HIV"))


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


async def admit(network: Network, *resources: Mapping[str, Any], origin: str = COUNTY) -> None:
    """Admit resources and let everything come to rest."""
    await network.admit(origin, transaction(*map(dict, resources)), f"r{network.dice.random()}")
    await network.settle()


def above(network: Network, resource_type: str, local_id: str, origin: str = COUNTY) -> tuple[str, str]:
    return resource_type, exchange_id(network[origin].parts.keys.exchange_ids, resource_type, local_id)


async def seen(network: Network, organization: str, purpose: Purpose = Purpose.TREATMENT, at: str = "cn") -> set[str]:
    """Types that a reader of an organisation sees of the person at a node above."""
    principal = Principal(kind="viewer", id="viewer", organization=organization, address=at)
    caller = Caller(principal=principal, purpose=purpose, request_id=RequestId("view"))
    try:
        found = await Everything(network[at].parts).records_of(person_of(network), caller)
    except (ForbiddenError, NotFoundError):
        return set()
    return {kept.type for kept in found}


async def test_who_objects_for_one_purpose_is_read_above_for_others_only(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    await admit(network, consent("n1", "p1", NOT_FOR_PUBLIC_HEALTH))

    for address in ("cn", "cn/33"):
        assert await seen(network, OUR_HOSPITAL, at=address) == {"Patient", "Observation", "Consent"}
        assert await seen(network, OUR_HOSPITAL, Purpose.PUBLIC_HEALTH, at=address) == set()


async def test_who_objects_to_one_organisation_is_read_above_by_others_only(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    await admit(network, consent("n1", "p1", permit(provision=[deny(actor=recipient(OTHER_HOSPITAL))])))

    assert await seen(network, OUR_HOSPITAL) == {"Patient", "Observation", "Consent"}
    assert await seen(network, OTHER_HOSPITAL) == set()
    assert await seen(network, "") == set()


@pytest.mark.parametrize("how", ["reference", "contained", "identifier"])
async def test_an_organisation_is_known_by_its_credit_code_however_it_is_referred_to(
    network: Network, how: str
) -> None:
    hospital = {
        "resourceType": "Organization",
        "id": "far",
        "identifier": [{"system": CREDIT_CODES, "value": OTHER_HOSPITAL}],
        "name": "far",
    }
    actor = recipient(OTHER_HOSPITAL)
    if how != "identifier":
        actor[0]["reference"] = {"reference": "Organization/far" if how == "reference" else "#far"}
    said = consent("n1", "p1", deny(actor=actor))
    if how == "contained":
        said["contained"] = [hospital]
    await admit(network, patient("p1", identity=national_id(1)), *([hospital] if how == "reference" else []), said)

    assert may_look_up(network, OTHER_HOSPITAL) == set()
    assert "general" in may_look_up(network, OUR_HOSPITAL)


async def test_an_organisation_that_nobody_knows_makes_an_objection_wider_and_a_grant_void(network: Network) -> None:
    actor = recipient("not-a-credit-code")
    await admit(network, patient("p1", identity=national_id(1)), consent("n1", "p1", deny(actor=actor)))
    assert may_look_up(network, OUR_HOSPITAL) == set()
    granted = permit(actor=actor, securityLabel=labels("HIV"))
    await admit(network, consent("n1", "p1", granted))

    assert "HIV" not in may_look_up(network, OUR_HOSPITAL)


async def test_an_objection_begins_and_ends_at_its_hours_without_anybody_writing(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    period = {"start": "2026-11-26", "end": "2026-11-27"}
    await admit(network, consent("n1", "p1", deny(period=period)))
    kept = {above(network, "Patient", "p1"), above(network, "Observation", "o1"), above(network, "Consent", "n1")}
    assert set(network.kept("cn")) == kept
    network.clock.advance(days=2)
    await network.settle()
    assert network.kept("cn") == {}
    assert told(network, person_of(network)) == {}
    network.clock.advance(days=2)
    await network.settle()

    assert set(network.kept("cn")) == kept
    assert COUNTY in told(network, person_of(network))


async def test_an_objection_begins_above_at_its_hour_though_nothing_gets_through(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    await admit(network, consent("n1", "p1", deny(period={"start": "2026-11-26"})))
    network.faults.cut.add(frozenset(map(NodeAddress.parse, ("cn", "cn/33"))))
    assert "Observation" in await seen(network, OUR_HOSPITAL)
    network.clock.advance(days=2)

    assert await seen(network, OUR_HOSPITAL) == set()
    assert above(network, "Observation", "o1") in network.kept("cn")


async def test_a_grant_ends_at_its_hour(network: Network) -> None:
    granted = permit(securityLabel=labels("HIV"), period={"end": "2026-12-31"})
    await admit(network, patient("p1", identity=national_id(1)), condition("c1", "p1", "B20"))
    await admit(network, consent("n1", "p1", granted))
    assert "HIV" in may_look_up(network, OUR_HOSPITAL)
    network.clock.advance(days=40)

    assert "HIV" not in may_look_up(network, OUR_HOSPITAL)


async def test_a_look_up_obeys_the_objections_of_all_holders_and_the_grants_of_the_holder_itself(
    network: Network,
) -> None:
    await admit(network, patient("p1", identity=national_id(1)), condition("c1", "p1", "B20"))
    there = patient("q", identity=national_id(1))
    await admit(network, there, consent("m1", "q", deny(securityLabel=labels("PSY"))), origin=HOSPITALS_OF_51)
    await admit(network, consent("m2", "q", permit(securityLabel=labels("HIV"))), origin=HOSPITALS_OF_51)

    assert told(network, person_of(network)) == {COUNTY: "", HOSPITALS_OF_51: "deny:PSY;permit:HIV"}
    assert may_look_up(network, OUR_HOSPITAL) == {"general", "label"}


async def test_what_a_category_is_objected_to_is_told_to_nobody_who_only_holds_copies(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    await admit(network, consent("n1", "p1", deny(securityLabel=labels("HIV"))))

    assert said_at(network, "cn/33", person_of(network)) == {""}
    assert told(network, person_of(network)) == {COUNTY: "deny:HIV"}


async def test_a_consent_taken_back_is_forgotten_above(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), consent("n1", "p1", NOT_FOR_PUBLIC_HEALTH))
    assert said_at(network, "cn", person_of(network)) != {""}
    await network.admit(COUNTY, transaction(delete=("Consent/n1",)), "r9")
    await network.settle()

    assert said_at(network, "cn", person_of(network)) == {""}
    assert told(network, person_of(network)) == {COUNTY: ""}


async def test_who_objects_while_a_record_is_being_sealed_is_heard_first(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = network[COUNTY].parts
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    person = person_of(network)

    def clean(*arguments: Any) -> AllCleaned:  # noqa: ANN401  # as they came
        (subject,) = parts.store.read_now(lambda tx: subjects.subjects_of(tx, person))
        parts.store.write_now(lambda tx: subjects.set_consent(tx, subject.sid, "deny:*"))
        return clean_all(*arguments)

    monkeypatch.setattr(sending, "clean_all", clean)
    await network.settle()

    assert network["cn"].parts.store.read_now(lambda tx: subjects.subjects_of(tx, person)) == []
    assert told(network, person) == {}


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
async def test_no_record_is_above_without_the_consent_that_came_before_it_whatever_the_links_do(
    seed: int, tmp_path: Path
) -> None:
    network = Network(tmp_path, faults=Faults(seed, rate=0.25, crash_rate=0.02))
    network.faults.is_on = False
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.admit(COUNTY, transaction(consent("n1", "p1", NOT_FOR_PUBLIC_HEALTH)), "r2")
    await network.admit(COUNTY, transaction(observation("o2", "p1"), immunization("i2", "p1")), "r3")
    network.faults.is_on = True
    person, later = person_of(network), {above(network, "Observation", "o2"), above(network, "Immunization", "i2")}
    for number in range(60):
        if number == 20:
            network.faults.cut.add(frozenset(map(NodeAddress.parse, ("cn", "cn/33"))))
        if number == 40:
            network.faults.cut.clear()
        await network.round()
        for address in ("cn", "cn/33", "cn/33/3305"):
            if later & set(network.kept(address)):
                (said,) = said_at(network, address, person)
                assert "PUBHLTH" in said
    network.faults.stop()
    await network.settle()

    assert later <= set(network.kept("cn"))
    assert "PUBHLTH" in told(network, person)[COUNTY]


async def test_what_is_taken_back_while_a_tier_is_down_is_gone_once_it_is_up(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    network.faults.down.add(NodeAddress.parse("cn/33"))
    await network.admit(COUNTY, transaction(objection("n1", "p1")), "r2")
    for _round in range(10):
        await network.round()
    assert above(network, "Observation", "o1") in network.kept("cn")
    network.faults.down.clear()
    await network.settle()

    assert network.kept("cn") == {}
    assert network.kept("cn/33") == {}


async def test_what_one_patient_said_holds_for_another_who_turns_out_later_to_be_the_same(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), objection("n1", "p1"))
    network[COUNTY].parts.store.write_now(_forget_cache)
    network.faults.cut |= {frozenset(map(NodeAddress.parse, (COUNTY, holder))) for holder in ("cn", "cn/33", "cn/51")}
    same = patient("p2", identity=national_id(1))
    await network.admit(COUNTY, transaction(same, observation("o2", "p2")), "r2")
    network.faults.cut.clear()
    await network.settle()

    assert network.kept("cn") == {}
    assert person_of(network, "p2") == person_of(network, "p1")


def _forget_cache(tx: Transaction) -> None:
    tx.execute(delete(identity_cache))


async def test_a_grant_goes_with_the_consent_that_is_moved_to_another_patient(network: Network) -> None:
    one, two = patient("p1", identity=national_id(1)), patient("p2", identity=national_id(2))
    await admit(network, one, two, consent("n1", "p1", HIV_GRANT))
    assert said_at(network, COUNTY, person_of(network)) == {"permit:HIV"}
    await admit(network, consent("n1", "p2", HIV_GRANT))

    assert said_at(network, COUNTY, person_of(network)) == {""}
    assert said_at(network, COUNTY, person_of(network, "p2")) == {"permit:HIV"}


async def test_a_grant_goes_with_whoever_turns_out_to_be_somebody_else(network: Network) -> None:
    one, two = (patient(name, identity=national_id(1)) for name in ("p1", "p2"))
    await admit(network, one, two, consent("n1", "p2", HIV_GRANT))
    assert said_at(network, COUNTY, person_of(network)) == {"permit:HIV"}
    await admit(network, patient("p2", identity=national_id(2)))

    assert said_at(network, COUNTY, person_of(network)) == {""}


async def test_an_erasure_leaves_whose_identity_is_being_corrected(network: Network) -> None:
    await admit(network, patient("p1", identity=national_id(1)), observation("o1", "p1"))
    person = person_of(network)
    network.faults.cut |= {frozenset(map(NodeAddress.parse, (COUNTY, holder))) for holder in ("cn", "cn/33", "cn/51")}
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(2))), "corrected")
    caller = Caller(
        principal=Principal(kind="operator", id="operator"),
        purpose=Purpose.PATIENT_REQUEST,
        request_id=RequestId("erasure"),
    )

    assert await erase_person(network[COUNTY].parts, person, caller) == 0
    assert set(network.kept(COUNTY)) == {("Patient", "p1"), ("Observation", "o1")}


@pytest.mark.parametrize(
    ("provision", "granted"),
    [
        (HIV_GRANT, True),
        (deny(provision=[HIV_GRANT]), True),
        (deny(purpose=purposes("PUBHLTH"), provision=[HIV_GRANT]), False),
        (deny(actor=recipient(OTHER_HOSPITAL), provision=[HIV_GRANT]), False),
        (permit(actor=recipient(OTHER_HOSPITAL), provision=[permit(provision=[HIV_GRANT])]), False),
        ({"provision": [{"securityLabel": labels("HIV")}]}, False),
        (permit(dataPeriod={"start": "2030-01-01"}, provision=[HIV_GRANT]), False),
    ],
)
async def test_a_grant_is_never_wider_than_the_provisions_around_it(
    network: Network, provision: dict[str, Any], *, granted: bool
) -> None:
    await admit(network, patient("p1", identity=national_id(1)), consent("n1", "p1", provision))

    assert ("HIV" in may_look_up(network, OUR_HOSPITAL)) == granted

"""The way back: a practitioner in another province gets what they may of a person's record, and every log knows it."""

from pathlib import Path

import pytest
from tests.federation.network import Network
from tests.federation.practitioners import (
    COUNTY,
    HOSPITALS_OF_51,
    entries_at,
    look_up,
    practitioner,
    resources_of,
)
from tests.federation.prepared import prepared
from tests.federation.records import condition, immunization, national_id, objection, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ForbiddenError, UnavailableError
from health_exchange.model.purposes import Purpose
from health_exchange.node.lookups import BadReasonError, GlassTooOftenError

NATION, ZHEJIANG, SICHUAN = (NodeAddress.parse(address) for address in ("cn", "cn/33", "cn/51"))
BTG = Purpose.BREAK_THE_GLASS


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


async def one_person(network: Network) -> None:
    """A country where one person has records in two provinces, of levels 2 to 5."""
    here = [condition("hiv", "p1", "B20"), condition("psy", "p1", "F32.9"), immunization("i1", "p1")]
    await network.admit(
        COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1", "1.50"), *here), "r1"
    )
    there = [patient("q1", identity=national_id(1)), observation("o2", "q1", "2.60")]
    await network.admit(HOSPITALS_OF_51, transaction(*there), "r2")
    await network.settle()


@pytest.fixture
async def known(tmp_path: Path) -> Network:
    return await prepared(tmp_path, one_person)


async def test_records_of_another_province_come_as_originals_with_their_source(known: Network) -> None:
    result = await look_up(known, national_id(1))

    found = {(each["resourceType"], each["id"]): each for each in resources_of(result)}
    assert set(found) == {
        ("Patient", "p1"),
        ("Observation", "o1"),
        ("Immunization", "i1"),
        ("Condition", "psy"),
        ("Patient", "q1"),
        ("Observation", "o2"),
    }
    assert found["Patient", "p1"]["name"] == [{"text": "测试a"}]
    assert found["Patient", "p1"]["meta"]["source"] == f"urn:health-exchange:{COUNTY}"
    raws = [raw for outcome in result.outcomes for raw in outcome.resources]
    assert any(b"1.50" in raw for raw in raws)
    assert result.is_whole
    assert len(set(result.ticket_holders)) == 2


async def test_every_node_on_the_way_has_it_in_its_log_under_one_request(known: Network) -> None:
    result = await look_up(known, national_id(1))
    entries = {
        address: [entry for entry in entries_at(known, address) if entry.request_id == result.request_id]
        for address in ("cn", "cn/33", "cn/51", COUNTY, HOSPITALS_OF_51)
    }

    evaluated = [entry for group in entries.values() for entry in group if entry.kind == "evaluate"]
    assert len(evaluated) == 2
    assert all(entry.principal == "dr-wang" and not entry.subjects for entry in evaluated)
    assert [entry.kind for entry in entries["cn"] if entry.kind != "evaluate"] == ["locate"]
    assert [entry.kind for entry in entries[COUNTY]] == ["answer"]
    assert [entry.kind for entry in entries[HOSPITALS_OF_51]] == ["answer", "look-up"]
    persons = {entry.subjects for group in entries.values() for entry in group if entry.kind != "evaluate"}
    assert len(persons) == 1


async def test_types_and_days_bound_what_comes(known: Network) -> None:
    by_type = await look_up(known, national_id(1), types=("Observation",))
    early = await look_up(known, national_id(1), until="2025-12-31", types=("Observation",))
    late = await look_up(known, national_id(1), since="2026-01-02", types=("Observation",))

    assert {each["id"] for each in resources_of(by_type)} == {"o1", "o2"}
    assert resources_of(early) == []
    assert {each["id"] for each in resources_of(late)} == {"o1", "o2"}


async def test_somebody_unknown_everywhere_is_nobody(known: Network) -> None:
    result = await look_up(known, national_id(9))

    assert result.outcomes == ()
    assert result.is_whole


async def test_strictly_restricted_records_come_only_through_broken_glass(known: Network) -> None:
    for_care = await look_up(known, national_id(1))
    broken = await look_up(known, national_id(1), purpose=BTG, reason="unconscious after an accident")

    assert "hiv" not in {each["id"] for each in resources_of(for_care)}
    assert "hiv" in {each["id"] for each in resources_of(broken)}
    told = [entry for entry in entries_at(known, COUNTY) if entry.purpose == "BTG"]
    assert [entry.reason for entry in told] == ["unconscious after an accident"]


async def test_glass_is_not_broken_without_a_reason_nor_too_often(known: Network) -> None:
    with pytest.raises(ForbiddenError, match="reason"):
        await look_up(known, national_id(1), purpose=BTG, reason="  ")
    for _time in range(5):
        await look_up(known, national_id(1), purpose=BTG, reason="unconscious")
    with pytest.raises(GlassTooOftenError):
        await look_up(known, national_id(1), purpose=BTG, reason="unconscious")
    other = practitioner(HOSPITALS_OF_51, "dr-li")
    assert (await look_up(known, national_id(1), who=other, purpose=BTG, reason="unconscious")).outcomes
    known.clock.advance(days=1)
    assert (await look_up(known, national_id(1), purpose=BTG, reason="unconscious")).outcomes


@pytest.mark.parametrize("kind", ["facility", "viewer", "auditor", "researcher", "operator", "stranger"])
async def test_nobody_but_a_clinician_looks_up(known: Network, kind: str) -> None:
    before = len(entries_at(known, "cn"))
    with pytest.raises(ForbiddenError):
        await look_up(known, national_id(1), who=practitioner(HOSPITALS_OF_51, "somebody", kind))

    assert len(entries_at(known, "cn")) == before
    assert entries_at(known, HOSPITALS_OF_51)[-1].kind == "refuse"


async def test_an_objection_to_a_category_binds_every_holder_wherever_it_was_made(known: Network) -> None:
    act = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
    said = objection("n1", "q1")
    said.pop("policyRule")
    said["provision"] = {"type": "deny", "securityLabel": [act]}
    assert "psy" in {each["id"] for each in resources_of(await look_up(known, national_id(1)))}
    await known.admit(HOSPITALS_OF_51, transaction(said), "r3")
    await known.settle()

    given = {each["id"] for each in resources_of(await look_up(known, national_id(1)))}
    assert "psy" not in given
    assert {"o1", "o2"} <= given


async def test_who_objects_to_all_sharing_is_not_found_where_that_was_said(known: Network) -> None:
    await known.admit(COUNTY, transaction(objection("n1", "p1")), "r3")
    await known.settle()
    for_care = await look_up(known, national_id(1))
    broken = await look_up(known, national_id(1), purpose=BTG, reason="unconscious")
    at_home = await look_up(known, national_id(1), at=COUNTY, purpose=BTG, reason="unconscious")

    # The nation does not keep that somebody objects to being found, so other nodes' records are not bound (ADR 7).
    assert {each["id"] for each in resources_of(for_care)} == {"q1", "o2"}
    assert {each["id"] for each in resources_of(broken)} == {"q1", "o2"}
    assert {each["id"] for each in resources_of(at_home)} >= {"hiv", "o1", "o2"}


async def test_while_the_nation_is_away_what_is_sensitive_stays_but_for_broken_glass(
    known: Network,
) -> None:
    known.faults.down.add(NATION)
    for_care = await look_up(known, national_id(1))
    broken = await look_up(known, national_id(1), purpose=BTG, reason="unconscious")

    assert "psy" not in {each["id"] for each in resources_of(for_care)}
    assert {"psy", "hiv"} <= {each["id"] for each in resources_of(broken)}


async def test_a_node_that_was_not_heard_of_lately_is_named(known: Network) -> None:
    known.faults.cut.add(frozenset((NodeAddress.parse(COUNTY), NodeAddress.parse("cn/33/3305"))))
    await known.admit(COUNTY, transaction(patient("p7", identity=national_id(7))), "r3")
    for _round in range(60):
        await known.round()
    result = await look_up(known, national_id(7))

    assert result.outcomes == ()
    assert COUNTY in result.behind
    assert not result.is_whole


async def test_a_failed_look_up_keeps_person_and_reason_and_breaks_no_glass(known: Network) -> None:
    known.faults.down |= {NATION, ZHEJIANG}
    known.faults.cut |= {frozenset((NodeAddress.parse(HOSPITALS_OF_51), SICHUAN))}
    for _time in range(6):
        with pytest.raises(UnavailableError):
            await look_up(known, national_id(1), purpose=BTG, reason="unconscious")
    assert "unconscious" in entries_at(known, HOSPITALS_OF_51)[-1].reason
    known.faults.down.clear()
    known.faults.cut.clear()
    assert (await look_up(known, national_id(1), purpose=BTG, reason="unconscious")).outcomes


@pytest.mark.parametrize("reason", [f"card says {national_id(3)}", f"{national_id(3)[:6]} {national_id(3)[6:]}"])
async def test_a_reason_that_holds_an_identity_number_is_refused(known: Network, reason: str) -> None:
    with pytest.raises(BadReasonError) as refused:
        await look_up(known, national_id(1), purpose=BTG, reason=reason)
    assert national_id(3)[6:14] not in refused.value.detail


async def test_the_source_of_a_record_is_who_keeps_it_whatever_its_facility_says(known: Network) -> None:
    claimed = {**observation("o9", "p1"), "meta": {"source": "urn:health-exchange:cn/11/110101"}}
    await known.admit(COUNTY, transaction(claimed), "r3")
    found = {each["id"]: each for each in resources_of(await look_up(known, national_id(1)))}

    assert found["o9"]["meta"]["source"] == f"urn:health-exchange:{COUNTY}"


async def test_with_one_key_holder_away_look_ups_go_on_and_with_two_they_are_refused_before_anybody_is_asked(
    known: Network,
) -> None:
    known.faults.down.add(SICHUAN)
    assert (await look_up(known, national_id(1), at=COUNTY)).ticket_holders
    known.faults.down.add(ZHEJIANG)
    with pytest.raises(UnavailableError, match="key holders"):
        await look_up(known, national_id(1), at=COUNTY)

    assert entries_at(known, COUNTY)[-1].outcome == "failed"


async def test_a_holder_that_is_away_is_named(known: Network) -> None:
    known.faults.down.add(NodeAddress.parse(COUNTY))
    result = await look_up(known, national_id(1))

    outcomes = {str(outcome.node): outcome for outcome in result.outcomes}
    assert outcomes[COUNTY].problem
    assert not outcomes[COUNTY].resources
    assert {each["id"] for each in resources_of(result)} == {"q1", "o2"}
    assert not result.is_whole


async def test_while_the_nation_is_away_provinces_answer_for_their_own_and_the_result_says_so(known: Network) -> None:
    known.faults.down.add(NATION)
    result = await look_up(known, national_id(1))

    assert {each["id"] for each in resources_of(result)} >= {"o1", "o2"}
    assert [node for node, _why in result.lost] == [NATION]
    assert set(result.directions_by) == {ZHEJIANG, SICHUAN}
    assert not result.is_whole


async def test_a_holder_with_persons_who_wait_says_that_it_is_behind(known: Network) -> None:
    known.faults.cut |= {frozenset((NodeAddress.parse(COUNTY), holder)) for holder in (NATION, ZHEJIANG, SICHUAN)}
    await known.admit(COUNTY, transaction(patient("p2", identity=national_id(2))), "r3")
    known.faults.cut.clear()
    result = await look_up(known, national_id(1))

    assert {str(outcome.node): outcome.waiting for outcome in result.outcomes}[COUNTY] == 1
    assert not result.is_whole


async def test_what_was_looked_up_is_kept_nowhere(known: Network) -> None:
    from sqlalchemy import func, select

    from health_exchange.store.schema import identity_cache, resources, subjects

    def rows() -> list[int]:
        return known[HOSPITALS_OF_51].parts.store.read_now(
            lambda tx: [
                tx.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (identity_cache, resources, subjects)
            ]
        )

    before = rows()
    await look_up(known, national_id(1))
    await look_up(known, national_id(5))
    assert rows() == before


async def test_records_of_somebody_whose_identity_was_taken_back_are_not_given_as_the_persons(known: Network) -> None:
    await known.admit(COUNTY, transaction(patient("p1", identity=None)), "r3")
    while_told = await look_up(known, national_id(1))
    await known.settle()
    settled = await look_up(known, national_id(1))

    assert {each["id"] for each in resources_of(while_told)} == {"q1", "o2"}
    assert {each["id"] for each in resources_of(settled)} == {"q1", "o2"}
    assert settled.is_whole

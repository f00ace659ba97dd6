"""What a person is owed, over HTTP: a view with everything in it, consents and their effect, erasure with receipts."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.door import COUNTY, Door, issue_of
from tests.federation.network import Network
from tests.federation.practitioners import look_up
from tests.federation.prepared import prepared
from tests.federation.records import NATIONAL_ID, condition, national_id, objection, observation, patient, transaction

from health_exchange.audit.entries import decode_entry
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.purposes import Purpose
from health_exchange.store import audit_log

VIEW, ERASURE = "/operator/v1/person/view", "/operator/v1/person/erasure"
WHO = {"identifier": {"system": NATIONAL_ID, "value": national_id(1)}}


@pytest.fixture
def empty(tmp_path: Path) -> Door:
    return Door(tmp_path)


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    return Door(tmp_path, COUNTY, await prepared(tmp_path, two_persons))


async def admit(door: Door, *resources: dict[str, Any], request: str = "r1") -> None:
    await door.network.admit(COUNTY, transaction(*resources), request)
    await door.network.settle()


async def two_persons(network: Network) -> None:
    one = patient("p1", identity=national_id(1)), observation("o1", "p1"), condition("c1", "p1", "B20")
    other = patient("p2", identity=national_id(2)), observation("o2", "p2")
    await network.admit(COUNTY, transaction(*one, *other), "r1")
    await network.settle()


async def test_a_person_sees_the_originals_at_every_level_and_nobody_elses(door: Door) -> None:
    answer = await door.send("POST", VIEW, WHO, who="desk")

    assert answer.status_code == 200, answer.text
    names = {(record["resourceType"], record["id"]) for record in answer.json()["records"]}
    assert names == {("Patient", "p1"), ("Observation", "o1"), ("Condition", "c1")}
    assert b'"value": 1.50' in answer.content


async def test_who_saw_what_is_told_in_words_and_the_view_itself_is_logged(door: Door) -> None:
    await door.send("GET", "/fhir/Observation/o1")
    await door.send("POST", VIEW, WHO, who="desk")
    await door.network.settle()
    view = (await door.send("POST", VIEW, WHO, who="desk")).json()

    words = [each["words"] for each in view["disclosures"]]
    assert any("facility hospital of 121000001000791901 read: 1 Observation, for treatment" in each for each in words)
    assert any("desk desk" in each and "looked at everything kept here" in each for each in words)
    assert view["not_asked"] == []
    told = {each["node"] for each in view["disclosures"] if each["action"] in {"write", "share", "receive"}}
    assert told == {COUNTY, "cn/33/3305", "cn/33", "cn"}


async def test_a_node_whose_log_could_not_be_asked_is_named_in_the_view(door: Door) -> None:
    door.network.faults.down.add(NodeAddress.parse("cn/33"))
    view = (await door.send("POST", VIEW, WHO, who="desk")).json()

    assert view["not_asked"] == ["cn/33: away"]


async def test_a_look_up_and_broken_glass_are_told_from_every_log_broken_glass_first(door: Door) -> None:
    await look_up(door.network, national_id(1))
    await look_up(door.network, national_id(1), purpose=Purpose.BREAK_THE_GLASS, reason="unconscious")
    await door.network.settle()
    view = (await door.send("POST", VIEW, WHO, who="desk")).json()

    first = view["disclosures"][0]
    assert first["broke_glass"]
    assert first["words"].startswith("The glass was broken. clinician dr-wang of 121000001000791901")
    assert {each["node"] for each in view["disclosures"] if each["who"] == "dr-wang"} == {"cn", COUNTY, "cn/51/5100"}
    assert any('reason: "unconscious"' in each["words"] for each in view["disclosures"])


async def test_a_view_tells_what_the_person_has_said_and_who_above_has_signed_for_it(door: Door) -> None:
    await admit(door, objection("n1", "p1"), request="r2")
    view = (await door.send("POST", VIEW, WHO, who="desk")).json()

    assert [(each["id"], each["status"], each["words"]) for each in view["consents"]] == [
        ("n1", "active", ["Do not share any record."])
    ]
    assert view["consents_above"]["complete"]
    signed = {each["node"] for each in view["consents_above"]["notices"][0]["signed"]}
    assert signed == {"cn", "cn/33", "cn/33/3305"}
    assert len(view["records"]) == 4


@pytest.mark.parametrize("who", ["hospital", "viewer", "auditor", "researcher", "operator"])
async def test_nobody_but_a_desk_gets_a_persons_view_and_the_refusal_is_logged(door: Door, who: str) -> None:
    answer = await door.send("POST", VIEW, WHO, who=who)

    assert answer.status_code == 403
    assert last_entry(door).outcome == "refused"
    assert national_id(1) not in answer.text


async def test_a_desk_writes_searches_and_reads_statistics_never(door: Door) -> None:
    wrote = await door.send("PUT", "/fhir/Patient/p1", patient("p1", identity=national_id(1)), who="desk")
    searched = await door.send("GET", "/fhir/Patient", who="desk")

    assert {wrote.status_code, searched.status_code} == {403}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"identifier": {"system": NATIONAL_ID, "value": "190001195001010011"}}, 400),
        ({"identifier": {"system": "urn:oid:1.2.3", "value": "1"}}, 400),
        ({"identifier": {"system": NATIONAL_ID, "value": national_id(9)}}, 404),
        ({"identifier": {"system": NATIONAL_ID, "value": national_id(1)}, "more": 1}, 400),
    ],
)
async def test_a_body_that_says_nobody_is_refused_without_being_quoted(
    door: Door, body: bytes | dict[str, Any], status: int
) -> None:
    answer = await door.send("POST", VIEW, body, who="desk")

    assert answer.status_code == status
    assert issue_of(answer)["diagnostics"]
    assert national_id(1)[:14] not in answer.text


async def test_a_consents_effect_names_who_has_signed_and_who_has_not(door: Door) -> None:
    nation, province = NodeAddress.parse("cn"), NodeAddress.parse("cn/33")
    door.network.faults.cut.add(frozenset((nation, province)))
    await door.network.admit(COUNTY, transaction(objection("n1", "p1")), "r2")
    before = (await door.send("GET", "/operator/v1/consents/n1/effect", who="desk")).json()
    for _round in range(8):
        await door.network.round()
    during = (await door.send("GET", "/operator/v1/consents/n1/effect", who="desk")).json()
    door.network.faults.cut.clear()
    await door.network.settle()
    after = (await door.send("GET", "/operator/v1/consents/n1/effect", who="desk")).json()

    assert (before["complete"], before["unsent"], before["notices"]) == (False, True, [])
    assert (during["complete"], during["waiting"]) == (False, ["cn"])
    assert (after["complete"], after["waiting"]) == (True, [])
    assert sum(notice["taken_back"] for notice in after["notices"]) == 5
    absent = await door.send("GET", "/operator/v1/consents/n2/effect", who="desk")
    refused = await door.send("GET", "/operator/v1/consents/n1/effect", who="researcher")
    assert (absent.status_code, refused.status_code) == (404, 403)


async def test_an_erasure_is_reported_until_everybody_has_signed_and_says_what_remains(door: Door) -> None:
    nation, province = NodeAddress.parse("cn"), NodeAddress.parse("cn/33")
    door.network.faults.cut.add(frozenset((nation, province)))
    erased = await door.send("POST", ERASURE, {**WHO, "case": "case-7"}, who="operator")
    assert erased.status_code == 200, erased.text
    for _round in range(8):
        await door.network.round()
    during = (await door.send("GET", f"{ERASURE}/case-7", who="operator")).json()
    door.network.faults.cut.clear()
    await door.network.settle()
    after = (await door.send("GET", f"{ERASURE}/case-7", who="desk")).json()

    assert erased.json()["resources"] == 3
    assert erased.json()["above"]["unsent"]
    assert (during["above"]["complete"], during["above"]["waiting"]) == (False, ["cn"])
    assert any("sealed envelopes" in each["what"] for each in during["remains"])
    assert after["above"]["complete"]
    assert after["overwritten"]
    assert {each["node"] for each in after["above"]["notices"][0]["signed"]} == {"cn", "cn/33", "cn/33/3305"}
    assert not any("sealed envelopes" in each["what"] for each in after["remains"])
    assert {kind for kind, _name in door.network.kept("cn")} == {"Patient", "Observation"}
    assert (await door.send("POST", VIEW, WHO, who="desk")).status_code == 404


async def test_the_same_erasure_again_gets_its_report_and_another_persons_case_is_refused(door: Door) -> None:
    first = (await door.send("POST", ERASURE, {**WHO, "case": "case-7"}, who="desk")).json()
    again = (await door.send("POST", ERASURE, {**WHO, "case": "case-7"}, who="desk")).json()
    other = {"identifier": {"system": NATIONAL_ID, "value": national_id(2)}, "case": "case-7"}
    taken = await door.send("POST", ERASURE, other, who="desk")

    assert (again["resources"], again["erased_at"]) == (first["resources"], first["erased_at"])
    assert (taken.status_code, issue_of(taken)["details"]["coding"][0]["code"]) == (409, "case-taken")


@pytest.mark.parametrize("case", ["", "x" * 65, "a b", national_id(1)])
async def test_a_case_reference_that_is_none_or_an_identity_is_refused(door: Door, case: str) -> None:
    answer = await door.send("POST", ERASURE, {**WHO, "case": case}, who="desk")

    assert answer.status_code == 400
    assert national_id(1) not in answer.text


@pytest.mark.parametrize("who", ["hospital", "viewer", "auditor", "researcher"])
async def test_nobody_but_a_desk_or_an_operator_erases(door: Door, who: str) -> None:
    answer = await door.send("POST", ERASURE, {**WHO, "case": "case-7"}, who=who)

    assert answer.status_code == 403
    assert len(door.network.kept(COUNTY)) == 5


async def test_a_request_repeated_after_the_erasure_brings_nobody_back(empty: Door) -> None:
    bundle = json.dumps(patient("p1", identity=national_id(1))).encode()
    wrote = await empty.send("PUT", "/fhir/Patient/p1", bundle, X_Request_Id="once")
    await empty.send("POST", ERASURE, {**WHO, "case": "case-7"}, who="desk")
    again = await empty.send("PUT", "/fhir/Patient/p1", bundle, X_Request_Id="once")

    assert wrote.status_code == 201
    assert again.status_code == 410
    assert empty.network.kept(COUNTY) == {}


async def test_after_an_erasure_no_file_of_the_node_holds_a_trace_of_the_person(empty: Door) -> None:
    folder = empty.network.folder
    await empty.network.admit(COUNTY, transaction(patient("person-mrn-4711", identity=national_id(1))), "r1")
    await empty.network.admit(COUNTY, transaction(patient("person-mrn-4711", identity=national_id(3))), "r2")
    await empty.network.settle()
    parts = empty.node.parts
    tags = parts.store.read_now(_tags)
    assert len(tags) == 2
    assert _found(folder, b"person-mrn-4711", *tags)
    who = {"identifier": {"system": NATIONAL_ID, "value": national_id(3)}}
    report = await empty.send("POST", ERASURE, {**who, "case": "case-7"}, who="desk")
    assert report.status_code == 200, report.text
    await empty.network.settle()
    assert (await empty.send("POST", VIEW, who, who="desk")).status_code == 404
    assert empty.node.parts.store.scrub()

    traces = [national_id(1).encode(), national_id(3).encode(), "测试".encode(), b"person-mrn-4711", *tags]
    assert _found(folder, *traces) == []


async def test_who_still_waits_for_the_pseudonym_of_the_erased_person_is_erased_too(empty: Door) -> None:
    holders = {frozenset(map(NodeAddress.parse, (COUNTY, holder))) for holder in ("cn", "cn/33", "cn/51")}
    empty.network.faults.cut |= holders
    await empty.network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    empty.network.faults.cut -= holders
    report = await empty.send("POST", ERASURE, {**WHO, "case": "case-7"}, who="desk")
    await empty.network.settle()

    assert report.json()["resources"] == 1
    assert empty.network.kept(COUNTY) == {}
    assert empty.network.kept("cn") == {}


def _tags(tx: Any) -> list[bytes]:  # noqa: ANN401  # a transaction
    from sqlalchemy import select

    from health_exchange.store.schema import identity_cache

    return list(tx.execute(select(identity_cache.c.tag)).scalars())


def _found(folder: Path, *traces: bytes) -> list[bytes]:
    """Those of ``traces`` that a file of the county's database holds."""
    files = b"".join(file.read_bytes() for file in folder.glob("cn-33-3305-330521.sqlite*"))
    return [trace for trace in traces if trace in files]


def last_entry(door: Door) -> Any:  # noqa: ANN401  # an audit entry
    parts = door.node.parts
    return parts.store.read_now(_last)


def _last(tx: Any) -> Any:  # noqa: ANN401  # a transaction, an audit entry
    from sqlalchemy import select

    from health_exchange.crypto.sealing import open_sealed
    from health_exchange.store.schema import audit_entries, audit_periods

    row = tx.execute(
        select(audit_entries, audit_periods.c.key_wrapped)
        .join(audit_periods, audit_periods.c.period == audit_entries.c.period)
        .order_by(audit_entries.c.entry_id.desc())
        .limit(1)
    ).one()
    raw = open_sealed(tx.ring.unwrap(row.key_wrapped), row.sealed, aad=audit_log._aad(row.entry_id, row.period))
    return decode_entry(raw[32:])

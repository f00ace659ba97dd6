"""``AuditEvent`` at the FHIR door: for auditors, by the parameters of ITI-81 that a log can answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.door import COUNTY, Door, issue_of
from tests.federation.network import Network
from tests.federation.practitioners import entries_at
from tests.federation.prepared import prepared
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.api.event_search import PARAMETERS, read_event_search
from health_exchange.audit.balp import KIND_SYSTEM, PSEUDONYM_SYSTEM, REQUEST_SYSTEM
from health_exchange.audit.entries import AuditEntry
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.journal import log

READINGS = ("log-read", "evaluate")


async def two_persons(network: Network) -> None:
    for number in (1, 2):
        records = (patient(f"p{number}", identity=national_id(number)), observation(f"o{number}", f"p{number}"))
        await network.admit(COUNTY, transaction(*records), f"r{number}")
    await network.settle()


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path, COUNTY, await prepared(tmp_path, two_persons))
    await door.send("GET", "/fhir/Observation/o1", who="viewer")
    await door.send("GET", "/fhir/Observation?code=14771-0", who="viewer")
    await door.send("GET", "/fhir/Patient/p1", who="auditor")
    await door.send("DELETE", "/fhir/Observation/o2", who="hospital")
    return door


async def search(door: Door, query: str, *, who: str = "auditor") -> list[dict[str, Any]]:
    answer = await door.send("GET", f"/fhir/AuditEvent{query}", who=who)
    assert answer.status_code == 200, answer.text
    validate(answer.content)
    bundle = answer.json()
    assert bundle["type"] == "searchset"
    return [entry["resource"] for entry in bundle.get("entry", [])]


def kinds(events: list[dict[str, Any]]) -> set[str]:
    return {coding["code"] for event in events for coding in event["subtype"] if coding["system"] == KIND_SYSTEM}


def person(door: Door, request: str) -> str:
    [entry] = [each for each in entries_at(door.network, COUNTY) if each.request_id == request]
    return entry.subjects[0]


async def test_an_auditor_finds_everything_that_happened_as_valid_events(door: Door) -> None:
    events = await search(door, "")

    assert kinds(events) >= {"start", "write", "share", "read", "refuse"}
    for event in events:
        validate(json.dumps(event).encode())
    profiles = {profile.rpartition(".")[2] for event in events for profile in event.get("meta", {}).get("profile", [])}
    assert profiles >= {"PatientRead", "PatientQuery", "PatientCreate", "PatientDelete", "Source"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("agent.identifier=viewer", {"read"}),
        ("agent.identifier=auditor&outcome=8", {"refuse"}),
        ("outcome=8", {"refuse"}),
        ("type=rest", {"read", "write"}),
        ("type=http://dicom.nema.org/resources/ontology/DCM|110113", {"refuse"}),
        ("type=http://example.com|110113", set()),
        ("subtype=search-type", {"read"}),
        ("subtype=delete", {"write"}),
        ("subtype=write,share", {"write", "share"}),
        ("action=D", {"write"}),
        ("action=R&agent.identifier=viewer", {"read"}),
        (f"entity.identifier={REQUEST_SYSTEM}|r1", {"write"}),
        ("date=ge2026-11-24&subtype=start", {"start"}),
        ("date=2026-11-24&subtype=start", {"start"}),
        ("date=lt2026-11-24", set()),
        ("date=gt2026-11-24&subtype=start", set()),
        ("date=ge2026-11-24&date=le2026-11-25&subtype=start", {"start"}),
        ("source.identifier=cn/51", set()),
        ("source.identifier=cn/33/3305/330521&subtype=start", {"start"}),
        ("_id=0", {"start"}),
        ("_id=99999", set()),
    ],
)
async def test_parameters_choose_events(door: Door, query: str, expected: set[str]) -> None:
    events = await search(door, f"?{query}")

    assert kinds(events) - set(READINGS) == expected


@pytest.mark.parametrize("name", ["patient.identifier", "entity.identifier"])
async def test_a_person_is_searched_for_by_pseudonym_and_only_that_person_is_told(door: Door, name: str) -> None:
    wanted = person(door, "r1")
    events = await search(door, f"?{name}={PSEUDONYM_SYSTEM}|{wanted}&subtype=write,read,share")

    assert kinds(events) == {"write", "read", "share"}
    for event in events:
        [told] = [each["what"]["identifier"]["value"] for each in event["entity"] if each["type"]["code"] == "1"]
        assert told == wanted


async def test_the_same_by_post_and_every_event_by_its_id(door: Door) -> None:
    form = b"subtype=write"
    answer = await door.send(
        "POST", "/fhir/AuditEvent/_search", form, who="auditor", Content_Type="application/x-www-form-urlencoded"
    )
    events = [entry["resource"] for entry in answer.json()["entry"]]
    assert len(events) >= 3
    for event in events:
        one = await door.send("GET", f"/fhir/AuditEvent/{event['id']}", who="auditor")
        assert one.json() == event


async def test_pages_follow_their_links_to_the_first_entry_and_show_each_event_once(door: Door) -> None:
    link = "/fhir/AuditEvent?_count=2&subtype=write,share,start,read,refuse"
    seen: list[str] = []
    for _page in range(50):
        bundle = (await door.send("GET", link, who="auditor")).json()
        seen += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        links = {each["relation"]: each["url"] for each in bundle["link"]}
        if "next" not in links:
            break
        link = links["next"]
    assert len(seen) == len(set(seen))
    assert seen[-1] == "0"
    positions = [int(each.partition(".")[0]) for each in seen]
    assert positions == sorted(positions, reverse=True)


async def test_entries_about_many_persons_fill_a_page_and_none_of_their_events_is_lost(door: Door) -> None:
    parts = door.node.parts
    persons = tuple(Pseudonym(f"{number:026d}") for number in range(300))
    shared = {"kind": "share", "action": "share", "outcome": "allowed", "node": COUNTY, "subjects": persons}
    for second in range(4):
        at = f"2026-11-24T10:00:0{second}+00:00"
        parts.store.write_now(lambda tx, at=at: log(tx, AuditEntry(at=at, **shared)))  # type: ignore[misc, arg-type]  # fields by name
    link, seen, pages = "/fhir/AuditEvent?subtype=share&date=ge2026-11-24T10:00:00Z", list[str](), list[int]()
    while link:
        bundle = (await door.send("GET", link, who="auditor")).json()
        pages.append(len(bundle.get("entry", [])))
        seen += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        link = {each["relation"]: each["url"] for each in bundle["link"]}.get("next", "")

    assert len(seen) == len(set(seen)) == 1200
    assert max(pages) == 600


@pytest.mark.parametrize("who", ["hospital", "viewer", "researcher"])
async def test_nobody_but_an_auditor_reads_events(door: Door, who: str) -> None:
    for path in ("/fhir/AuditEvent", "/fhir/AuditEvent/0"):
        answer = await door.send("GET", path, who=who)
        assert answer.status_code == 403
    refused = [each for each in entries_at(door.network, COUNTY) if each.principal == who and each.kind == "refuse"]
    assert {each.action for each in refused} == {"read-log"}


async def test_an_auditor_reads_no_records(door: Door) -> None:
    for path in ("/fhir/Observation/o1", "/fhir/Patient/p1", "/fhir/Observation", "/fhir/Patient/p1/$everything"):
        assert (await door.send("GET", path, who="auditor")).status_code == 403


async def test_reading_events_is_an_event(door: Door) -> None:
    before = await search(door, "?subtype=log-read")
    after = await search(door, "?subtype=log-read")

    assert len(after) == len(before) + 1
    assert after[0]["type"]["code"] == "110101"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("address=1.2.3.4", 400),
        ("agent-name=x", 400),
        ("date=ne2026-11-24", 400),
        ("date=yesterday", 400),
        ("outcome=12", 400),
        ("outcome=0&outcome=8", 400),
        ("_count=many", 400),
        ("_before=-1", 400),
        ("type=rest&type=rest", 400),
        ("patient.identifier=", 400),
        ("patient.identifier=urn:oid:2.16.156.10011.1.3|x", 400),
    ],
)
async def test_what_a_log_cannot_answer_is_refused_and_never_ignored(door: Door, query: str, status: int) -> None:
    answer = await door.send("GET", f"/fhir/AuditEvent?{query}", who="auditor")

    assert answer.status_code == status
    assert issue_of(answer)["severity"] == "error"


async def test_a_national_id_is_refused_in_url_and_form_and_not_repeated(door: Door) -> None:
    number = national_id(1)
    form = f"patient.identifier={number}".encode()
    by_get = await door.send("GET", f"/fhir/AuditEvent?patient.identifier={number}", who="auditor")
    by_post = await door.send(
        "POST", "/fhir/AuditEvent/_search", form, who="auditor", Content_Type="application/x-www-form-urlencoded"
    )

    for answer in (by_get, by_post):
        assert answer.status_code == 400
        assert number not in answer.text


@pytest.mark.parametrize("event_id", ["x", "99999", "0.0", "1.7", "9" * 30])
async def test_an_event_that_is_not_there_is_not_found(door: Door, event_id: str) -> None:
    answer = await door.send("GET", f"/fhir/AuditEvent/{event_id}", who="auditor")

    assert answer.status_code in {400, 404}


async def test_nobody_writes_events(door: Door) -> None:
    [event] = await search(door, "?_id=0")
    raw = json.dumps(event | {"id": "mine"}).encode()
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": event | {"id": "mine"}, "request": {"method": "PUT", "url": "AuditEvent/mine"}}],
    }
    answers = [
        await door.send("POST", "/fhir/AuditEvent", raw),
        await door.send("PUT", "/fhir/AuditEvent/mine", raw),
        await door.send("DELETE", "/fhir/AuditEvent/mine"),
        await door.send("POST", "/fhir", bundle),
    ]

    assert {answer.status_code for answer in answers} == {501}


async def test_the_capability_statement_says_exactly_what_is_offered(door: Door) -> None:
    said = (await door.http.get("/fhir/metadata")).json()
    [offered] = [each for each in said["rest"][0]["resource"] if each["type"] == "AuditEvent"]

    assert [each["code"] for each in offered["interaction"]] == ["read", "search-type"]
    assert {each["name"] for each in offered["searchParam"]} == set(PARAMETERS)


def test_every_parameter_that_is_named_is_taken() -> None:
    values = {"date": "2026-11-24", "outcome": "0", "_id": "1"}
    for name in PARAMETERS:
        try:
            read_event_search([(name, values.get(name, "x"))])
        except ExchangeError as error:
            pytest.fail(f"{name}: {error.detail}")


@pytest.mark.parametrize("path", ["/fhir/AuditEvent", "/fhir/AuditEvent/{id}"])
async def test_how_events_are_laid_out_is_as_the_client_wishes(door: Door, path: str) -> None:
    [event, *_more] = await search(door, "?_count=1")
    url = path.format(id=event["id"])
    plain = await door.send("GET", f"{url}?_format=json&_elements=action", who="auditor", Accept="text/html")
    pretty = await door.send("GET", f"{url}?_pretty=true", who="auditor", Accept="application/json")
    refused = await door.send("GET", url, who="auditor", Accept="text/html")
    head = await door.send("HEAD", url, who="auditor")
    given = plain.json() if "{" in path else plain.json()["entry"][0]["resource"]

    assert {"action"} <= given.keys() < event.keys()
    assert (b"\n" in pretty.content, pretty.headers["content-type"]) == (True, "application/json")
    assert (refused.status_code, head.status_code, head.content) == (406, 200, b"")


async def test_how_events_are_laid_out_may_be_wished_in_a_form_and_goes_on_with_the_pages(door: Door) -> None:
    media = "application/x-www-form-urlencoded"
    answer = await door.send(
        "POST", "/fhir/AuditEvent/_search", b"_count=1&_elements=action", who="auditor", Content_Type=media
    )
    [link] = [each["url"] for each in answer.json()["link"] if each["relation"] == "next"]

    assert "recorded" in answer.json()["entry"][0]["resource"]
    assert "period" not in answer.json()["entry"][0]["resource"]
    assert link.endswith("&_elements=action")


async def test_a_read_of_an_event_takes_no_parameters_of_a_search(door: Door) -> None:
    [event, *_more] = await search(door, "?_count=1")
    refused = await door.send("GET", f"/fhir/AuditEvent/{event['id']}?colour=red", who="auditor")

    assert (refused.status_code, issue_of(refused)["details"]["coding"][0]["code"]) == (400, "unknown-parameter")

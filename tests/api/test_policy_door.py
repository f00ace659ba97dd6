"""Explanations over HTTP: of made-up questions to anybody with a token, of real refusals to auditors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import condition, national_id, objection, patient, transaction
from tests.policy.test_engine import SCHEMA

from health_exchange.api.fhir_door import caller_of
from health_exchange.audit.entries import AuditEntry, Facts, decode_entry
from health_exchange.fhir.outcomes import REFERENCE
from health_exchange.model.identifiers import RequestId
from health_exchange.node.journal import SALT_BYTES
from health_exchange.node.refusals import Refusals
from health_exchange.policy.engine import PolicySet
from health_exchange.store import audit_log

EXPLAIN = "/operator/v1/policy/explain"


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def reference_of(answer: httpx.Response) -> str:
    """The reference in the outcome, which is the request's id in the header."""
    extension = issue_of(answer)["extension"]
    assert [each["url"] for each in extension] == [REFERENCE]
    assert extension[0]["valueString"] == answer.headers["X-Request-Id"]
    return str(extension[0]["valueString"])


async def refusals_under(door: Door, reference: str) -> list[dict[str, Any]]:
    answer = await door.send("GET", f"/operator/v1/policy/refusals/{reference}", who="auditor")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["refusals"]
    return found


def log_of(door: Door) -> list[AuditEntry]:
    store = door.node.parts.store
    entries = store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    return [decode_entry(entry.raw[SALT_BYTES:]) for entry in entries if entry.raw is not None]


async def test_a_question_in_words_and_in_fields_gets_the_same_explanation(door: Door) -> None:
    by_words = await door.send("POST", EXPLAIN, {"words": "clinician look-up level 5 HIV BTG"}, who="viewer")
    fields = {"kind": "clinician", "action": "look-up", "level": 5, "category": "HIV", "purpose": "BTG"}
    by_fields = await door.send("POST", EXPLAIN, fields, who="viewer")

    assert by_words.status_code == 200
    assert by_words.json() == by_fields.json()
    assert [policy["id"] for policy in by_words.json()["policies"]] == ["breaking-the-glass-takes-a-reason"]
    assert by_words.json()["advice"] == "it would be allowed with a reason"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"words": {"a": 1}}', b'{"kind": "ghost"}', b'{"colour": "red"}', b'{"words": "zhang san"}']
)
async def test_what_is_no_question_is_an_outcome_that_repeats_nothing(door: Door, body: bytes) -> None:
    answer = await door.send("POST", EXPLAIN, body, who="viewer")

    assert answer.status_code == 400
    assert not {"zhang", "ghost", "red"} & set(issue_of(answer)["diagnostics"].split())


async def test_nobody_without_a_token_asks_anything(door: Door) -> None:
    for method, path in (("POST", EXPLAIN), ("GET", "/operator/v1/policy/refusals/x")):
        assert (await door.http.request(method, path)).status_code == 401


async def test_an_auditor_finds_by_the_reference_what_a_refused_reader_may_not_know(door: Door) -> None:
    await door.send("POST", "/fhir", transaction(patient("p1", identity=national_id(1)), condition("c1", "p1", "B20")))
    hidden = await door.send("GET", "/fhir/Condition/c1", who="viewer", X_Request_Id="ask-1")
    absent = await door.send("GET", "/fhir/Condition/c2", who="viewer", X_Request_Id="ask-1")

    assert (hidden.status_code, hidden.content, hidden.headers) == (absent.status_code, absent.content, absent.headers)
    [refusal] = await refusals_under(door, reference_of(hidden))
    entry, explanation = refusal["entry"], refusal["explanation"]
    assert (entry["principal"], entry["purpose"], entry["action"]) == ("viewer", "TREAT", "read")
    assert {name: entry["facts"][name] for name in ("type", "sensitivity", "category", "consent", "policies")} == {
        "type": "Condition",
        "sensitivity": 5,
        "category": "HIV",
        "consent": "",
        "policies": [],
    }
    assert "level 5 (restricted), category HIV" in explanation["question"]
    assert not explanation["allowed"]
    assert "look-up" not in issue_of(hidden)["diagnostics"]
    assert refusal["decided_alike"] is True


async def test_an_objection_is_told_to_the_auditor_and_not_to_the_refused(door: Door) -> None:
    kept = (patient("p1", identity=national_id(1)), condition("c1", "p1", "I10"), objection("x1", "p1"))
    await door.send("POST", "/fhir", transaction(*kept))
    answer = await door.send("GET", "/fhir/Condition/c1", who="viewer")

    [refusal] = await refusals_under(door, reference_of(answer))
    assert refusal["entry"]["facts"]["consent"] == "deny:*"
    assert [policy["id"] for policy in refusal["explanation"]["policies"]] == ["person-objects-to-sharing"]
    assert "took back the objection" in refusal["explanation"]["advice"]
    assert "object" not in answer.text
    assert "consent" not in answer.text.lower()


@pytest.mark.parametrize(
    ("method", "path", "who", "action"),
    [
        ("GET", "/fhir/Condition/c1", "researcher", "read"),
        ("GET", "/fhir/Condition?code=x", "auditor", "search"),
        ("GET", "/fhir/Patient/p1/$everything", "auditor", "view-person"),
        ("DELETE", "/fhir/Patient/p1", "viewer", "write"),
        ("GET", "/operator/v1/policy/refusals/r1", "viewer", "read-log"),
        ("GET", "/operator/v1/consents/x1/effect", "researcher", "read"),
        ("GET", "/operator/v1/person/erasure/case-1", "viewer", "erase"),
        ("POST", "/operator/v1/person/erasure", "viewer", "erase"),
        ("POST", "/operator/v1/person/view", "researcher", "view-person"),
        ("POST", "/operator/v1/person/view", "viewer", "view-person"),
    ],
)
async def test_every_kind_of_refusal_at_the_door_is_found_by_its_reference(
    door: Door, method: str, path: str, who: str, action: str
) -> None:
    person: dict[str, Any] = {"identifier": {"system": "urn:oid:2.16.156.10011.1.3", "value": national_id(1)}}
    case = {"case": "case-1"} if path.endswith("/erasure") else {}
    answer = await door.send(method, path, person | case if method == "POST" else None, who=who)

    assert answer.status_code == 403
    [refusal] = await refusals_under(door, reference_of(answer))
    assert (refusal["entry"]["action"], refusal["entry"]["principal"]) == (action, who)
    assert refusal["entry"]["facts"]["address"] == "cn/33/3305/330521"
    told = issue_of(answer)["diagnostics"]
    assert told == "; ".join(refusal["explanation"]["reasons"])
    assert refusal["decided_alike"] is True


async def test_a_refused_look_up_is_found_by_its_reference_with_the_purpose_it_was_asked_for(door: Door) -> None:
    who = {"name": "resource", "resource": {"resourceType": "Patient", **patient("x", identity=national_id(1))}}
    purpose = {"name": "purpose", "valueCode": "BTG"}
    asked = {"resourceType": "Parameters", "parameter": [who, purpose]}
    answer = await door.send("POST", "/fhir/Patient/$everything", asked, who="dr-wang")

    assert answer.status_code == 403
    [refusal] = await refusals_under(door, reference_of(answer))
    assert (refusal["entry"]["purpose"], refusal["entry"]["facts"]["reasoned"]) == ("BTG", False)
    assert refusal["explanation"]["advice"].startswith("it would be allowed with a reason; or")


async def test_a_refused_entry_of_a_batch_carries_the_reference_too(door: Door) -> None:
    write = {"resource": {"resourceType": "Location"}, "request": {"method": "POST", "url": "Location"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [write]}
    answer = await door.send("POST", "/fhir", batch, who="viewer")

    outcome = answer.json()["entry"][0]["response"]["outcome"]
    reference = outcome["issue"][0]["extension"][0]["valueString"]
    assert reference == answer.headers["X-Request-Id"]
    assert (await refusals_under(door, reference))[0]["entry"]["action"] == "write"


async def test_a_refusal_by_power_and_not_by_policy_says_so(tmp_path: Path) -> None:
    door = Door(tmp_path, "cn")
    headers = await door.headers("viewer") | {"Content-Type": "application/x-www-form-urlencoded"}
    form = f"identifier=urn:oid:2.16.156.10011.1.3|{national_id(1)}"
    answer = await door.http.post("/fhir/Patient/_search", content=form, headers=headers)

    [refusal] = await refusals_under(door, reference_of(answer))
    assert (refusal["entry"]["reason"], refusal["explanation"], refusal["decided_alike"]) == (
        "identity-not-seen-here",
        None,
        None,
    )


async def test_finding_a_refusal_is_in_the_log_with_the_person_it_is_about(door: Door) -> None:
    await door.send("POST", "/fhir", transaction(patient("p1", identity=national_id(1)), condition("c1", "p1", "B20")))
    answer = await door.send("GET", "/fhir/Condition/c1", who="viewer")
    await refusals_under(door, reference_of(answer))

    refused, found = [entry for entry in log_of(door) if entry.kind in {"refuse", "log-read"}]
    assert (found.kind, found.action, found.outcome, found.principal) == ("log-read", "read-log", "allowed", "auditor")
    assert found.subjects == refused.subjects
    assert len(found.subjects) == 1


async def test_a_reference_that_names_no_refusal_finds_nothing(door: Door) -> None:
    await door.send("GET", "/fhir/Location", who="viewer", X_Request_Id="fine")

    for reference in ("fine", "never"):
        answer = await door.send("GET", f"/operator/v1/policy/refusals/{reference}", who="auditor")
        assert answer.status_code == 404


async def test_it_says_whether_todays_policies_would_decide_alike(door: Door) -> None:
    refused = await door.send("GET", "/fhir/Condition/c1", who="researcher", X_Request_Id="r1")
    assert refused.status_code == 403
    open_house = '@id("all") @reason("open house") permit (principal, action, resource);'
    since = replace(door.node.parts, policies=PolicySet.load({"auditors.cedar": open_house}, SCHEMA))
    auditor = caller_of(door.registrations["auditor"].client, RequestId("a1"), door.node.parts.address)

    [refusal] = await Refusals(since).explain("r1", auditor)

    assert refusal.decided_alike is False
    assert refusal.explanation is not None
    assert refusal.explanation.allowed
    assert refusal.entry.policy != refusal.explanation.digest
    assert isinstance(refusal.entry.facts, Facts)
    assert refusal.entry.facts.policies == ("research-is-no-reason-to-see-a-person", "researcher-sees-no-person")

"""Entries as BALP events: valid FHIR R4, with what each pattern requires, and no claim to more than the log keeps."""

import json
from typing import Any

import pytest

from health_exchange.audit.balp import PATTERNS, audit_event, event_ids, pattern_of
from health_exchange.audit.entries import AuditEntry
from health_exchange.fhir.validation import validate
from health_exchange.model.identifiers import Pseudonym

PROFILES = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
PERSON = Pseudonym("a" * 26)
OTHER = Pseudonym("b" * 26)


def entry(kind: str, action: str = "", **fields: Any) -> AuditEntry:  # noqa: ANN401  # fields of an entry
    given: dict[str, Any] = {
        "kind": kind,
        "at": "2026-11-24T08:00:00.123456+00:00",
        "node": "cn/33",
        "action": action or kind,
        "outcome": "allowed",
        "principal": "dr-wang",
        "principal_kind": "clinician",
        "organization": "121000001000791901",
        "purpose": "TREAT",
        "policy": "0" * 64,
        "subjects": (PERSON,),
        "summary": "1 Observation",
        "request_id": "request-1",
    }
    return AuditEntry(**(given | fields))


def rendered(of: AuditEntry, number: int = 0) -> dict[str, Any]:
    raw = audit_event(of, 17, number, name="浙江", url="https://node.example/fhir")
    validate(raw)
    event: dict[str, Any] = json.loads(raw)
    return event


def agents(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {agent["type"]["coding"][0]["code"]: agent for agent in event["agent"]}


def entities(event: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["type"]["code"]: each for each in event["entity"]}


CASES = [
    # kind, action, further fields, profile, type, subtype, action, roles of agents
    ("read", "read", {}, "PatientRead", "rest", "read", "R", "110152 110153 IRCP"),
    ("read", "search", {}, "PatientQuery", "rest", "search-type", "E", "110153 110152 IRCP"),
    ("read", "view-person", {}, "PatientQuery", "rest", "operation", "E", "110153 110152 IRCP"),
    ("write", "write", {"changes": {"create": 2}}, "PatientCreate", "rest", "create", "C", "110153 110152 AUT"),
    ("write", "write", {"changes": {"update": 1}}, "PatientUpdate", "rest", "update", "U", "110153 110152 AUT"),
    ("write", "write", {"changes": {"delete": 1}}, "PatientDelete", "rest", "delete", "D", "110150 custodian AUT"),
    ("write", "write", {"changes": {"create": 1, "update": 1}}, "", "rest", "transaction", "E", "110153 110152 AUT"),
    ("write", "write", {}, "", "rest", "transaction", "E", "110153 110152 AUT"),
    (
        "answer",
        "look-up",
        {"peer": "cn/51/5100"},
        "PrivacyDisclosure.Source",
        "110106",
        "disclose",
        "R",
        "110152 110153 IRCP",
    ),
    ("look-up", "look-up", {}, "PrivacyDisclosure.Recipient", "110107", "disclose", "C", "110153 110152 IRCP"),
    (
        "refuse",
        "read",
        {"outcome": "refused", "reason": "no"},
        "AuthZconsent",
        "110113",
        "AuthZ-Consent",
        "E",
        "110150 authserver IRCP PROV",
    ),
]


@pytest.mark.parametrize(("kind", "action", "fields", "profile", "type_", "subtype", "code", "roles"), CASES)
def test_each_kind_of_entry_follows_its_pattern(  # the columns of the table
    kind: str, action: str, fields: dict[str, Any], profile: str, type_: str, subtype: str, code: str, roles: str
) -> None:
    event = rendered(entry(kind, action, **fields))

    assert event.get("meta", {}).get("profile", []) == ([PROFILES + profile] if profile else [])
    assert event["type"]["code"] == type_
    assert [each["code"] for each in event["subtype"]] == [subtype, kind]
    assert event["action"] == code
    assert list(agents(event)) == roles.split()
    assert event["recorded"].startswith("2026-11-24T08:00:00")
    assert entities(event)["1"]["what"]["identifier"]["value"] == PERSON


def test_what_nodes_send_each_other_is_a_disclosure_at_both_ends() -> None:
    between = {"principal": "cn/33/3305", "principal_kind": "node", "organization": ""}
    sent = rendered(entry("share", **between))
    taken = rendered(entry("receive", peer="cn/33/3305", **between))

    assert sent["meta"]["profile"] == [f"{PROFILES}PrivacyDisclosure.Source"]
    assert taken["meta"]["profile"] == [f"{PROFILES}PrivacyDisclosure.Recipient"]
    assert agents(taken)["110153"]["who"]["identifier"]["value"] == "cn/33/3305"
    assert len(sent["agent"]) == len(taken["agent"]) == 2


@pytest.mark.parametrize("key", sorted(PATTERNS))
@pytest.mark.parametrize("subjects", [(), (PERSON,), (PERSON, OTHER)])
@pytest.mark.parametrize("outcome", ["allowed", "failed", "refused"])
def test_every_row_makes_valid_events_of_sparse_and_of_full_entries(
    key: tuple[str, str], subjects: tuple[Pseudonym, ...], outcome: str
) -> None:
    kind, variant = key
    changes = {variant: 1} if kind == "write" and variant else {}
    full = entry(kind, variant, subjects=subjects, outcome=outcome, changes=changes, reason="because", peer="cn/51")
    sparse = AuditEntry(
        kind=kind, action=variant or kind, at="2026-11-24T08:00:00+00:00", node="cn", outcome=outcome, subjects=subjects
    )
    for one in (full, sparse):
        for number, event_id in enumerate(event_ids(one, 17)):
            assert rendered(one, number)["id"] == event_id


def test_an_entry_about_several_persons_becomes_one_event_each() -> None:
    both = entry("read", "search", subjects=(PERSON, OTHER))

    assert event_ids(both, 17) == ["17.0", "17.1"]
    assert [entities(rendered(both, number))["1"]["what"]["identifier"]["value"] for number in (0, 1)] == [
        PERSON,
        OTHER,
    ]


def test_what_the_source_says_of_itself_is_the_same_everywhere() -> None:
    """BALP's invariant val-audit-source: the agent that recorded the event is its source."""
    for kind, role in (("answer", "110153"), ("look-up", "110152"), ("refuse", "authserver")):
        event = rendered(entry(kind, "look-up"))
        assert agents(event)[role]["who"] == event["source"]["observer"]


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_what_did_not_go_well_claims_no_pattern_of_what_did(outcome: str) -> None:
    event = rendered(entry("read", "read", outcome=outcome))

    assert "meta" not in event
    assert event["outcome"] in {"4", "8"}


def test_a_kind_that_has_no_row_is_still_told() -> None:
    event = rendered(entry("something-new"))

    assert pattern_of(entry("something-new")).action == "E"
    assert event["subtype"][-1]["code"] == "something-new"

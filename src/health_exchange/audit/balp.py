"""Audit entries as FHIR AuditEvents of the Basic Audit Log Patterns.

One row a kind of entry says which pattern it follows. An entry about several persons becomes one event a person, as the
patterns ask. What the log does not keep (network addresses, queries, ids of single resources) is not made up: there the
event says what is kept, types and counts. A profile is claimed only where the entry has all that it requires.

Source: IHE ITI BALP 1.1 (https://profiles.ihe.net/ITI/BALP) on FHIR R4; built with ``fhir.resources``, whose R4B
AuditEvent is that of R4.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from health_exchange.audit.entries import AuditEntry
from health_exchange.model.identifiers import Pseudonym

PSEUDONYM_SYSTEM = "https://health-exchange.example/pseudonym"
NODE_SYSTEM = "https://health-exchange.example/node"
CLIENT_SYSTEM = "https://health-exchange.example/client"
KIND_SYSTEM = "https://health-exchange.example/audit-kind"
REQUEST_SYSTEM = "https://health-exchange.example/request"

DCM = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
AUTHZ = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
OUTCOMES: Mapping[str, str] = MappingProxyType({"allowed": "0", "failed": "4", "refused": "8"})

_PROFILES = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_NOT_KEPT = "not recorded"

Coding = tuple[str, str]
_APPLICATION, _SOURCE, _DESTINATION = (DCM, "110150"), (DCM, "110153"), (DCM, "110152")
_CUSTODIAN = ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian")
_AUTHORIZER = ("http://terminology.hl7.org/CodeSystem/extra-security-role-type", "authserver")
_RECIPIENT, _AUTHOR = (_PARTICIPATION, "IRCP"), (_PARTICIPATION, "AUT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One row: how an entry looks as an event.

    Attributes:
        type: Of the event.
        subtype: Its first subtype; the entry's kind is always another one.
        action: C, R, U, D or E.
        profile: Name of the profile for an entry about nobody; empty where none fits.
        personal: The same for one about a person.
        asker: Role of whoever asks, or of the other node.
        keeper: Role of this node.
        person: Role of the human or client behind it.
        data: Role of what it is about; empty for a query.
    """

    type: Coding
    subtype: Coding | None
    action: str
    profile: str = ""
    personal: str = ""
    asker: Coding = _SOURCE
    keeper: Coding = _DESTINATION
    person: Coding = _RECIPIENT
    data: str = "4"


def _rest(interaction: str, action: str, name: str, **more: Any) -> Pattern:  # noqa: ANN401  # fields of a row
    """A RESTful interaction, by the profile of its name and that of the name with a patient."""
    personal = f"Patient{name}" if name else ""
    return Pattern(
        type=(EVENT_TYPE, "rest"),
        subtype=(INTERACTION, interaction),
        action=action,
        profile=name,
        personal=personal,
        **more,
    )


_EXPORT = Pattern(
    type=(DCM, "110106"),
    subtype=(LIFECYCLE, "disclose"),
    action="R",
    personal="PrivacyDisclosure.Source",
    asker=_DESTINATION,
    keeper=_SOURCE,
    data="3",
)
_IMPORT = Pattern(
    type=(DCM, "110107"),
    subtype=(LIFECYCLE, "disclose"),
    action="C",
    personal="PrivacyDisclosure.Recipient",
    data="3",
)
_REFUSAL = Pattern(
    type=(DCM, "110113"),
    subtype=(AUTHZ, "AuthZ-Consent"),
    action="E",
    personal="AuthZconsent",
    asker=_APPLICATION,
    keeper=_AUTHORIZER,
)
PATTERNS: Mapping[tuple[str, str], Pattern] = MappingProxyType(
    {
        ("read", "read"): _rest("read", "R", "Read", asker=_DESTINATION, keeper=_SOURCE),
        ("read", "search"): _rest("search-type", "E", "Query", data=""),
        ("read", "view-person"): _rest("operation", "E", "Query", data=""),
        ("read", "view-statistics"): _rest("operation", "E", "Query", data=""),
        ("write", "create"): _rest("create", "C", "Create", person=_AUTHOR),
        ("write", "update"): _rest("update", "U", "Update", person=_AUTHOR),
        ("write", "delete"): _rest("delete", "D", "Delete", asker=_APPLICATION, keeper=_CUSTODIAN, person=_AUTHOR),
        ("write", ""): _rest("transaction", "E", "", person=_AUTHOR),
        ("share", ""): _EXPORT,
        ("answer", ""): _EXPORT,
        ("receive", ""): _IMPORT,
        ("look-up", ""): _IMPORT,
        ("refuse", ""): _REFUSAL,
        ("log-read", ""): Pattern(type=(DCM, "110101"), subtype=None, action="R", asker=_APPLICATION),
        ("shred", ""): Pattern(type=(EVENT_TYPE, "object"), subtype=(LIFECYCLE, "destroy"), action="D"),
        ("start", ""): Pattern(type=(DCM, "110100"), subtype=(DCM, "110120"), action="E"),
        ("keys", ""): Pattern(type=(DCM, "110113"), subtype=(DCM, "110129"), action="U"),
        ("directory", ""): Pattern(type=(DCM, "110113"), subtype=(DCM, "110128"), action="U"),
        ("alarm", ""): Pattern(type=(DCM, "110113"), subtype=None, action="E"),
    }
)
"""By kind, and by action or kind of change; an empty second part stands for all others."""
_ANY = Pattern(type=(EVENT_TYPE, "rest"), subtype=(INTERACTION, "operation"), action="E")


def pattern_of(entry: AuditEntry) -> Pattern:
    """The row that an entry follows."""
    variant = entry.action
    if isinstance(entry.changes, dict):
        done = [name for name, count in entry.changes.items() if count]
        variant = done[0] if len(done) == 1 else ""
    return PATTERNS.get((entry.kind, variant)) or PATTERNS.get((entry.kind, "")) or _ANY


def event_ids(entry: AuditEntry, position: int) -> list[str]:
    """Ids of the events that an entry becomes: its position, and the number of the person where there are any."""
    return [f"{position}.{number}" for number in range(len(entry.subjects))] or [str(position)]


def audit_event(entry: AuditEntry, position: int, number: int, *, name: str, url: str) -> bytes:
    """One event as FHIR JSON.

    Args:
        entry: What it says.
        position: The entry's place in the log.
        number: Which of its persons; 0 where there is none.
        name: What people call the node whose log it is.
        url: The node's FHIR door.
    """
    from fhir.resources.R4B.auditevent import AuditEvent

    row = pattern_of(entry)
    person = entry.subjects[number] if entry.subjects else None
    observer = {"identifier": {"system": NODE_SYSTEM, "value": entry.node}, "display": name or entry.node}
    # Only what went well follows the patterns of what went well; refusals have one of their own.
    profile = row.personal if person is not None else row.profile
    fits = entry.outcome == "allowed" or (row is _REFUSAL and bool(entry.organization))
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": event_ids(entry, position)[number],
        "type": _coding(row.type),
        "subtype": [*([_coding(row.subtype)] if row.subtype else []), _coding((KIND_SYSTEM, entry.kind))],
        "action": row.action,
        "recorded": entry.at,
        "outcome": OUTCOMES.get(entry.outcome, "4"),
        "agent": _agents(entry, row, observer, url),
        "source": {
            "site": entry.node,
            "observer": observer,
            "type": [_coding(("http://terminology.hl7.org/CodeSystem/security-source-type", "4"))],
        },
        "entity": _entities(entry, row, person),
    }
    if profile and fits:
        event["meta"] = {"profile": [_PROFILES + profile]}
    if entry.reason:
        event["outcomeDesc"] = entry.reason
    if entry.purpose:
        event["purposeOfEvent"] = [{"coding": [_purpose(entry)]}]
    return AuditEvent.model_validate(event).model_dump_json(exclude_none=True).encode()


def _agents(entry: AuditEntry, row: Pattern, observer: dict[str, Any], url: str) -> list[dict[str, Any]]:
    """Who took part: whoever asked or was the other side, this node, and the human or client behind it."""
    people = entry.principal_kind != "node" and bool(entry.principal)
    other: dict[str, Any] = {"identifier": {"system": CLIENT_SYSTEM, "value": entry.principal or _NOT_KEPT}}
    if entry.peer or entry.principal_kind == "node":
        # What a node sends of its own accord goes to the nodes above it.
        other = {"identifier": {"system": NODE_SYSTEM, "value": entry.peer or "above"}}
    elif entry.kind == "look-up":
        other = {"display": entry.summary or _NOT_KEPT}
    asker = {"type": _concept(row.asker), "who": other, "requestor": not people, "network": {"address": _NOT_KEPT}}
    keeper = {"type": _concept(row.keeper), "who": observer, "requestor": False}
    if row is not _REFUSAL:
        keeper["network"] = {"address": url, "type": "5"}
    return [asker, keeper, *(_people(entry, row) if people else [])]


def _people(entry: AuditEntry, row: Pattern) -> list[dict[str, Any]]:
    """The registered client that asked, with its reason, and for refusals its organisation."""
    user: dict[str, Any] = {
        "type": _concept(row.person),
        "who": {"identifier": {"system": CLIENT_SYSTEM, "value": entry.principal}},
        "name": entry.principal,
        "requestor": True,
        "role": [{"text": entry.principal_kind.strip() or "not recorded"}],
    }
    if entry.purpose:
        user["purposeOfUse"] = [{"coding": [_purpose(entry)]}]
    if entry.policy and row.action != "D":
        user["policy"] = [f"urn:health-exchange:policy:{entry.policy}"]
    if row is not _REFUSAL or not entry.organization:
        return [user]
    provider = ("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV")
    who = {"identifier": {"value": entry.organization}}
    return [user, {"type": _concept(provider), "who": who, "requestor": False}]


def _entities(entry: AuditEntry, row: Pattern, person: Pseudonym | None) -> list[dict[str, Any]]:
    """What it is about: the person, the request, and the records, as types and counts."""
    entities: list[dict[str, Any]] = []
    if person is not None:
        what = {"type": "Patient", "identifier": {"system": PSEUDONYM_SYSTEM, "value": person}}
        entities.append({"type": _coding((_ENTITY_TYPE, "1")), "role": _coding((_ROLE, "1")), "what": what})
    if row is _REFUSAL and person is not None:
        consent = {"display": "the person's consents, as this node knows them"}
        entities.append({"type": _coding(("http://hl7.org/fhir/resource-types", "Consent")), "what": consent})
        return entities
    summary = entry.summary or entry.action
    if row.data:
        entities.append(
            {"type": _coding((_ENTITY_TYPE, "2")), "role": _coding((_ROLE, row.data)), "what": {"display": summary}}
        )
    else:
        query = b64encode(summary.encode()).decode()
        entities.append(
            {
                "type": _coding((_ENTITY_TYPE, "2")),
                "role": _coding((_ROLE, "24")),
                "description": summary,
                "query": query,
            }
        )
    if entry.request_id and row.action != "D":
        what = {"identifier": {"system": REQUEST_SYSTEM, "value": entry.request_id}}
        entities.append({"type": _coding((_BALP_ENTITY, "XrequestId")), "what": what})
    return entities


def _coding(coding: Coding) -> dict[str, str]:
    return {"system": coding[0], "code": coding[1]}


def _concept(coding: Coding) -> dict[str, Any]:
    return {"coding": [_coding(coding)]}


def _purpose(entry: AuditEntry) -> dict[str, str]:
    return _coding(("http://terminology.hl7.org/CodeSystem/v3-ActReason", entry.purpose))

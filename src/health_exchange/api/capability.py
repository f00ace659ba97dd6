"""The CapabilityStatement: exactly what this door does, made from the same tables that the door works by.

Source: FHIR R4, CapabilityStatement; built with ``fhir.resources``, which is imported when first asked for.
"""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from health_exchange.api.bodies import JSON_PATCH
from health_exchange.api.event_search import PARAMETERS as EVENT_PARAMETERS
from health_exchange.fhir.parameters import offered_for, resource_types
from health_exchange.model.directory import NodeCard
from health_exchange.model.powers import Power
from health_exchange.search.query import ALWAYS, PARAMETERS, Kind

PUBLISHED = "2026-01-01"
_SEARCH_TYPES = {
    Kind.ID: "token",
    Kind.INSTANT: "date",
    Kind.REFERENCE: "reference",
    Kind.DATE: "date",
    Kind.TOKEN: "token",
}
_LOOKUP = "POST with Parameters (resource or Patient id, purpose, reason, _type, start, end) looks the person up"
_OPERATIONS = {
    ("everything", False): "GET gives what this node keeps of the person.",
    ("everything", True): f"GET gives what this node keeps of the person; {_LOOKUP} in the whole country.",
    ("match", True): f"{_LOOKUP} in the whole country and gives the Patients.",
}
AUDIT_EVENT = "AuditEvent"
_READS = ("read", "vread", "history-instance", "history-type", "search-type")
_WRITES = ("create", "update", "patch", "delete")
_ON_ALL = ("history-system", "transaction", "batch")
_FOR_EVERY_TYPE = {
    "validate": "POST a resource, or Parameters with resource and mode; no profiles are known.",
    "meta": "GET on one resource.",
}


def capability_statement(card: NodeCard, *, writes: bool) -> bytes:
    """What the door of the node with this card offers.

    Args:
        card: The node's.
        writes: Whether it admits facilities.
    """
    return _statement(str(card.address), card.name, f"{card.fhir_url}/fhir", writes, card.may(Power.SEES_NATIONAL_IDS))


@lru_cache(maxsize=64)
def _statement(address: str, name: str, url: str, writes: bool, takes_identities: bool) -> bytes:  # noqa: FBT001  # a cache key
    """The statement; the same for a card as long as the process lives."""
    from fhir.resources.R4B.capabilitystatement import CapabilityStatement

    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": PUBLISHED,
        "kind": "instance",
        "software": {"name": "health_exchange", "version": version("health-exchange")},
        "implementation": {"description": f"{name} ({address})", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        **({"patchFormat": [JSON_PATCH]} if writes else {}),
        "rest": [
            {
                "mode": "server",
                "documentation": "Unknown search parameters and modifiers are refused, never ignored."
                + ("" if writes else " Transactions and batches read only: this node admits no facilities."),
                "security": {
                    "cors": False,
                    "service": [
                        {
                            "coding": [
                                {
                                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                                    "code": "SMART-on-FHIR",
                                }
                            ]
                        }
                    ],
                    "description": "SMART Backend Services: OAuth 2.0 client credentials with private_key_jwt.",
                },
                "resource": [
                    _resource(resource_type, writes=writes, takes_identities=takes_identities)
                    for resource_type in resource_types()
                ],
                "interaction": [{"code": code} for code in _ON_ALL],
            }
        ],
    }
    # The library knows 4.3.0; a CapabilityStatement is the same in both, and the version is a plain code.
    return CapabilityStatement.model_validate(statement).model_dump_json(exclude_none=True).encode()


def _resource(resource_type: str, *, writes: bool, takes_identities: bool) -> dict[str, object]:
    """What is offered for one type."""
    if resource_type == AUDIT_EVENT:
        return _audit_events()
    offered = sorted(ALWAYS | (set(offered_for(resource_type)) & PARAMETERS.keys()))
    entry: dict[str, Any] = {
        "type": resource_type,
        "interaction": [{"code": code} for code in (*_READS, *(_WRITES if writes else ()))],
        "versioning": "versioned-update" if writes else "versioned",
        "readHistory": True,
        "conditionalRead": "full-support",
        "searchParam": [_parameter(name, takes_identities=takes_identities) for name in offered],
    }
    if writes:
        entry |= {"updateCreate": True, "conditionalCreate": True, "conditionalUpdate": True}
        entry |= {"conditionalDelete": "single", "referencePolicy": ["literal", "local", "enforced"]}
    entry["operation"] = [
        {"name": name, "definition": f"http://hl7.org/fhir/OperationDefinition/Resource-{name}", "documentation": said}
        for name, said in _FOR_EVERY_TYPE.items()
    ]
    if resource_type == "Patient":
        entry["operation"] += [
            {
                "name": name,
                "definition": f"http://hl7.org/fhir/OperationDefinition/Patient-{name}",
                "documentation": _OPERATIONS[name, takes_identities],
            }
            for name in (("everything", "match") if takes_identities else ("everything",))
        ]
    return entry


def _audit_events() -> dict[str, object]:
    """What auditors are offered: the log, read only, without versions."""
    return {
        "type": AUDIT_EVENT,
        "documentation": "For auditors: this node's log as IHE BALP events (ITI-81). Nobody else, and nothing else.",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": False,
        "searchParam": [
            {"name": name, "type": offered.type}
            | ({"documentation": offered.documentation} if offered.documentation else {})
            for name, offered in EVENT_PARAMETERS.items()
        ],
    }


def _parameter(name: str, *, takes_identities: bool) -> dict[str, str]:
    """One search parameter."""
    parameter = {"name": name, "type": _SEARCH_TYPES[PARAMETERS[name]]}
    if name == "identifier":
        limit = "" if takes_identities else " National IDs are refused at this node."
        parameter["documentation"] = f"Identities that the whole exchange knows by POST _search only.{limit}"
    elif PARAMETERS[name] in {Kind.DATE, Kind.INSTANT}:
        parameter["documentation"] = "Prefixes eq, ne, gt, ge, lt, le."
    return parameter

"""The CapabilityStatement: exactly what this door does, made from the same tables that the door works by.

Source: FHIR R4, CapabilityStatement; built with ``fhir.resources``, which is imported when first asked for.
"""

from functools import lru_cache
from importlib.metadata import version

from health_exchange.api.event_search import PARAMETERS as EVENT_PARAMETERS
from health_exchange.fhir.parameters import offered_for, resource_types
from health_exchange.model.directory import NodeCard
from health_exchange.model.powers import POWERS, Power
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
_READS = ("read", "vread", "search-type")
_WRITES = ("create", "update", "delete")


def capability_statement(card: NodeCard, *, writes: bool) -> bytes:
    """What the door of the node with this card offers.

    Args:
        card: The node's.
        writes: Whether it admits facilities.
    """
    return _statement(str(card.address), card.name, f"{card.fhir_url}/fhir", writes, POWERS[card.tier])


@lru_cache(maxsize=64)
def _statement(address: str, name: str, url: str, writes: bool, powers: frozenset[Power]) -> bytes:  # noqa: FBT001  # a cache key
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
        "rest": [
            {
                "mode": "server",
                "documentation": "Unknown search parameters and modifiers are refused, never ignored.",
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
                    _resource(resource_type, writes=writes, powers=powers) for resource_type in resource_types()
                ],
                **({"interaction": [{"code": "transaction"}, {"code": "batch"}]} if writes else {}),
            }
        ],
    }
    # The library knows 4.3.0; a CapabilityStatement is the same in both, and the version is a plain code.
    return CapabilityStatement.model_validate(statement).model_dump_json(exclude_none=True).encode()


def _resource(resource_type: str, *, writes: bool, powers: frozenset[Power]) -> dict[str, object]:
    """What is offered for one type."""
    if resource_type == AUDIT_EVENT and Power.TAKES_ANYTHING not in powers:
        return _audit_events()
    offered = sorted(ALWAYS | (set(offered_for(resource_type)) & PARAMETERS.keys()))
    entry: dict[str, object] = {
        "type": resource_type,
        "interaction": [{"code": code} for code in (*_READS, *(_WRITES if writes else ()))],
        "versioning": "versioned-update" if writes else "versioned",
        "readHistory": True,
        "searchParam": [_parameter(name, powers=powers) for name in offered],
    }
    if writes:
        entry |= {"updateCreate": True, "conditionalCreate": True, "conditionalUpdate": False}
        entry |= {"conditionalDelete": "not-supported", "referencePolicy": ["literal", "local"]}
    if writes and Power.TAKES_ANYTHING not in powers:
        entry["referencePolicy"] = ["literal", "local", "enforced"]
    if resource_type == "Patient":
        entry["operation"] = [
            {
                "name": name,
                "definition": f"http://hl7.org/fhir/OperationDefinition/Patient-{name}",
                "documentation": _OPERATIONS[name, Power.LOOKS_UP in powers],
            }
            for name in (("everything", "match") if Power.LOOKS_UP in powers else ("everything",))
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


def _parameter(name: str, *, powers: frozenset[Power]) -> dict[str, str]:
    """One search parameter."""
    parameter = {"name": name, "type": _SEARCH_TYPES[PARAMETERS[name]]}
    if name == "identifier":
        limit = "" if Power.SEES_NATIONAL_IDS in powers else " National IDs are refused at this node."
        what = "Identities of persons by" if Power.TAKES_ANYTHING in powers else "By"
        parameter["documentation"] = f"{what} POST _search only.{limit}"
    elif PARAMETERS[name] in {Kind.DATE, Kind.INSTANT}:
        parameter["documentation"] = "Prefixes eq, ne, gt, ge, lt, le."
    return parameter

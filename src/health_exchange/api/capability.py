"""The CapabilityStatement: exactly what this door does, made from the same tables that the door works by.

Source: FHIR R4, CapabilityStatement; built with ``fhir.resources``, which is imported when first asked for.
"""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from health_exchange.api.bodies import JSON_PATCH
from health_exchange.api.event_search import PARAMETERS as EVENT_PARAMETERS
from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import Parameter, parameters_of
from health_exchange.model.directory import NodeCard
from health_exchange.model.powers import POWERS, Power
from health_exchange.search.query import followed_of, modifiers_of
from health_exchange.search.terms import ANY_REFERENCE

PUBLISHED = "2026-01-01"
_LOOKUP = "POST with Parameters (resource or Patient id, purpose, reason, _type, start, end) looks the person up"
_OPERATIONS = {
    ("everything", False): "GET or POST gives what this node keeps of the person, in pages.",
    ("everything", True): f"GET gives what this node keeps of the person, in pages; {_LOOKUP} in the whole country.",
    ("match", True): f"{_LOOKUP} in the whole country and gives the Patients.",
}
SEARCHES = (
    "Unknown search parameters and modifiers are refused, or named in the Bundle with Prefer: handling=lenient; never "
    "ignored. Prefixes of dates, numbers and quantities: eq, ne, gt, ge, lt, le, sa, eb, ap; units of UCUM are "
    "converted. References may be chained, and reversed by _has. _sort by every parameter but composites; _total, "
    "_summary=count, _include and _revinclude (by the references of each type, or * for all) with :iterate. :in and "
    ":not-in take the URL of a ValueSet of FHIR R4 4.0.1 whose codes its definitions list by themselves; any other is "
    "refused. A search that would open too many resources is refused, and says what narrows it."
)
EVERYWHERE = (
    " Everywhere _format (JSON) and _pretty; of resources _summary and _elements; HEAD as GET. Reads of what has "
    "versions take If-None-Match and If-Modified-Since, histories _since, _at and _count."
)
WRITES_TAKE = " Writes take If-Match, If-None-Match: * and Prefer: return. Patches may be conditional, too."
AUDIT_EVENT = "AuditEvent"
BASIC = "Basic"
"""A type whose common parameters are those of all types."""
_READS = ("read", "vread", "history-instance", "history-type", "search-type")
_WRITES = ("create", "update", "patch", "delete")
_ON_ALL = ("history-system", "search-system", "transaction", "batch")
_FOR_EVERY_TYPE = {
    "validate": "POST a resource, or Parameters with resource and mode; no profiles are known.",
    "meta": "GET or POST on one resource.",
}
_FOR_EVERY_TYPE_WRITTEN = {
    "meta-add": "POST on one resource, with If-Match where wanted; it makes a version.",
    "meta-delete": "POST on one resource, with If-Match where wanted; it makes a version.",
}


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
        **({"patchFormat": [JSON_PATCH]} if writes else {}),
        "rest": [
            {
                "mode": "server",
                "documentation": SEARCHES
                + EVERYWHERE
                + (WRITES_TAKE if writes else " Transactions and batches read only: this node admits no facilities."),
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
                "interaction": [{"code": code} for code in _ON_ALL],
                "searchParam": [
                    _parameter(parameter, powers=powers)
                    for parameter in parameters_of(BASIC).values()
                    if parameter.name.startswith("_")
                ],
                "compartment": ["http://hl7.org/fhir/CompartmentDefinition/patient"],
            }
        ],
    }
    # The library knows 4.3.0; a CapabilityStatement is the same in both, and the version is a plain code.
    return CapabilityStatement.model_validate(statement).model_dump_json(exclude_none=True).encode()


def _resource(resource_type: str, *, writes: bool, powers: frozenset[Power]) -> dict[str, object]:
    """What is offered for one type."""
    if resource_type == AUDIT_EVENT and Power.TAKES_ANYTHING not in powers:
        return _audit_events()
    offered = parameters_of(resource_type).values()
    referring = _referring().get(resource_type, [])
    references = [f"{resource_type}:{name}" for name in followed_of(resource_type)]
    entry: dict[str, Any] = {
        "type": resource_type,
        "interaction": [{"code": code} for code in (*_READS, *(_WRITES if writes else ()))],
        "versioning": "versioned-update" if writes else "versioned",
        "readHistory": True,
        "conditionalRead": "full-support",
        "searchParam": [_parameter(parameter, powers=powers) for parameter in offered],
        **({"searchInclude": [ANY_REFERENCE, *references]} if references else {}),
        **({"searchRevInclude": [ANY_REFERENCE, *referring]} if referring else {}),
    }
    if writes:
        enforced = [] if Power.TAKES_ANYTHING in powers else ["enforced"]
        entry |= {"updateCreate": True, "conditionalCreate": True, "conditionalUpdate": True}
        entry |= {"conditionalDelete": "single", "referencePolicy": ["literal", "local", *enforced]}
    entry["operation"] = [
        {"name": name, "definition": f"http://hl7.org/fhir/OperationDefinition/Resource-{name}", "documentation": said}
        for name, said in (_FOR_EVERY_TYPE | (_FOR_EVERY_TYPE_WRITTEN if writes else {})).items()
    ]
    if resource_type == "Patient":
        entry["operation"] += [
            {
                "name": name,
                "definition": f"http://hl7.org/fhir/OperationDefinition/Patient-{name}",
                "documentation": _OPERATIONS[name, Power.LOOKS_UP in powers],
            }
            for name in (("everything", "match") if Power.LOOKS_UP in powers else ("everything",))
        ]
    return entry


@lru_cache(maxsize=1)
def _referring() -> dict[str, list[str]]:
    """By type, the parameters that say they refer to it, as ``_revinclude`` and ``_has`` take them."""
    found: dict[str, list[str]] = {}
    for source in sorted(resource_types() - {AUDIT_EVENT}):
        for name in followed_of(source):
            for target in parameters_of(source)[name].targets:
                found.setdefault(target, []).append(f"{source}:{name}")
    return found


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


def _parameter(parameter: Parameter, *, powers: frozenset[Power]) -> dict[str, str]:
    """One search parameter."""
    said: list[str] = []
    if parameter.name == "identifier":
        limit = "" if Power.SEES_NATIONAL_IDS in powers else " National IDs are refused at this node."
        said.append(f"Identities that the whole exchange knows by POST _search only.{limit}")
    modifiers = modifiers_of(parameter)
    if modifiers:
        said.append(f"Modifiers: {', '.join(modifiers)}.")
    row = {"name": parameter.name, "type": parameter.kind}
    return {**row, "documentation": " ".join(said)} if said else row

"""The operator API as OpenAPI 3.1: every route, what it takes, what it answers, how it fails.

One row a route; the schemas are made of the very types that are read and written, so they cannot say anything else. A
node tells of the routes that it has: what its tier does not do is not there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from health_exchange.api.audit_door import AuditSearch
from health_exchange.api.bodies import FHIR_JSON
from health_exchange.api.person_door import ErasureRequest, ViewRequest
from health_exchange.api.policy_door import Explained
from health_exchange.api.problems import PROBLEMS
from health_exchange.audit.answers import LogAnswer
from health_exchange.audit.proofs import ProofDocument
from health_exchange.model.errors import Category
from health_exchange.node.desks import PersonView
from health_exchange.node.erasures import ErasureReport
from health_exchange.node.greeting import RELEASE
from health_exchange.node.network import NetworkStatus
from health_exchange.node.notices import Effect
from health_exchange.node.readiness import Readiness
from health_exchange.node.status import NodeStatus
from health_exchange.policy.explanation import Explanation
from health_exchange.policy.wording import question_fields
from health_exchange.telemetry.metrics import MEDIA_TYPE

DESCRIPTION_PATH = "/operator/v1/openapi.json"
_JSON = "application/json"
_TEMPLATE = "#/components/schemas/{name}"
_OUTCOME, _QUESTION = "OperationOutcome", "PolicyQuestion"
"""Schemas that are written here, because no type of ours is their whole form."""
_ABOUT = """How a node is watched and audited, and how persons get what they are owed.

Every failure is an OperationOutcome: `issue[0].details.coding[0].code` is a stable reason, `diagnostics` a sentence for
people. Every answer has `X-Request-Id`; a client may send its own, and an auditor finds a refusal by it. A failure that
is the node's own is a 500."""


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One route.

    Attributes:
        name: Its name, for programs made of the description.
        summary: What it is for.
        answer: What a success is: a type, as JSON; or a media type, as text.
        body: What it takes: a type, or the name of a schema that is written here; ``None`` for nothing.
        example: A body, as one may send it.
        query: Parameters of the URL by name, and what each is.
        failures: What it may fail by, beside what all of its kind may.
        is_open: Whether it asks for no token.
    """

    name: str
    summary: str
    answer: Any
    body: Any = None
    example: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    failures: Sequence[Category] = ()
    is_open: bool = False


_OPEN = (Category.INCORRECT,)
"""What every route may fail by: a URL is looked at before what is behind it (``api.urls``)."""
_GUARDED = (*_OPEN, Category.UNAUTHENTICATED, Category.FORBIDDEN, Category.BUSY, Category.UNAVAILABLE)
"""What every route behind a token may fail by."""
_SAMPLE = {"system": "urn:oid:2.16.156.10011.1.3", "value": "190001195910100094"}
_ABSENT, _LARGE, _CLASH = Category.NOT_FOUND, Category.TOO_LARGE, Category.CONFLICT
_ASKED_NODE = {"node": "Address of the node whose log it is; this one's where none is named."}

DESCRIBED: Mapping[tuple[str, str], Described] = {
    ("GET", "/health/live"): Described(name="live", summary="Whether the process answers", answer=Live, is_open=True),
    ("GET", "/health/ready"): Described(
        name="ready", summary="Whether to send requests here; 503 says why not", answer=Readiness, is_open=True
    ),
    ("GET", "/metrics"): Described(name="metrics", summary="Numbers for Prometheus", answer=MEDIA_TYPE, is_open=True),
    ("GET", DESCRIPTION_PATH): Described(
        name="description", summary="This description", answer=dict[str, Any], is_open=True
    ),
    ("GET", "/operator/v1/status"): Described(
        name="status", summary="How the node is doing", answer=NodeStatus, is_open=True
    ),
    ("GET", "/operator/v1/network"): Described(
        name="network", summary="How the node and all below it are doing", answer=NetworkStatus, is_open=True
    ),
    ("POST", "/operator/v1/policy/explain"): Described(
        name="explain",
        summary="What policies say to a made-up question, and what would turn it",
        answer=Explanation,
        body=_QUESTION,
        example={"words": "clinician look-up Observation level 5 HIV for TREAT"},
        failures=(_LARGE,),
    ),
    ("GET", "/operator/v1/policy/refusals/{reference}"): Described(
        name="refusals", summary="Why something was refused, for auditors", answer=Explained, failures=(_ABSENT,)
    ),
    ("POST", "/operator/v1/audit/search"): Described(
        name="search-logs",
        summary="Entries of the logs of nodes, each proven",
        answer=LogAnswer,
        body=AuditSearch,
        example={"question": {"kinds": ["read"]}, "count": 20},
        failures=(_ABSENT,),
    ),
    ("POST", "/operator/v1/audit/evidence"): Described(
        name="evidence",
        summary="Files, by name and in base64, that prove entries offline",
        answer=dict[str, bytes],
        body=AuditSearch,
        example={"question": {"outcome": "refused", "since": "2026-01-01"}, "count": 20},
        failures=(_ABSENT,),
    ),
    ("GET", "/operator/v1/audit/entries/{position}"): Described(
        name="entry", summary="One entry of a log", answer=LogAnswer, query=_ASKED_NODE, failures=(_ABSENT,)
    ),
    ("GET", "/operator/v1/audit/entries/{position}/proof"): Described(
        name="proof",
        summary="One entry with what proves it offline",
        answer=ProofDocument,
        query=_ASKED_NODE,
        failures=(_ABSENT,),
    ),
    ("POST", "/operator/v1/person/view"): Described(
        name="view-person",
        summary="What a person is told of himself, at a desk",
        answer=PersonView,
        body=ViewRequest,
        example={"identifier": _SAMPLE},
        failures=(_ABSENT, _LARGE),
    ),
    ("POST", "/operator/v1/person/erasure"): Described(
        name="erase-person",
        summary="Forget a person, here and everywhere above",
        answer=ErasureReport,
        body=ErasureRequest,
        example={"identifier": _SAMPLE, "case": "case-7"},
        failures=(_ABSENT, _CLASH, _LARGE),
    ),
    ("GET", "/operator/v1/person/erasure/{case}"): Described(
        name="erasure", summary="What became of an erasure", answer=ErasureReport, failures=(_ABSENT,)
    ),
    ("GET", "/operator/v1/consents/{id}/effect"): Described(
        name="consent-effect", summary="Who has learned of a consent", answer=Effect, failures=(_ABSENT,)
    ),
}
"""Every route by method and path."""


def description(paths: Collection[str]) -> bytes:
    """The OpenAPI document of a node that has ``paths``."""
    rows = {place: row for place, row in DESCRIBED.items() if place[1] in paths}
    types = [each for row in rows.values() for each in (row.answer, row.body) if not isinstance(each, str | None)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    made = iter(schemas)
    described: dict[str, dict[str, Any]] = {}
    for (method, path), row in rows.items():
        answer = {"type": "string"} if row.answer == MEDIA_TYPE else next(made)
        body = {"$ref": _TEMPLATE.format(name=row.body)} if isinstance(row.body, str) else None
        if body is None and row.body is not None:
            body = next(made)
        described.setdefault(path, {})[method.lower()] = _operation(path, row, answer, body)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "health_exchange: the operator API", "version": RELEASE, "description": _ABOUT},
            "paths": described,
            "components": {
                "schemas": components | {_OUTCOME: _OUTCOMES, _QUESTION: _question()},
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "From /oauth/token, as SMART Backend Services has it; policies decide the rest.",
                    }
                },
            },
        }
    )


def _operation(path: str, row: Described, answer: Mapping[str, Any], body: Mapping[str, Any] | None) -> dict[str, Any]:
    """One route."""
    media = row.answer if row.answer == MEDIA_TYPE else _JSON
    operation: dict[str, Any] = {
        "operationId": row.name,
        "summary": row.summary,
        "responses": {"200": {"description": "Success", "content": {media: {"schema": answer}}}, **_failures(row)},
        "security": [] if row.is_open else [{"token": []}],
    }
    steps = [step[1:-1] for step in path.split("/") if step.startswith("{")]
    text = {"type": "string"}
    parameters = [{"name": name, "in": "path", "required": True, "schema": text} for name in steps]
    parameters += [
        {"name": name, "in": "query", "description": told, "schema": text} for name, told in row.query.items()
    ]
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": body, "example": row.example}}}
    if row.answer in {Readiness, MEDIA_TYPE}:
        content = {"text/plain": {"schema": text}} if row.answer == MEDIA_TYPE else {media: {"schema": answer}}
        operation["responses"]["503"] = {"description": "It is not", "content": content}
    return operation


def _failures(row: Described) -> dict[str, Any]:
    """The failures of a route by status, all of one shape."""
    content = {FHIR_JSON: {"schema": {"$ref": _TEMPLATE.format(name=_OUTCOME)}}}
    large = (_LARGE,) if row.body is not None else ()
    categories = {*(_OPEN if row.is_open else _GUARDED), *row.failures, *large}
    statuses = sorted((PROBLEMS[each].status, each.value) for each in categories)
    return {str(int(status)): {"description": name, "content": content} for status, name in statuses}


def _question() -> dict[str, Any]:
    """A question to policy: words, or fields."""
    words = {"type": "object", "properties": {"words": {"type": "string"}}, "required": ["words"]}
    scalar = {"type": ["string", "integer", "boolean", "null"]}
    fields = {name: {**scalar, "description": allowed} for name, allowed in question_fields().items()}
    return {
        "description": "A line of words, or the fields of a question.",
        "oneOf": [
            {**words, "additionalProperties": False},
            {
                "type": "object",
                "properties": fields,
                "required": ["kind", "action", "purpose"],
                "additionalProperties": False,
            },
        ],
    }


_CODING = {
    "type": "object",
    "properties": {"system": {"type": "string"}, "code": {"type": "string"}},
    "required": ["system", "code"],
}
_OUTCOMES: Mapping[str, Any] = {
    "type": "object",
    "description": "What went wrong, as FHIR R4 has it.",
    "properties": {
        "resourceType": {"const": _OUTCOME},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "severity": {"enum": ["fatal", "error", "warning", "information"]},
                    "code": {"type": "string"},
                    "details": {
                        "type": "object",
                        "properties": {"coding": {"type": "array", "minItems": 1, "items": _CODING}},
                        "required": ["coding"],
                    },
                    "diagnostics": {"type": "string"},
                    "expression": {"type": "array", "items": {"type": "string"}},
                    "extension": {"type": "array", "items": {"type": "object"}},
                },
                "required": ["severity", "code", "details"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["resourceType", "issue"],
    "additionalProperties": False,
}

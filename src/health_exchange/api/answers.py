"""Answers to reads and writes, alone and in response Bundles: status, entity tag, date, place, and what was asked for.

Resources in them are the bytes that are kept.

Source: FHIR R4, sections 3.1.0.1.2, 3.1.0.6, 3.1.0.11.3 and 3.1.0.11.4.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from http import HTTPStatus

import msgspec
from msgspec import Raw
from starlette.responses import Response

from health_exchange.api.bodies import FHIR_JSON, date_of, is_known_to_client
from health_exchange.api.problems import outcome_of, status_of
from health_exchange.api.wishes import Return
from health_exchange.fhir.outcomes import operation_outcome
from health_exchange.fhir.splicing import JsonBytes, fields, join_array, join_object, quote
from health_exchange.model.errors import ExchangeError
from health_exchange.node.admission import BundleOutcome
from health_exchange.node.bundle_reads import ReadResult
from health_exchange.node.reading import Kept
from health_exchange.node.writes import WriteResult

_ENCODER = msgspec.json.Encoder()
_SAID = {
    HTTPStatus.OK: "the resource is kept as it was sent, or was here already",
    HTTPStatus.CREATED: "the resource was created",
    HTTPStatus.NO_CONTENT: "the resource is deleted, or never was here",
}
_ENTRY_WORTH_BYTES = 16
"""An entry of a response is laid out in some microseconds."""
_READ_AS_ONE = 64
"""Of bytes that are only copied."""


def resource_answer(kept: Kept) -> Response:
    """One resource with its validators."""
    return Response(kept.body, headers=_validators(kept), media_type=FHIR_JSON)


def meta_answer(kept: Kept) -> Response:
    """The ``meta`` of a resource, as operations on it answer."""
    meta = bytes(fields(kept.body)["meta"])
    head = b'{"resourceType":"Parameters","parameter":[{"name":"return","valueMeta":'
    return Response(head + meta + b"}]}", media_type=FHIR_JSON)


def not_modified(kept: Kept) -> Response:
    """The answer to who has the resource already."""
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_validators(kept))


def written_answer(result: WriteResult, base: str, returns: Return, kept: Kept | None) -> Response:
    """The answer to one write.

    Args:
        result: What became of it.
        base: The door's base URL.
        returns: What the client wants back.
        kept: The resource as it is kept, where it is wanted and there is one.
    """
    body, status = b"", result.status
    if returns is Return.OUTCOME:
        body = _outcome(result)
    elif returns is Return.REPRESENTATION and kept is not None:
        body = kept.body
    if body and status == HTTPStatus.NO_CONTENT:
        status = HTTPStatus.OK
    response = Response(body, status_code=status, media_type=FHIR_JSON if body else None)
    if result.version:
        response.headers["ETag"] = etag(result.version)
    changed_at = result.changed_at or (kept.changed_at if kept is not None else None)
    if changed_at is not None:
        response.headers["Last-Modified"] = date_of(changed_at)
    if result.version and result.status != HTTPStatus.NO_CONTENT:
        response.headers["Location"] = f"{base}/{_place(result)}"
    if result.held:
        response.headers["X-Held"] = result.held
    return response


def answer_bundle(
    outcome: BundleOutcome, reference: str, returns: Return = Return.MINIMAL, kept: Mapping[int, Kept] | None = None
) -> bytes:
    """The response Bundle of a transaction or batch.

    Args:
        outcome: What became of it.
        reference: What an auditor finds a refusal by.
        returns: What the client wants back of writes.
        kept: Resources as they are kept, by number of the entry, where they are wanted.
    """
    entries = [
        _read(result) if isinstance(result, ReadResult) else _entry(result, reference, returns, (kept or {}).get(at))
        for at, result in enumerate(outcome.results)
    ]
    bundle: dict[str, JsonBytes] = {"resourceType": b'"Bundle"', "type": quote(outcome.type)}
    return join_object(bundle | ({"entry": join_array(entries)} if entries else {}))


def layout_work(outcome: BundleOutcome, kept: Mapping[int, Kept]) -> int:
    """How much there is to lay out, in bytes of a body that takes as long to read: what is small is done at once."""
    bodies = sum(len(each.body) for each in kept.values())
    bodies += sum(len(each.body) for each in outcome.results if isinstance(each, ReadResult))
    return len(outcome.results) * _ENTRY_WORTH_BYTES + bodies // _READ_AS_ONE


def etag(version: int) -> str:
    """A version as an entity tag."""
    return f'W/"{version}"'


def _entry(result: WriteResult | ExchangeError, reference: str, returns: Return, kept: Kept | None) -> bytes:
    """One entry."""
    if isinstance(result, ExchangeError):
        status, outcome = _status(status_of(result)), outcome_of(result, reference)
        return _ENCODER.encode({"response": {"status": status, "outcome": Raw(outcome)}})
    response: dict[str, object] = {"status": _status(HTTPStatus(result.status))}
    if result.version:
        response |= {"location": _place(result), "etag": etag(result.version)}
    changed_at = result.changed_at or (kept.changed_at if kept is not None else None)
    if changed_at is not None:
        response["lastModified"] = _instant(changed_at)
    if result.held or returns is Return.OUTCOME:
        response["outcome"] = Raw(_outcome(result))
    members: dict[str, object] = {"response": response}
    if kept is not None and returns is Return.REPRESENTATION:
        members = {"resource": Raw(kept.body), **members}
    return _ENCODER.encode(members)


def _read(result: ReadResult) -> bytes:
    """The entry of a read: what it found, or that the client has it already."""
    if result.kept is None:
        return _ENCODER.encode({"resource": Raw(result.body), "response": {"status": _status(HTTPStatus.OK)}})
    kept, asked = result.kept, result.request
    has = is_known_to_client(asked.if_none_match, asked.known_before, version=kept.version, changed_at=kept.changed_at)
    response = {
        "status": _status(HTTPStatus.NOT_MODIFIED if has else HTTPStatus.OK),
        "etag": etag(kept.version),
        "lastModified": _instant(kept.changed_at),
    }
    members: dict[str, object] = {} if has else {"resource": Raw(result.body)}
    return _ENCODER.encode(members | {"response": response})


def _validators(kept: Kept) -> dict[str, str]:
    """By what a client knows a version again."""
    return {"ETag": etag(kept.version), "Last-Modified": date_of(kept.changed_at)}


def _place(result: WriteResult) -> str:
    """Where the version lives, from the door's base on."""
    return f"{result.type}/{result.id}/_history/{result.version}"


def _outcome(result: WriteResult) -> bytes:
    """A write that was carried out, in words."""
    if not result.held:
        said = _SAID[HTTPStatus(result.status)]
        return operation_outcome(severity="information", code="informational", reason="done", diagnostics=said)
    issue = {
        "severity": "information",
        "code": "incomplete",
        "details": {"text": result.held},
        "diagnostics": "Kept at this node; it does not travel yet.",
    }
    return json.dumps({"resourceType": "OperationOutcome", "issue": [issue]}, separators=(",", ":")).encode()


@cache
def _status(status: HTTPStatus) -> str:
    return f"{status.value} {status.phrase}"


@lru_cache(maxsize=16)
def _instant(at: datetime) -> str:
    """An instant as Bundles carry it; what one transaction writes has all the same."""
    return at.isoformat(timespec="milliseconds")

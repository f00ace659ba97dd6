"""Response Bundles: what became of each entry, in the order they were sent.

Source: FHIR R4, sections 3.1.0.11.3 and 3.1.0.11.4.
"""

import json
from http import HTTPStatus

from health_exchange.api.problems import outcome_of, status_of
from health_exchange.model.errors import ExchangeError
from health_exchange.node.admission import BundleOutcome
from health_exchange.node.writes import WriteResult


def answer_bundle(outcome: BundleOutcome, reference: str) -> bytes:
    """The response Bundle of a transaction or batch; ``reference`` is what an auditor finds a refusal by."""
    entries = [
        {"response": _failed(result, reference) if isinstance(result, ExchangeError) else _written(result)}
        for result in outcome.results
    ]
    bundle = {"resourceType": "Bundle", "type": outcome.type, "entry": entries}
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _written(result: WriteResult) -> dict[str, object]:
    """The response part of an entry that was carried out."""
    status = HTTPStatus(result.status)
    response: dict[str, object] = {
        "status": f"{status.value} {status.phrase}",
        "location": f"{result.type}/{result.id}/_history/{result.version}",
        "etag": f'W/"{result.version}"',
    }
    if result.changed_at is not None:
        response["lastModified"] = result.changed_at.isoformat()
    if result.held:
        response["outcome"] = {
            "resourceType": "OperationOutcome",
            "issue": [
                {
                    "severity": "information",
                    "code": "incomplete",
                    "details": {"text": result.held},
                    "diagnostics": "Kept at this node; it does not travel yet.",
                }
            ],
        }
    return response


def _failed(error: ExchangeError, reference: str) -> dict[str, object]:
    """The response part of a batch's entry that failed."""
    status = HTTPStatus(status_of(error))
    return {"status": f"{status.value} {status.phrase}", "outcome": json.loads(outcome_of(error, reference))}

"""OperationOutcomes: what a FHIR client reads when something went wrong.

Source: FHIR R4, section 2.40 "Resource OperationOutcome".
"""

from collections.abc import Mapping, Sequence

import msgspec

REASONS = "urn:health-exchange:reason"
"""Code system of our stable reasons (``ExchangeError.code``)."""
REFERENCE = "urn:health-exchange:reference"
"""Extension of an issue: by what an auditor finds the entry in the log, the request's id (``X-Request-Id``)."""

_ENCODER = msgspec.json.Encoder()


def operation_outcome(  # the fields of an issue
    *, severity: str, code: str, reason: str, diagnostics: str, where: str = "", reference: str = ""
) -> bytes:
    """An OperationOutcome with one issue.

    Args:
        severity: ``fatal``, ``error``, ``warning`` or ``information``.
        code: Of FHIR's value set issue-type.
        reason: Our stable name of it.
        diagnostics: A sentence that is safe to send.
        where: Place of the trouble; empty where it has none.
        reference: By what an auditor finds it in the log; empty where the log has nothing of it.
    """
    issue = issue_of(severity=severity, code=code, reason=reason, diagnostics=diagnostics, where=where)
    if reference:
        issue = {"extension": [{"url": REFERENCE, "valueString": reference}], **issue}
    return outcome_with([issue])


def issue_of(*, severity: str, code: str, reason: str, diagnostics: str, where: str = "") -> dict[str, object]:
    """One issue; its parts as in :func:`operation_outcome`."""
    issue: dict[str, object] = {
        "severity": severity,
        "code": code,
        "details": {"coding": [{"system": REASONS, "code": reason}]},
    }
    if diagnostics:
        issue["diagnostics"] = diagnostics
    if where:
        issue["expression"] = [where]
    return issue


def outcome_with(issues: Sequence[Mapping[str, object]]) -> bytes:
    """An OperationOutcome with these issues."""
    return _ENCODER.encode({"resourceType": "OperationOutcome", "issue": issues})

"""OperationOutcomes: what a FHIR client reads when something went wrong.

Source: FHIR R4, section 2.40 "Resource OperationOutcome".
"""

import msgspec

REASONS = "urn:health-exchange:reason"
"""Code system of our stable reasons (``ExchangeError.code``)."""

_ENCODER = msgspec.json.Encoder()


def operation_outcome(*, severity: str, code: str, reason: str, diagnostics: str, where: str = "") -> bytes:
    """An OperationOutcome with one issue.

    Args:
        severity: ``fatal``, ``error``, ``warning`` or ``information``.
        code: Of FHIR's value set issue-type.
        reason: Our stable name of it.
        diagnostics: A sentence that is safe to send.
        where: Place of the trouble; empty where it has none.
    """
    issue: dict[str, object] = {
        "severity": severity,
        "code": code,
        "details": {"coding": [{"system": REASONS, "code": reason}]},
    }
    if diagnostics:
        issue["diagnostics"] = diagnostics
    if where:
        issue["expression"] = [where]
    return _ENCODER.encode({"resourceType": "OperationOutcome", "issue": [issue]})

"""A record is of the patient its type's row points at, or of nobody."""

import json

import pytest

from health_exchange.fhir.subjects import may_be_patient, subject_references


@pytest.mark.parametrize(
    ("resource_type", "members", "expected"),
    [
        ("Observation", {"subject": {"reference": "Patient/1"}}, "Patient/1"),
        ("Observation", {"subject": {"reference": "urn:uuid:1"}}, "urn:uuid:1"),
        ("Observation", {"subject": {"reference": "Patient?identifier=a|b"}}, "Patient?identifier=a|b"),
        ("Observation", {"subject": {"reference": "https://x/fhir/Patient/1/_history/2"}}, "https://x/fhir/Patient/1/_history/2"),
        ("Observation", {"subject": {"reference": "Group/1"}}, None),
        ("Observation", {"subject": {"reference": "urn:uuid:1", "type": "Device"}}, None),
        ("Observation", {"subject": {"reference": "Device?identifier=a"}}, None),
        ("Observation", {"subject": {"display": "x"}}, None),
        ("Observation", {"performer": [{"reference": "Patient/1"}]}, None),
        ("Coverage", {"beneficiary": {"reference": "Patient/1"}, "payor": [{"reference": "Patient/2"}]}, "Patient/1"),
        ("Device", {"patient": {"reference": "Patient/1"}}, "Patient/1"),
        ("Immunization", {"patient": {"reference": "Patient/1"}}, "Patient/1"),
        ("Schedule", {"actor": [{"reference": "Location/1"}, {"reference": "Patient/1"}]}, "Patient/1"),
        ("Appointment", {"participant": [{"actor": {"reference": "Patient/1"}}]}, "Patient/1"),
        ("Organization", {"subject": {"reference": "Patient/1"}}, None),
    ],
)  # fmt: skip
def test_the_subject_is_found(resource_type: str, members: dict[str, object], expected: str | None) -> None:
    found = next(filter(may_be_patient, subject_references(resource_type, members)), None)
    assert found == expected


def test_outcomes_carry_reason_place_and_sentence() -> None:
    from health_exchange.fhir.outcomes import operation_outcome

    raw = operation_outcome(
        severity="error", code="invalid", reason="malformed-resource", diagnostics="no", where="A.b"
    )
    (issue,) = json.loads(raw)["issue"]
    assert (issue["severity"], issue["code"], issue["diagnostics"]) == ("error", "invalid", "no")
    assert issue["expression"] == ["A.b"]
    assert issue["details"]["coding"][0]["code"] == "malformed-resource"
    assert b"expression" not in operation_outcome(severity="error", code="invalid", reason="a", diagnostics="")

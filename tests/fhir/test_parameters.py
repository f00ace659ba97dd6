"""What a resource can be found by is what FHIR's expressions select."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.extraction import extract

from health_exchange.fhir.parameters import SearchValue, instant_of, offered_for, resource_types

DAY, DAY_INSTANT = "2025-03-01T00:00:00Z", "2025-03-01T00:00:00.000000Z"
SAMPLES = Path(__file__).parents[2] / "sample_records"


def values(resource: dict[str, Any], param: str) -> list[tuple[str | None, ...]]:
    return [
        tuple(text for text in (value.system, value.code, value.reference, value.start, value.end) if text is not None)
        for value in extract(resource)
        if value.param == param
    ]


OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "meta": {"lastUpdated": "2025-01-01T00:00:00Z"},
    "identifier": [{"system": "urn:a", "value": "1"}, {"value": "2"}, {"system": "urn:b"}],
    "status": "final",
    "category": [{"coding": [{"system": "urn:c", "code": "lab"}]}, {"coding": [{"code": "x"}]}, {"text": "y"}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "8310-5"}, {"system": "urn:l", "code": "T"}]},
    "subject": {"reference": "Patient/1/_history/3"},
    "effectivePeriod": {"start": "2025-03-01T09:00:00+08:00"},
}


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("identifier", [("urn:a", "1"), ("2",)]),
        ("status", [("final",)]),
        ("category", [("urn:c", "lab"), ("x",)]),
        ("code", [("http://loinc.org", "8310-5"), ("urn:l", "T")]),
        ("subject", [("Patient/1",)]),
        ("patient", [("Patient/1",)]),
        ("date", [("2025-03-01T09:00:00+08:00",)]),
    ],
)
def test_an_observation_is_found_by(param: str, expected: list[tuple[str, ...]]) -> None:
    assert values(OBSERVATION, param) == expected


@pytest.mark.parametrize(
    ("resource", "param", "expected"),
    [
        ({"resourceType": "Observation", "subject": {"reference": "Group/1"}}, "patient", []),
        ({"resourceType": "Observation", "subject": {"reference": "Group/1"}}, "subject", [("Group/1",)]),
        ({"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}, "subject", []),
        ({"resourceType": "Claim", "patient": {"reference": "Patient/1"}}, "patient", [("Patient/1",)]),
        (
            {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"coding": [{"code": "m"}]}},
            "code",
            [("m",)],
        ),
        (
            {"resourceType": "Appointment", "participant": [{"actor": {"reference": "Patient/1"}}, {"status": "x"}]},
            "patient",
            [("Patient/1",)],
        ),
        (
            {"resourceType": "DocumentReference", "masterIdentifier": {"value": "1"}, "identifier": [{"value": "2"}]},
            "identifier",
            [("1",), ("2",)],
        ),
        ({"resourceType": "Procedure", "performedDateTime": "2025"}, "date", [("2025", "2025")]),
        ({"resourceType": "Observation", "effectiveTiming": {"event": ["2025"]}}, "date", [("2025", "2025")]),
        ({"resourceType": "Observation", "effectivePeriod": {}}, "date", []),
        ({"resourceType": "Patient", "identifier": [{"value": "1"}, {"value": "1"}]}, "identifier", [("1",)]),
    ],
)  # fmt: skip
def test_other_types_are_found_by(resource: dict[str, Any], param: str, expected: list[tuple[str, ...]]) -> None:
    assert values(resource, param) == expected


def test_what_is_offered_is_what_fhir_defines() -> None:
    assert {"_id", "_lastUpdated", "_tag", "identifier", "family", "birthdate"} < offered_for("Patient")
    assert {"patient", "subject", "date", "code", "category", "status", "identifier"} < offered_for("Observation")
    assert offered_for("Binary") == {"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"}
    assert "Observation" in resource_types()
    assert "Horoscope" not in resource_types()


@pytest.mark.parametrize(
    ("resource_type", "members", "expected"),
    [
        ("Observation", {"effectiveDateTime": "2025-03-01T09:00:00+08:00"}, "2025-03-01T01:00:00.000000Z"),
        ("Observation", {"effectiveDateTime": "2025-03-01"}, "2025-02-28T16:00:00.000000Z"),
        ("Observation", {"effectiveDateTime": "2025"}, "2024-12-31T16:00:00.000000Z"),
        ("Observation", {"effectiveInstant": "2025-03-01T09:00:00.1234567Z"}, "2025-03-01T09:00:00.123456Z"),
        ("Observation", {"effectiveDateTime": "2016-12-31T23:59:60Z"}, "2016-12-31T23:59:59.000000Z"),
        ("Observation", {"effectiveDateTime": "0001-01-01"}, None),
        ("Encounter", {"period": {"end": DAY}}, DAY_INSTANT),
        ("MedicationRequest", {"authoredOn": DAY}, DAY_INSTANT),
        ("Condition", {"onsetString": "x", "recordedDate": DAY}, DAY_INSTANT),
        ("Specimen", {"collection": {"collectedDateTime": DAY}}, DAY_INSTANT),
        ("Patient", {"birthDate": "1980-01-01"}, None),
    ],
)  # fmt: skip
def test_the_clinical_date_sorts_by_time(resource_type: str, members: dict[str, Any], expected: str | None) -> None:
    assert instant_of({"resourceType": resource_type, **members}) == expected


def test_every_sample_record_can_be_found_by_something() -> None:
    for path in sorted(SAMPLES.glob("cn-*/*.json")):
        for entry in json.loads(path.read_bytes()).get("entry", ()):
            resource = entry.get("resource")
            if resource is not None:
                found = extract(resource)
                assert all(isinstance(value, SearchValue) for value in found)
                assert {value.param for value in found} <= offered_for(resource["resourceType"])

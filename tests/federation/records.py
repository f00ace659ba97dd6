"""Small Bundles for stories: invented people on division codes that were never assigned."""

import json
from typing import Any

from health_exchange.pseudonym.identities import check_digit

NATIONAL_ID = "urn:oid:2.16.156.10011.1.3"


def national_id(number: int) -> str:
    """The ``number``-th invented, checksum-valid ID on a division code that was never assigned."""
    first = f"190001{1950 + number % 60:04d}{1 + number % 12:02d}{1 + number % 28:02d}{number % 1000:03d}"
    return first + check_digit(first)


def patient(local_id: str, *, identity: str | None, version_note: str = "a") -> dict[str, Any]:
    """A Patient with a name, an address and perhaps a national ID."""
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": local_id,
        "name": [{"text": f"测试{version_note}"}],
        "gender": "female",
        "birthDate": "1970-03-04",
    }
    if identity is not None:
        resource["identifier"] = [{"system": NATIONAL_ID, "value": identity}]
    return resource


def observation(local_id: str, patient_id: str, value: str = "1.50") -> dict[str, Any]:
    """A laboratory result; the value is written as given."""
    return {
        "resourceType": "Observation",
        "id": local_id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "14771-0"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": "2026-01-02T03:04:05+08:00",
        "valueQuantity": {"value": f"@{value}@", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    }


def immunization(local_id: str, patient_id: str) -> dict[str, Any]:
    """Something of level 2: routine prevention."""
    return {
        "resourceType": "Immunization",
        "id": local_id,
        "status": "completed",
        "vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "08"}]},
        "patient": {"reference": f"Patient/{patient_id}"},
        "occurrenceDateTime": "2026-01-02",
    }


def condition(local_id: str, patient_id: str, code: str) -> dict[str, Any]:
    """A diagnosis by ICD-10 code, which decides how sensitive it is."""
    return {
        "resourceType": "Condition",
        "id": local_id,
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def objection(local_id: str, patient_id: str, *, status: str = "active") -> dict[str, Any]:
    """A Consent that objects to all sharing."""
    act_code = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    scope = "http://terminology.hl7.org/CodeSystem/consentscope"
    return {
        "resourceType": "Consent",
        "id": local_id,
        "status": status,
        "scope": {"coding": [{"system": scope, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "policyRule": {"coding": [{"system": act_code, "code": "OPTOUT"}]},
    }


def consent(
    local_id: str,
    patient_id: str,
    provision: dict[str, Any] | None = None,
    *,
    status: str = "active",
    policy: str = "",
) -> dict[str, Any]:
    """A Consent about sharing, with a base provision or the code of a policy rule."""
    resource = objection(local_id, patient_id, status=status)
    del resource["policyRule"]
    if policy:
        act_code = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
        resource["policyRule"] = {"coding": [{"system": act_code, "code": policy}]}
    if provision is not None:
        resource["provision"] = provision
    if not policy:
        resource["policy"] = [{"uri": "https://health-exchange.example/privacy"}]
    return resource


def transaction(*resources: dict[str, Any], delete: tuple[str, ...] = ()) -> bytes:
    """A transaction that puts resources under their own ids and deletes others."""
    entries: list[dict[str, Any]] = [
        {
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in resources
    ]
    entries += [{"request": {"method": "DELETE", "url": url}} for url in delete]
    text = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}, ensure_ascii=False)
    # A decimal keeps its written form only outside Python's floats.
    return text.replace('"@', "").replace('@"', "").encode()

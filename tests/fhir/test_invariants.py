"""The rules about several elements that any type may break: which, where, and what comes near them and is sound."""

import json
from typing import Any

import pytest

from health_exchange.fhir.validation import all_faults, validate
from health_exchange.model.errors import MalformedResourceError

URL = "urn:x"
VALUE, NESTED = {"url": URL, "valueString": "v"}, {"url": URL, "extension": [{"url": "y", "valueBoolean": False}]}
ORGANIZATION: dict[str, Any] = {"resourceType": "Organization", "id": "o", "name": "n"}


def patient(**members: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    return {"resourceType": "Patient", **members}


def holding(**members: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    """A Patient whose organisation is contained in it."""
    return patient(contained=[ORGANIZATION | members], managingOrganization={"reference": "#o"})


def within(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource}]}


def bundle(resource: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:x:1", "resource": resource}]}


def immunization(**members: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    return {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": {"text": "v"},
        "patient": {"reference": "Patient/1"},
        "occurrenceString": "x",
        **members,
    }


SOUND = [
    patient(extension=[VALUE, NESTED], modifierExtension=[VALUE]),
    patient(_birthDate={"extension": [{"url": URL, "_valueString": {"id": "a"}}]}),
    holding(),
    holding(extension=[NESTED], partOf={"reference": "#"}, meta={"tag": [{"code": "t"}]}),
    patient(name=[{"text": "#o"}], generalPractitioner=[{"reference": "Organization/o#x"}]),
    immunization(
        reasonReference=[{"reference": "#c"}],
        contained=[{"resourceType": "Condition", "id": "c", "subject": {"reference": "#"}}],
    ),
    within(holding()),
    patient(extension=[{"url": URL, "valueExpression": {"language": "text/cql", "reference": "#library"}}]),
    immunization(education=[{"reference": "#leaflet"}]),
    patient(contained=[{"id": "b", **bundle(holding())}]),
    patient(contained=[{"id": "p", **within(holding())}]),
    bundle(holding()),
]
BROKEN = [
    (patient(extension=[{"url": URL}]), "ext-1", "Patient.extension[0]"),
    (patient(extension=[VALUE | NESTED]), "ext-1", "Patient.extension[0]"),
    (
        patient(name=[{"_family": {"extension": [VALUE, {"url": URL}]}}]),
        "ext-1",
        "Patient.name[0]._family.extension[1]",
    ),
    (patient(modifierExtension=[NESTED | {"_valueCode": {"id": "a"}}]), "ext-1", "Patient.modifierExtension[0]"),
    (holding(extension=[{"url": URL}]), "ext-1", "Patient.contained[0].extension[0]"),
    (holding(contained=[ORGANIZATION]), "dom-2", "Patient.contained[0].contained"),
    (holding(meta={"versionId": "1"}), "dom-4", "Patient.contained[0].meta.versionId"),
    (holding(meta={"lastUpdated": "2026-01-01T00:00:00Z"}), "dom-4", "Patient.contained[0].meta.lastUpdated"),
    (holding(meta={"security": [{"code": "R"}]}), "dom-5", "Patient.contained[0].meta.security"),
    (holding(id="other"), "ref-1", "Patient.managingOrganization.reference"),
    (patient(managingOrganization={"reference": "#o"}), "ref-1", "Patient.managingOrganization.reference"),
    (within(patient(extension=[{"url": URL}])), "ext-1", "Parameters.parameter[0].resource.extension[0]"),
    (
        within(patient(managingOrganization={"reference": "#o"})) | {"id": "o"},
        "ref-1",
        "Parameters.parameter[0].resource.managingOrganization.reference",
    ),
    (immunization(reasonReference=[{"reference": "#leaflet"}]), "ref-1", "Immunization.reasonReference[0].reference"),
    (
        patient(contained=[{"id": "o", **bundle(patient(managingOrganization={"reference": "#o"}))}]),
        "ref-1",
        "Patient.contained[0].entry[0].resource.managingOrganization.reference",
    ),
]


@pytest.mark.parametrize("resource", SOUND, ids=range(len(SOUND)))
def test_what_keeps_the_rules_is_taken(resource: dict[str, Any]) -> None:
    assert validate(json.dumps(resource).encode()).type == resource["resourceType"]


@pytest.mark.parametrize(("resource", "rule", "where"), BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("escaped", [False, True])
def test_what_breaks_a_rule_is_refused_with_its_name_and_place(
    resource: dict[str, Any], rule: str, where: str, *, escaped: bool
) -> None:
    raw = json.dumps(resource).encode()
    if escaped:
        raw = raw.replace(b'xtension"', rb'\u0078tension"').replace(b'"reference"', rb'"refer\u0065nce"')
    with pytest.raises(MalformedResourceError) as refused:
        validate(raw)
    told = all_faults(raw, most=10)

    assert (refused.value.where, rule in refused.value.detail) == (where, True)
    assert [(fault.where, rule in fault.detail) for fault in told] == [(where, True)]

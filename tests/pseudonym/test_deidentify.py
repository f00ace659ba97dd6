"""What leaves an origin, rule by rule."""

import json
from typing import Any

import pytest

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.pseudonym.cleaners import MASKED, HeldResourceError
from health_exchange.pseudonym.deidentify import RULES, Outgoing, deidentify, disposition_of
from health_exchange.pseudonym.rules.rows import Disposition

ORIGIN = NodeAddress.parse("cn/33/3305/330521")
MASK = json.loads(MASKED)
LISTED = """Patient Encounter EpisodeOfCare Condition Observation DiagnosticReport Specimen ServiceRequest Procedure
ImagingStudy MedicationRequest MedicationStatement MedicationAdministration MedicationDispense Medication
AllergyIntolerance Immunization CarePlan CareTeam Goal FamilyMemberHistory Composition DocumentReference Consent
Coverage Claim ExplanationOfBenefit Practitioner PractitionerRole Organization Location"""
LOINC = {"system": "http://loinc.org", "code": "8302-2"}


def exchange_id(resource_type: str, resource_id: str) -> ExchangeId | None:
    return None if resource_id == "stranger" else ExchangeId(f"x-{resource_type}-{resource_id}")


def send(resource: dict[str, Any] | bytes, *, subject: str | None = "p" * 26) -> Outgoing:
    raw = resource if isinstance(resource, bytes) else json.dumps(resource, ensure_ascii=False).encode()
    person = None if subject is None else Pseudonym(subject)
    return deidentify(
        raw, rewrite=exchange_id, subject=person, source=ORIGIN, version=3, changed_at="2026-03-01T08:00:00+08:00"
    )


def sent(resource: dict[str, Any] | bytes, **options: str | None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(send(resource, **options).body)
    return body


def observation(**members: object) -> dict[str, Any]:
    base = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"coding": [LOINC]}}
    return {**base, "subject": {"reference": "Patient/p1"}, **members}


def held_code(resource: dict[str, Any], **options: str | None) -> str:
    with pytest.raises(HeldResourceError) as caught:
        send(resource, **options)
    return caught.value.code


@pytest.mark.parametrize("resource_type", LISTED.split())
def test_every_type_of_the_issue_has_a_row(resource_type: str) -> None:
    assert disposition_of(resource_type) in {Disposition.PERSON, Disposition.DIRECTORY}


@pytest.mark.parametrize("resource_type", ["Group", "List", "Binary", "RelatedPerson", "Person", "Nonsense"])
def test_a_type_without_a_row_stays_at_its_origin(resource_type: str) -> None:
    assert disposition_of(resource_type) is Disposition.ORIGIN_ONLY
    assert held_code({"resourceType": resource_type, "id": "1"}) == "origin-only"


def test_a_patient_leaves_as_id_gender_and_year() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"versionId": "9", "profile": ["http://x.example/张三"], "source": "#张三"},
        "text": {"status": "generated", "div": "<div>张三</div>"},
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "张三"}],
        "name": [{"text": "张三"}],
        "telecom": [{"value": "13800000000"}],
        "gender": "female",
        "birthDate": "1961-07-05",
        "_birthDate": {"extension": [{"url": "http://x.example/time", "valueDateTime": "1961-07-05T03:04:05Z"}]},
        "deceasedDateTime": "2025-11-30T10:00:00+08:00",
        "address": [{"text": "张三"}],
        "contact": [{"name": {"text": "李四"}}],
        "link": [{"other": {"reference": "Patient/p2"}, "type": "seealso"}],
        "managingOrganization": {"reference": "Organization/h", "display": "张三"},
    }
    assert sent(patient) == {
        "resourceType": "Patient",
        "id": "x-Patient-p1",
        "meta": {
            "versionId": "3",
            "lastUpdated": "2026-03-01T08:00:00+08:00",
            "source": "urn:health-exchange:cn/33/3305/330521",
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "PSEUDED"}],
        },
        "gender": "female",
        "birthDate": "1961",
        "deceasedDateTime": "2025-11",
        "managingOrganization": {"reference": "Organization/x-Organization-h"},
    }


@pytest.mark.parametrize(
    ("born", "leaves"),
    [("2020-03-01", "2020"), ("2020-03-02", "2020-03"), ("2026-02-28", "2026-02"), ("2024", "2024"), ("1930", "1930")],
)
def test_a_birth_date_keeps_its_month_only_below_six_years(born: str, leaves: str) -> None:
    assert sent({"resourceType": "Patient", "id": "p1", "birthDate": born})["birthDate"] == leaves


def test_numbers_and_instants_keep_their_bytes() -> None:
    raw = (
        b'{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org",'
        b'"code":"8302-2"}]},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2020-02-03T11:00:00.000+08:00",'
        b'"valueQuantity":{"value":1.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"},'
        b'"referenceRange":[{"low":{"value":0.0010e+2}}]}'
    )
    body = send(raw).body
    for piece in (b'"value":1.50,', b'"2020-02-03T11:00:00.000+08:00"', b'"value":0.0010e+2}'):
        assert piece in body


@pytest.mark.parametrize(
    ("concept", "leaves"),
    [
        ({"text": "张三的病"}, MASK),
        ({"coding": [{**LOINC, "display": "张三"}], "text": "张三"}, {"coding": [LOINC]}),
        ({"coding": [{"system": "http://hospital.example/local", "code": "张三"}]}, MASK),
        ({"coding": [{"system": "http://hospital.example/local", "code": "1"}, LOINC]}, {"coding": [LOINC]}),
        ({"coding": [{"system": "http://loinc.org", "code": "zhangsan"}]}, MASK),
        ({"coding": [{"code": "zhangsan"}]}, MASK),
        ({"extension": [{**MASK["extension"][0], "valueCode": "unknown"}]}, "unknown"),
    ],
)
def test_a_concept_keeps_codes_of_listed_systems_only(concept: dict[str, Any], leaves: object) -> None:
    code = sent(observation(code=concept))["code"]
    assert (code["extension"][0]["valueCode"] if leaves == "unknown" else code) == leaves


@pytest.mark.parametrize(
    ("quantity", "leaves"),
    [
        ({"value": 5}, {"value": 5}),
        ({"value": 5, "unit": "张三"}, MASK),
        ({"value": 5, "unit": "片", "system": "http://unitsofmeasure.org", "code": "{张三}"}, MASK),
        ({"value": 5, "unit": "x", "system": "http://local.example", "code": "kg"}, MASK),
        (
            {"value": 5, "comparator": "<", "unit": "公斤", "system": "http://unitsofmeasure.org", "code": "kg"},
            {"value": 5, "comparator": "<", "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
        ),
    ],
)
def test_a_quantity_keeps_its_value_only_with_a_unit_that_may_leave(quantity: dict[str, Any], leaves: object) -> None:
    assert sent(observation(valueQuantity=quantity))["valueQuantity"] == leaves


def test_free_text_results_say_that_something_is_masked() -> None:
    body = sent(observation(valueString="张三", note=[{"text": "张三"}]))
    assert body["_valueString"] == MASK
    assert not body.keys() & {"valueString", "note"}


def test_what_was_masked_is_listed_by_path_without_content() -> None:
    masked = send(observation(valueString="张三", note=[{"text": "张三"}])).masked
    assert masked == ("Observation.valueString", "Observation.note")


def test_a_required_string_becomes_a_masked_primitive() -> None:
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "x"},
        "subject": {"reference": "Patient/p1"},
        "date": "2020",
        "author": [{"display": "张三"}],
        "title": "张三",
        "section": [{"title": "张三", "text": {"status": "generated", "div": "<div>张三</div>"}}],
    }
    body = sent(composition)
    assert body["_title"] == MASK
    assert body["author"] == [MASK]
    assert not body.keys() & {"title", "section"}


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "Practitioner/stranger"},
        {"reference": "https://elsewhere.example/fhir/Practitioner/1"},
        {"reference": "Practitioner?identifier=x|1"},
        {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
        {"reference": "RelatedPerson/mother"},
        {"reference": "Patient/p2"},
        {"reference": "#nowhere"},
        {"display": "张三"},
        {"identifier": {"value": "张三"}},
    ],
)
def test_a_reference_that_cannot_be_rewritten_stays(reference: dict[str, Any]) -> None:
    assert "performer" not in sent(observation(performer=[reference]))


def test_a_versioned_reference_points_at_the_resource() -> None:
    body = sent(observation(encounter={"reference": "Encounter/e/_history/7", "display": "张三"}))
    assert body["encounter"] == {"reference": "Encounter/x-Encounter-e"}


def test_contained_resources_follow_their_own_row_under_new_names() -> None:
    body = sent(
        observation(
            contained=[
                {
                    "resourceType": "Practitioner",
                    "id": "zhangsan",
                    "name": [{"text": "王医生"}],
                    "birthDate": "1970-01-01",
                },
                {"resourceType": "RelatedPerson", "id": "lisi", "name": [{"text": "李四"}]},
                {"resourceType": "Organization", "id": "unused", "name": "x"},
            ],
            performer=[{"reference": "#zhangsan"}, {"reference": "#lisi"}],
        )
    )
    assert body["contained"] == [{"resourceType": "Practitioner", "id": "c1", "name": [{"text": "王医生"}]}]
    assert body["performer"] == [{"reference": "#c1"}]


def test_a_reason_for_absence_survives_on_a_primitive() -> None:
    absent = {"extension": [{"url": MASK["extension"][0]["url"], "valueCode": "unknown"}]}
    assert sent(observation(_effectiveDateTime=absent))["_effectiveDateTime"] == absent


def test_codes_outside_their_value_set_do_not_leave() -> None:
    assert sent(observation(status="zhangsan"))["_status"] == MASK


def test_a_professional_leaves_as_name_and_licence() -> None:
    practitioner = {
        "resourceType": "Practitioner",
        "id": "d",
        "identifier": [
            {"system": "urn:oid:2.16.156.10011.1.3", "value": "000000"},
            {"system": "urn:oid:2.16.156.10011.1.4", "value": "110330500000001"[:9]},
        ],
        "name": [{"text": "王医生"}],
        "gender": "male",
        "birthDate": "1970-01-01",
        "telecom": [{"value": "13800000000"}],
    }
    body = sent(practitioner, subject=None)
    assert set(body) == {"resourceType", "id", "meta", "identifier", "name"}
    assert body["identifier"] == [{"system": "urn:oid:2.16.156.10011.1.4", "value": "110330500"}]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"modifierExtension": [{"url": "http://x.example", "valueBoolean": True}]}, "unknown-modifier"),
        ({"component": [{"code": {}, "modifierExtension": [{"url": "http://x.example"}]}]}, "unknown-modifier"),
        ({"implicitRules": "http://x.example"}, "implicit-rules"),
        ({"subject": {"reference": "Group/1"}}, "no-subject"),
        ({"id": "stranger"}, "no-exchange-id"),
    ],
)
def test_what_we_cannot_judge_is_held(members: dict[str, Any], code: str) -> None:
    assert held_code(observation(**members)) == code


def test_a_record_of_a_person_without_identity_is_held() -> None:
    assert held_code(observation(), subject=None) == "no-identity"


def test_a_national_id_in_what_would_leave_holds_the_resource() -> None:
    body = "00000119900307" + "001"
    weights = [2 ** (17 - place) % 11 for place in range(17)]
    check = "10X98765432"[sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True)) % 11]
    organization = {"resourceType": "Organization", "id": "o", "name": f"诊所 {body}{check}"}
    assert held_code(organization, subject=None) == "looks-like-id"
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": f"A.{body}{check}"}
    assert held_code(observation(code={"coding": [coding]})) == "looks-like-id"


def test_labels_of_confidentiality_survive() -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    body = sent(observation(meta={"security": [{**label, "display": "张三"}], "tag": [{"code": "张三"}]}))
    assert body["meta"]["security"][1:] == [label]
    assert "tag" not in body["meta"]


def test_persons_rows_name_their_subject() -> None:
    for rule in RULES.values():
        names = {element.name for element in rule.elements}
        assert rule.type == "Patient" or rule.disposition is Disposition.DIRECTORY or rule.subject_path in names

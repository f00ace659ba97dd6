"""What one resource is found by: every kind of parameter, every prefix and modifier, on the opened body alone."""

import json
from typing import Any

import pytest

from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.search.matching import Matcher
from health_exchange.search.query import parse_pairs
from health_exchange.store.resources import StoredResource

BASE = "https://here.example/fhir"
SETS = "http://hl7.org/fhir/ValueSet/"
UCUM = "http://unitsofmeasure.org"
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {
        "profile": ["http://x/StructureDefinition/a"],
        "tag": [{"system": "urn:t", "code": "new", "display": "Neu"}],
        "security": [{"code": "R"}],
        "source": "urn:a:b",
    },
    "active": False,
    "identifier": [
        {"system": "urn:mrn", "value": "7", "type": {"coding": [{"system": "urn:k", "code": "MR"}], "text": "Akte"}}
    ],
    "name": [{"family": "Müller-Lüdenscheidt", "given": ["José", "Ana  María"]}, {"text": "王小明", "family": "王"}],
    "telecom": [{"system": "phone", "value": "+86 571"}, {"system": "email", "value": "a@b.cn"}],
    "gender": "female",
    "birthDate": "1980-05-12",
    "deceasedDateTime": "2024-02-29",
    "address": [{"use": "home", "line": ["Strasse 1"], "city": "杭州市", "postalCode": "310000"}],
    "managingOrganization": {"reference": "Organization/o", "identifier": {"system": "urn:org", "value": "O1"}},
    "generalPractitioner": [
        {"reference": "https://elsewhere/fhir/Practitioner/9"}, {"reference": "Practitioner/d/_history/3"}
    ],
}  # fmt: skip
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "Blood glucose", "coding": [{"system": "http://loinc.org", "code": "1", "display": "Glucose"}]},
    "subject": {"reference": "Patient/p"},
    "effectivePeriod": {"start": "2024-05-06T10:00:00+08:00", "end": "2024-05-08"},
    "valueQuantity": {"value": 5.40, "unit": "mmol/L", "system": UCUM, "code": "mmol/L"},
    "component": [
        {"code": {"coding": [{"code": "a"}]}, "valueQuantity": {"value": 1, "comparator": "<"}},
        {"code": {"coding": [{"code": "b"}]}, "valueQuantity": {"value": 120, "unit": "mmHg"}},
        {"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}},
    ],
}
RISK: dict[str, Any] = {
    "resourceType": "RiskAssessment",
    "id": "r",
    "status": "final",
    "prediction": [{"probabilityRange": {"low": {"value": 0.2}, "high": {"value": 0.4}}}],
}
VALUE_SET: dict[str, Any] = {"resourceType": "ValueSet", "id": "v", "url": "http://acme.org/fhir/ValueSet/123"}
CONDITION: dict[str, Any] = {
    "resourceType": "Condition",
    "id": "c",
    "onsetAge": {"value": 50, "system": UCUM, "code": "a"},
    "recordedDate": "2024",
}
LOCATION: dict[str, Any] = {
    "resourceType": "Location",
    "id": "l",
    "position": {"longitude": 120.1551, "latitude": 30.2741},
}
SERVICE: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "s",
    "instantiatesCanonical": ["http://x/PlanDefinition/a|2"],
    "occurrenceTiming": {"event": ["2024-01-10", "2024-03-01"]},
}


def is_found(resource: dict[str, Any], name: str, value: str) -> bool:
    return is_found_in(json.dumps(resource).encode(), resource, name, value)


def is_found_in(body: bytes, resource: dict[str, Any], name: str, value: str) -> bool:
    query = parse_pairs(resource["resourceType"], [(name, value)], base=BASE)
    kept = StoredResource(
        rid=1,
        type=resource["resourceType"],
        id=resource["id"],
        sid=1,
        origin="cn",
        version=1,
        resource_class=ResourceClass(
            type="Patient", sensitivity=Sensitivity(3), category=SensitiveCategory.GENERAL, jurisdiction="cn"
        ),
        changed_at="2026-01-01T00:00:00+00:00",
        instant=None,
        deleted=False,
        body=body,
    )
    return Matcher(query, {}, Secret(b"t" * 32)).matches(kept)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("family", ["mül", "MULLER", "Muller-L", "王", "x,müll"], ["üller", "小明", "liu"]),
        ("family:exact", ["Müller-Lüdenscheidt", "王"], ["müller-lüdenscheidt", "Müller"]),
        ("family:contains", ["denscheidt", "LUDEN"], ["x"]),
        ("name", ["jose", "王小", "ana mar", "ＪＯＳＥ"], ["maria", "明"]),
        ("name:contains", ["小明", "maria"], ["李"]),
        ("address", ["strasse", "杭州", "31"], ["州"]),
        ("address-city", ["杭州市"], ["strasse"]),
        ("gender", ["female", "male,female", "http://hl7.org/fhir/administrative-gender|female", "|female"],
         ["male", "Female", "urn:x|female", "http://hl7.org/fhir/administrative-gender|male"]),
        ("address-use", ["http://hl7.org/fhir/address-use|home"], ["urn:x|home"]),
        ("gender:not", ["male"], ["female", "male,female"]),
        ("gender:missing", ["false"], ["true"]),
        ("gender:in", [f"{SETS}administrative-gender", f"{SETS}administrative-gender|4.0.1",
                       f"{SETS}days-of-week,{SETS}administrative-gender"],
         [f"{SETS}days-of-week"]),
        ("gender:not-in", [f"{SETS}days-of-week"],
         [f"{SETS}administrative-gender", f"{SETS}days-of-week,{SETS}administrative-gender"]),
        ("_tag:in", [], [f"{SETS}common-tags"]),
        ("_security:not-in", [f"{SETS}security-labels"], []),
        ("active", ["false"], ["true"]),
        ("deceased", ["true"], ["false"]),
        ("death-date", ["2024-02", "ge2024"], ["2023"]),
        ("phone", ["+86 571"], ["a@b.cn", "+86"]),
        ("email", ["a@b.cn"], ["+86 571"]),
        ("telecom", ["a@b.cn", "+86 571"], ["b.cn"]),
        ("identifier", ["7", "urn:mrn|7", "urn:mrn|"], ["|7", "urn:x|7", "urn:x|", "8"]),
        ("identifier:of-type", ["urn:k|MR|7"], ["urn:k|MR|8", "urn:k|SS|7", "urn:x|MR|7"]),
        ("identifier:text", ["akte", "AK"], ["kte", "7"]),
        ("_tag", ["new", "urn:t|new", "urn:t|"], ["|new", "old"]),
        ("_tag:text", ["neu"], ["new"]),
        ("_tag:not", ["old"], ["new"]),
        ("_security", ["R", "|R"], ["V"]),
        ("_profile", ["http://x/StructureDefinition/a"], ["http://x/StructureDefinition", "a"]),
        ("_profile:below", ["http://x/StructureDefinition"], ["http://x/Structure"]),
        ("_source", ["urn:a:b"], ["urn:a"]),
        ("_id", ["p", "x,p"], ["P", "x"]),
        ("organization", ["o", "Organization/o", f"{BASE}/Organization/o"], ["p", "https://x/fhir/Organization/o"]),
        ("organization:Organization", ["o"], ["x"]),
        ("organization:identifier", ["urn:org|O1", "O1"], ["urn:x|O1", "7"]),
        ("general-practitioner", ["d", "Practitioner/d", "Practitioner/d/_history/3", "https://elsewhere/fhir/Practitioner/9"],
         ["9", "Practitioner/d/_history/2", "Organization/d"]),
        ("general-practitioner:Practitioner", ["d"], ["9"]),
        ("general-practitioner:Organization", [], ["d"]),
        ("link:missing", ["true"], ["false"]),
        ("birthdate", ["1980-05-12", "1980", "ne1981", "lt1981", "sa1979", "eb1980-05-13", "ap1980-05-13"],
         ["1981", "ne1980-05", "gt1980-05-12", "sa1980", "eb1980", "ap1980-05-14"]),
    ],
)  # fmt: skip
def test_a_patient_is_found_by_what_it_says_and_by_nothing_else(name: str, yes: list[str], no: list[str]) -> None:
    assert [value for value in yes if not is_found(PATIENT, name, value)] == []
    assert [value for value in no if is_found(PATIENT, name, value)] == []


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("date", ["2024", "2024-05", "ge2024-05-07", "gt2024-05-07", "le2024-05-07", "lt2024-05-07", "sa2024-05-05",
                  "eb2024-05-09", "ne2024-05-06", "ap2024-05-09"],
         ["2024-05-06", "2024-05-07", "sa2024-05-06", "eb2024-05-08", "gt2024-05-08", "ne2024", "ap2024-05-10"]),
        ("value-quantity", ["5.4", "5", "gt5", "ge5.4", "le5.4", "lt5.5", "sa5.3", "eb5.5", "ap5", "ne5.3",
                            "5.4||mmol/L", f"5.4|{UCUM}|mmol/L", "5.40e0", "54e-1", "1,5.4"],
         ["5.41", "5.5", "6", "gt5.4", "lt5.4", "sa5.4", "eb5.4", "ne5.4", "5.4||mg", f"5.4|{UCUM}|mg",
          "5.4|urn:x|mmol/L", "ap4"]),
        ("value-quantity", [f"5400|{UCUM}|umol/L", f"gt5.3e-3|{UCUM}|mol/L", "5.4||mol/m3", "540||umol/dL",
                            "ap5000||umol/L", f"ne5.5|{UCUM}|mmol/dL", f"0.0054|{UCUM}|mol/L", f"5|{UCUM}|mmol/L{{a}}"],
         [f"5401|{UCUM}|umol/L", f"5.4|{UCUM}|MMOL/L", f"5.4|{UCUM}|mg/L", "5.4|urn:x|mol/m3", f"5.4|{UCUM}|nonsense",
          f"gt5400|{UCUM}|umol/L", f"ge5400.1|{UCUM}|umol/L", "ap4000||umol/L"]),
        ("component-value-quantity", ["120", "lt1", "le0.5", "120||mmHg", "eb1", "1.2e2"],
         ["1", f"120|{UCUM}|mmHg", "120||kPa"]),
        ("component-code-value-quantity", ["b$120", "a$lt1", "b$gt100", "b$120||mmHg"], ["a$120", "b$lt1", "c$120"]),
        ("combo-code-value-quantity", ["1$5.4", "http://loinc.org|1$gt5", "b$120"], ["1$120", "a$5.4"]),
        ("combo-code", ["1", "a", "b"], ["c"]),
        ("code:text", ["blood", "gluc"], ["lood", "1"]),
        ("subject:Patient", ["p"], ["o"]),
        ("encounter:missing", ["true"], ["false"]),
        ("status:not", ["amended"], ["final"]),
        ("status:in", [f"{SETS}observation-status"], [f"{SETS}event-status"]),
        ("code:in", [], [f"{SETS}observation-vitalsignresult"]),
        ("combo-code:in", [f"{SETS}observation-vitalsignresult"], [f"{SETS}observation-status"]),
        ("combo-code:not-in", [f"{SETS}observation-status"], [f"{SETS}observation-vitalsignresult"]),
        ("data-absent-reason:not-in", [f"{SETS}data-absent-reason"], []),
    ],
)  # fmt: skip
def test_an_observation_is_found_by_what_it_says_and_by_nothing_else(name: str, yes: list[str], no: list[str]) -> None:
    assert [value for value in yes if not is_found(OBSERVATION, name, value)] == []
    assert [value for value in no if is_found(OBSERVATION, name, value)] == []


@pytest.mark.parametrize(
    ("resource", "name", "yes", "no"),
    [
        (RISK, "probability", ["gt0.3", "lt0.3", "sa0.1", "eb0.5", "ap0.3"], ["0.3", "gt0.4", "lt0.2", "0.2", "sa0.2"]),
        (VALUE_SET, "url", ["http://acme.org/fhir/ValueSet/123"], ["http://acme.org/fhir/ValueSet", "123"]),
        (VALUE_SET, "url:below", ["http://acme.org/fhir", "http://acme.org/fhir/"], ["http://acme.org/fh"]),
        (VALUE_SET, "url:above", ["http://acme.org/fhir/ValueSet/123/_history/5"],
         ["http://acme.org/fhir/ValueSet/1234"]),
        (CONDITION, "onset-age", ["50", f"gt40|{UCUM}|a", "50||a"], ["51", "50||mo"]),
        (CONDITION, "recorded-date", ["2024", "ge2024-05", "lt2024-05"], ["2024-05", "sa2024,gt2024"]),
        (SERVICE, "instantiates-canonical", ["http://x/PlanDefinition/a", "http://x/PlanDefinition/a|2"],
         ["http://x/PlanDefinition/a|3", "http://x/PlanDefinition"]),
        # A canonical is found by its text, whatever that is; a reference by whom it names.
        ({**SERVICE, "instantiatesCanonical": ["plan-a"]}, "instantiates-canonical", ["plan-a"], ["plan"]),
        ({**SERVICE, "subject": {"reference": "p"}}, "subject", [], ["p", "Patient/p"]),
        # Hangzhou; Shanghai is 164 km away.
        (LOCATION, "near", ["30.2741|120.1551", "30.28|120.16", "31.2304|121.4737|170", "31.2304|121.4737|170|km",
                            "31.2304|121.4737|110|[mi_i]", "30.2741|120.1551|0|m", "+30.2741|120.1551|1|m"],
         ["31.2304|121.4737", "31.2304|121.4737|160", "31.2304|121.4737|170|m", "-30.2741|120.1551",
          "30.2741|-120.1551|1000"]),
        (LOCATION, "near:missing", ["false"], ["true"]),
        (SERVICE, "occurrence", ["2024", "gt2024-02-01", "lt2024-02-01", "sa2024-01-09", "eb2024-03-02"],
         ["2024-01", "sa2024-01-10", "eb2024-03-01"]),
    ],
)  # fmt: skip
def test_other_types_are_found_by_numbers_uris_ages_and_timings(
    resource: dict[str, Any], name: str, yes: list[str], no: list[str]
) -> None:
    assert [value for value in yes if not is_found(resource, name, value)] == []
    assert [value for value in no if is_found(resource, name, value)] == []


@pytest.mark.parametrize(
    ("asked", "kept", "found"),
    [
        ("100", 99.5, True),
        ("100", 100.499, True),
        ("100", 100.5, False),
        ("100.00", 100.005, False),
        ("100.00", 99.995, True),
        ("1e2", 99, True),
        ("lt100", 99.99, True),
        ("lt100", 100, False),
        ("ne100", 99, True),
        ("ne100", 100.2, False),
        ("ap100", 110, True),
        ("ap100", 111, False),
        ("-3", -3.2, True),
        ("gt-3", -2, True),
    ],
)
def test_a_number_means_what_its_precision_says(asked: str, kept: float, *, found: bool) -> None:
    resource = {**OBSERVATION, "valueQuantity": {"value": kept}}
    assert is_found(resource, "value-quantity", asked) is found


@pytest.mark.parametrize(
    ("asked", "kept", "code", "found"),
    [
        (f"1|{UCUM}|g", "1000", "mg", True),
        (f"1|{UCUM}|g", "1499.99", "mg", True),
        (f"1|{UCUM}|g", "1500", "mg", False),
        (f"1.000|{UCUM}|g", "1000.5", "mg", False),
        (f"ge1|{UCUM}|g", "1000", "mg", True),
        (f"le1|{UCUM}|g", "1000", "mg", True),
        (f"gt1|{UCUM}|g", "1000", "mg", False),
        (f"lt1|{UCUM}|g", "1000", "mg", False),
        (f"lt1|{UCUM}|g", "999.999999999999999999999", "mg", True),
        (f"sa0.1|{UCUM}|mg/dL", "1.0000000000000000000001", "mg/L", True),
        (f"ge0.1|{UCUM}|mg/dL", "1", "mg/L", True),
        (f"le0.1|{UCUM}|mg/dL", "1", "mg/L", True),
        (f"98.6|{UCUM}|[degF]", "37", "Cel", True),
        (f"ge98.6|{UCUM}|[degF]", "37", "Cel", True),
        (f"37.0|{UCUM}|Cel", "98.6", "[degF]", True),
        (f"37.0|{UCUM}|Cel", "98.7", "[degF]", False),
        # A tenth is one of what was asked for, not of kelvins.
        (f"ap40|{UCUM}|Cel", "96.8", "[degF]", True),
        (f"ap40|{UCUM}|Cel", "96", "[degF]", False),
        (f"7.4|{UCUM}|[pH]", "7.4", "[pH]", True),
        (f"7.4|{UCUM}|[pH]", "7.4", "1", False),
        (f"5|{UCUM}|[IU]/mL", "5000", "[iU]/L", True),
        (f"5|{UCUM}|/mL", "5", "[IU]/mL", False),
        (f"5|{UCUM}|{{score}}", "5", "1", True),
        (f"5|{UCUM}|no such unit", "5", "no such unit", True),
        (f"5|{UCUM}|no such unit", "5", "No such unit", False),
        ("1||g", "1000", "mg", True),
        ("1||Milligramm", "1", "mg", True),
        ("1000||Milligramm", "1", "g", False),
        (f"lt1|{UCUM}|g", "-1e999999999999", "mg", False),
        (f"lt1|{UCUM}|mg", "-1e999999999999", "mg", True),
    ],
)
def test_a_quantity_is_found_in_any_unit_that_ucum_converts(  # a table
    asked: str, kept: str, code: str, *, found: bool
) -> None:
    quantity = {"value": "?", "unit": "Milligramm", "system": UCUM, "code": code}
    body = json.dumps({**OBSERVATION, "valueQuantity": quantity}).replace('"?"', kept).encode()
    assert is_found_in(body, OBSERVATION, "value-quantity", asked) is found
    # As it is written, where it says of no system that it is one of UCUM's.
    plain = body.replace(UCUM.encode(), b"urn:local")
    assert is_found_in(plain, OBSERVATION, "value-quantity", asked.replace(UCUM, "urn:local")) is (
        found and (asked.endswith(f"|{code}") or "Milligramm" in asked)
    )


def test_a_range_is_found_with_an_end_in_each_of_two_units() -> None:
    low, high = ({"value": value, "system": UCUM, "code": code} for value, code in ((30, "d"), (3, "mo")))
    condition = {**CONDITION, "onsetAge": None, "onsetRange": {"low": low, "high": high}}
    del condition["onsetAge"]
    ask = [f"gt2|{UCUM}|mo", f"sa29|{UCUM}|d", f"eb0.5|{UCUM}|a"]
    assert [each for each in ask if not is_found(condition, "onset-age", each)] == []
    assert not is_found(condition, "onset-age", f"lt30|{UCUM}|d")
    assert not is_found(condition, "onset-age", f"lt30|{UCUM}|kg")


def test_a_decimal_is_compared_as_it_is_written_and_not_as_the_machine_has_it() -> None:
    body = {**OBSERVATION, "valueQuantity": {"value": 0.1}}
    assert is_found(body, "value-quantity", "ge0.1")
    assert is_found(body, "value-quantity", "le0.1")
    assert not is_found(body, "value-quantity", "gt0.1")


@pytest.mark.parametrize("latitude", ["1e999999999", "1e-99999999999999999999", "91000", '"x"'])
def test_a_place_that_is_not_on_earth_is_near_nothing(latitude: str) -> None:
    body = json.dumps({**LOCATION, "position": {"latitude": "?", "longitude": 0}}).replace('"?"', latitude).encode()
    assert not is_found_in(body, LOCATION, "near", "0|0|30000")


@pytest.mark.parametrize("number", ["1e-99999999999999999999", "-1.5E+99999999999999999999"])
def test_a_number_beyond_any_decimal_is_there_and_is_no_number_that_is_asked_for(number: str) -> None:
    body = json.dumps({**OBSERVATION, "valueQuantity": {"value": "?"}}).replace('"?"', number).encode()
    for value in ("0", "ge0", "lt0", "ne0", "ap0"):
        assert not is_found_in(body, OBSERVATION, "value-quantity", value)
    assert is_found_in(body, OBSERVATION, "value-quantity:missing", "false")
    assert is_found_in(body, OBSERVATION, "status", "final")

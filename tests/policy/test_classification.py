"""Sensitivity from labels, codes and types."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.model.sensitivity import SensitiveCategory, Sensitivity, class_of
from health_exchange.policy.classification import sensitivity_of
from health_exchange.policy.code_tables import TABLES, TYPE_LEVELS, read_tables

ORIGIN = "cn/33/3305/330521"
SAMPLES = Path(__file__).parents[2] / "sample_records"
ICD = "http://hl7.org/fhir/sid/icd-10"
ICD_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD_CHINA = "urn:oid:2.16.156.10011.2.3.3.11"
ATC = "http://www.whocc.no/atc"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def _coded(system: str, code: str, resource_type: str = "Condition") -> dict[str, Any]:
    return {"resourceType": resource_type, "id": "1", "code": {"coding": [{"system": system, "code": code}]}}


def _labelled(resource: dict[str, Any], *labels: tuple[str, str]) -> dict[str, Any]:
    labelled = copy.deepcopy(resource)
    security = labelled.setdefault("meta", {}).setdefault("security", [])
    security += [{"system": system, "code": code} for system, code in labels]
    return labelled


@pytest.mark.parametrize(
    ("system", "code", "level", "category"),
    [
        (ICD, "I10", 3, "general"),
        (ICD, "F32.9", 4, "PSY"),
        (ICD_CHINA, "F32.900x001", 4, "PSY"),
        (ICD_CM, "f32.9 ", 4, "PSY"),
        (ICD, "F10.2", 4, "SUD"),
        (ICD, "F02.4", 5, "HIV"),
        (ICD_CHINA, "B20.900", 5, "HIV"),
        (ICD, "B24", 5, "HIV"),
        (ICD, "B25", 3, "general"),
        (ICD, "Z21", 5, "HIV"),
        (ICD, "Z20.6", 5, "HIV"),
        (ICD, "Z20.8", 3, "general"),
        (ICD_CHINA, "O80.000x001", 4, "SEX"),
        (ICD, "O98.7", 5, "HIV"),
        (ICD, "Z34.9", 4, "SEX"),
        (ICD, "N97.9", 4, "SEX"),
        (ICD, "A53.9", 4, "SEX"),
        (ICD, "Q90.9", 4, "GDIS"),
        (ICD_CM, "Z15.01", 4, "GDIS"),
        (ICD, "T74.1", 4, "SDV"),
        (ICD, "Y06.0", 4, "SDV"),
        (ATC, "J05AR10", 5, "HIV"),
        (ATC, "J05AF01", 5, "HIV"),
        (ATC, "J05AF10", 3, "general"),
        (ATC, "J05AE30", 3, "general"),
        (ATC, "J05AH02", 3, "general"),
        (ATC, "N06AB06", 4, "PSY"),
        (ATC, "N05AH03", 4, "PSY"),
        (ATC, "N02BE01", 3, "general"),
        (LOINC, "75622-1", 5, "HIV"),
        (LOINC, "718-7", 3, "general"),
        (SNOMED, "86406008", 5, "HIV"),
        (SNOMED, "864060080", 3, "general"),
        ("https://jt-county.hospital.example/lab-codes", "F32.9", 3, "general"),
    ],
)
def test_a_code_makes_a_resource_sensitive(system: str, code: str, level: int, category: str) -> None:
    found = sensitivity_of(_coded(system, code))

    assert found == (level, category)


@pytest.mark.parametrize(
    ("labels", "level", "category"),
    [
        ([(CONFIDENTIALITY, "N")], 3, "general"),
        ([(CONFIDENTIALITY, "R")], 4, "general"),
        ([(CONFIDENTIALITY, "V")], 5, "general"),
        ([(CONFIDENTIALITY, "V"), (ACT_CODE, "HIV")], 5, "HIV"),
        ([(CONFIDENTIALITY, "R"), (ACT_CODE, "PSY")], 4, "PSY"),
        ([(ACT_CODE, "SDV")], 4, "SDV"),
        ([(ACT_CODE, "ETH")], 4, "SUD"),
        ([(ACT_CODE, "AMB")], 3, "general"),
        ([(ACT_CODE, "PSY"), (ACT_CODE, "HIV")], 5, "HIV"),
        ([("https://labels.example", "HIV")], 3, "general"),
    ],
)
def test_a_facilitys_label_raises(labels: list[tuple[str, str]], level: int, category: str) -> None:
    found = sensitivity_of(_labelled(_coded(ICD, "I10"), *labels))

    assert found == (level, category)


@pytest.mark.parametrize(
    ("resource_type", "level"),
    [("Organization", 1), ("Medication", 1), ("Patient", 2), ("Immunization", 2), ("Encounter", 3), ("Basic", 3)],
)
def test_a_type_has_its_least_level(resource_type: str, level: int) -> None:
    assert sensitivity_of({"resourceType": resource_type})[0] == level


def test_codes_count_wherever_they_stand() -> None:
    coding = {"system": ICD, "code": "B20"}
    for resource in (
        {"resourceType": "Encounter", "reasonCode": [{"coding": [coding]}]},
        {"resourceType": "Patient", "extension": [{"url": "x", "valueCoding": coding}]},
        {"resourceType": "MedicationRequest", "contained": [_coded(ATC, "J05AR10", "Medication")]},
        {"resourceType": "Composition", "section": [{"section": [{"code": {"coding": [coding]}}]}]},
    ):
        assert sensitivity_of(resource)[0] is Sensitivity.RESTRICTED


def test_equal_classes_are_one_object() -> None:
    assert class_of("Condition", 4, "PSY", ORIGIN) is class_of("Condition", 4, "PSY", ORIGIN)


CODES = st.sampled_from(
    [
        *((system, code) for system, table in TABLES.items() for code in table.rows),
        (ICD, "I10"),
        (LOINC, "718-7"),
        (CONFIDENTIALITY, "N"),
    ]
)


@given(CODES, st.lists(CODES, max_size=4), CODES, st.sampled_from([*TYPE_LEVELS, "Condition"]))
@settings(max_examples=100)
def test_adding_a_label_or_a_code_never_lowers(
    code: tuple[str, str], labels: list[tuple[str, str]], more: tuple[str, str], resource_type: str
) -> None:
    resource = _labelled(_coded(*code, resource_type), *labels)
    before = sensitivity_of(resource)[0]

    labelled = _labelled(resource, more)
    coded = {**resource, "code": {"coding": [*resource["code"]["coding"], {"system": more[0], "code": more[1]}]}}

    assert sensitivity_of(labelled)[0] >= before
    assert sensitivity_of(coded)[0] >= before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["system", "code", "coding", "resourceType", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["resourceType", "code", "system", "meta"]), JSON))
@settings(max_examples=100)
def test_odd_shapes_are_classified_all_the_same(resource: dict[str, object]) -> None:
    assert sensitivity_of(resource)[0] >= Sensitivity.OPEN


@given(st.lists(CODES, max_size=3), JSON, st.booleans(), st.booleans())
@settings(max_examples=100)
def test_a_look_at_the_bytes_changes_no_class(
    codes: list[tuple[str, str]],
    odd: object,
    ascii_only: bool,  # noqa: FBT001  # a drawn value
    slashes: bool,  # noqa: FBT001  # a drawn value
) -> None:
    resource = _labelled({"resourceType": "Observation", "valueString": odd}, *codes)
    text = json.dumps(resource, ensure_ascii=ascii_only)
    raw = (text.replace("/", "\\/") if slashes else text).encode()

    assert sensitivity_of(resource, raw) == sensitivity_of(resource)


def test_the_planted_records_come_to_their_levels() -> None:
    if not (SAMPLES / "manifest.json").exists():
        pytest.skip("sample_records/ is not in this tree")
    counts = {"4": 0, "5": 0}
    for path in SAMPLES.glob("cn-*/*.json"):
        for entry in json.loads(path.read_bytes())["entry"]:
            labels = entry.get("resource", {}).get("meta", {}).get("security", [])
            for code, level in (("R", "4"), ("V", "5")):
                if any(label["code"] == code for label in labels):
                    assert sensitivity_of(entry["resource"])[0] == int(level)
                    counts[level] += 1

    assert counts == json.loads((SAMPLES / "manifest.json").read_bytes())["sensitivity"]


@pytest.mark.parametrize(
    "text",
    [
        '[types]\n9 = ["Patient"]\n[[tables]]\nname="a"\nsystems=[]\nmatch="exact"\nrows=[]',
        '[types]\n1 = ["Patient"]\n2 = ["Patient"]\n[[tables]]\nname="a"\nsystems=[]\nmatch="exact"\nrows=[]',
        '[types]\n[[tables]]\nname="a"\nsystems=["s"]\nmatch="guess"\nrows=[]',
        '[types]\n[[tables]]\nname="a"\nsystems=["s","s"]\nmatch="exact"\nrows=[]',
        '[types]\n[[tables]]\nname="a"\nsystems=["s"]\nmatch="exact"\nrows=[{level=4,category="PSY",codes=["x","x"]}]',
        '[types]\n[[tables]]\nname="a"\nsystems=["s"]\nmatch="exact"\nrows=[{level=7,category="PSY",codes=["x"]}]',
        '[types]\n[[tables]]\nname="a"\nsystems=["s"]\nmatch="exact"\nrows=[{level=4,category="psy",codes=["x"]}]',
    ],
)
def test_a_wrong_table_is_not_loaded(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        read_tables(text)


def test_every_category_has_a_code() -> None:
    found = {finding.category for table in TABLES.values() for finding in table.rows.values()}

    assert found == set(SensitiveCategory)

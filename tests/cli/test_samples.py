"""The committed sample records: whole, valid, as the issue asks for them, and nobody's."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from health_exchange.cli.samples.codes import ICD10, ICD10_CLINICAL, LOINC, TCM
from health_exchange.cli.samples.command import PEOPLE, SEED
from health_exchange.cli.samples.facilities import FACILITIES, credit_check, organization_check
from health_exchange.cli.samples.people import (
    NATIONAL_ID_SYSTEMS,
    NEVER_ASSIGNED_PREFIXES,
    PASSPORT_SYSTEM,
    check_digit,
)
from health_exchange.cli.samples.writer import make_files

FOLDER = Path(__file__).parents[2] / "sample_records"
ASSIGNED_PREFIXES = {
    *range(11, 16),
    *range(21, 24),
    *range(31, 38),
    *range(41, 47),
    *range(50, 55),
    *range(61, 66),
    71,
    *range(81, 84),
    *range(90, 100),
}
"""Provinces of GB/T 2260, residence permits, and 9x."""


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_bytes())
    return content


@pytest.fixture(scope="module")
def bundles(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {path: json.loads((FOLDER / path).read_bytes()) for path in manifest["order"]}


@pytest.fixture(scope="module")
def resources(bundles: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry["resource"] for bundle in bundles.values() for entry in bundle["entry"]]


def _identifiers(resources: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        for identifier in resource.get("identifier", ()):
            yield identifier["system"], identifier["value"]


def _codings(resources: list[dict[str, Any]], kind: str) -> list[list[dict[str, str]]]:
    return [resource["code"].get("coding", []) for resource in resources if resource["resourceType"] == kind]


def test_the_committed_folder_is_what_the_generator_writes() -> None:
    files = make_files(seed=SEED, people=PEOPLE)
    committed = {str(path.relative_to(FOLDER)): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    committed.pop("README.md", None)

    assert committed.keys() == files.keys()
    assert [path for path, raw in files.items() if committed[path] != raw] == []
    assert sum(map(len, files.values())) <= 3_000_000


def test_another_seed_tells_of_other_people() -> None:
    one, other = (make_files(seed=seed, people=5)["manifest.json"] for seed in (1, 2))

    assert one != other


@pytest.mark.parametrize("people", [1, 2, 5, 64, 100])
def test_as_many_people_are_told_of_as_asked_for(people: int) -> None:
    assert json.loads(make_files(seed=7, people=people)["manifest.json"])["people"] == people


def test_the_people_are_as_many_and_as_far_apart_as_the_demo_needs(manifest: dict[str, Any]) -> None:
    assert manifest["persons_identified"] >= 60
    assert manifest["persons_across_provinces"] >= 20
    assert manifest["persons_in_two_or_more_places"] > manifest["people"] / 2
    assert 2000 <= manifest["resources"] <= 4000
    assert set(manifest["nodes"]) == {"cn/33/3305/330521", "cn/51/5101/510121", "cn/31/310115", "cn/51/5100"}


def test_the_manifest_counts_the_entries_that_are_there(
    manifest: dict[str, Any], bundles: dict[str, dict[str, Any]]
) -> None:
    counted: dict[str, Counter[str]] = {node: Counter() for node in manifest["nodes"]}
    for path, bundle in bundles.items():
        node = path.split("/")[0].replace("-", "/")
        counted[node].update(entry["resource"]["resourceType"] for entry in bundle["entry"])

    assert {node: row["entries"] for node, row in manifest["nodes"].items()} == counted
    assert sorted(manifest["order"]) == sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("cn-*/*.json"))
    numbers = [path.split("/")[1].split("-")[0] for path in manifest["order"]]
    assert numbers == sorted(numbers)


def test_every_bundle_is_a_transaction_of_valid_resources(bundles: dict[str, dict[str, Any]]) -> None:
    for path, bundle in bundles.items():
        assert bundle["type"] == "transaction", path
        Bundle.model_validate_json((FOLDER / path).read_bytes())


def test_references_lead_to_an_entry_or_to_something_sent_before(bundles: dict[str, dict[str, Any]]) -> None:
    known: set[str] = set()
    for path, bundle in bundles.items():
        text = json.dumps(bundle, ensure_ascii=False)
        urls = {entry["fullUrl"] for entry in bundle["entry"]}
        for entry in bundle["entry"]:
            if condition := entry["request"].get("ifNoneExist"):
                known.add(f"{entry['resource']['resourceType']}?{condition}")
        for reference in re.findall(r'"reference": "([^"]+)"', text):
            assert reference in urls or reference in known, path
        assert len(urls) == len(bundle["entry"]), path


def test_national_ids_check_and_were_never_issued(resources: list[dict[str, Any]]) -> None:
    assert {int(prefix) for prefix in NEVER_ASSIGNED_PREFIXES}.isdisjoint(ASSIGNED_PREFIXES)
    numbers = {(system, value) for system, value in _identifiers(resources) if system in NATIONAL_ID_SYSTEMS}

    assert {system for system, _ in numbers} == set(NATIONAL_ID_SYSTEMS)
    assert len({value for _, value in numbers}) >= 60
    for _, value in numbers:
        assert len(value) == 18
        assert value[:2] in NEVER_ASSIGNED_PREFIXES
        assert value[17] == check_digit(value[:17])


def test_a_check_digit_is_that_of_the_standard() -> None:
    # The examples of GB 11643-1999 itself, on division 110105.
    assert check_digit("11010519491231002") == "X"
    assert check_digit("44052418800101001") == "4"


def test_a_birth_date_is_the_one_in_the_national_id(resources: list[dict[str, Any]]) -> None:
    for patient in (resource for resource in resources if resource["resourceType"] == "Patient"):
        for system, value in _identifiers([patient]):
            if system in NATIONAL_ID_SYSTEMS:
                assert value[6:14] == patient["birthDate"].replace("-", "")
                assert int(value[16]) % 2 == (patient["gender"] == "male")


def test_no_national_id_stands_anywhere_but_in_a_patient(bundles: dict[str, dict[str, Any]]) -> None:
    numbers = {
        value
        for bundle in bundles.values()
        for system, value in _identifiers([entry["resource"] for entry in bundle["entry"]])
        if system in NATIONAL_ID_SYSTEMS
    }
    for bundle in bundles.values():
        for entry in bundle["entry"]:
            if entry["resource"]["resourceType"] != "Patient":
                assert not any(number in json.dumps(entry) for number in numbers)
            assert not any(number in json.dumps(entry["request"]) for number in numbers)
    assert not any(number in (FOLDER / "manifest.json").read_text() for number in numbers)


def test_facilities_have_checking_credit_codes_and_grades_from_village_to_top() -> None:
    rows = json.loads((FOLDER / "facilities.json").read_bytes())["facilities"]

    assert [row["id"] for row in rows] == list(FACILITIES)
    assert {"村卫生室", "乡镇卫生院", "三级甲等"} <= {row["grade"] for row in rows}
    for row in rows:
        code = row["credit_code"]
        assert len(code) == 18
        assert code[2:8] == "100000"
        assert code[17] == credit_check(code[:17])
        assert code[16] == organization_check(code[8:16])


def test_a_credit_check_character_is_that_of_the_standard() -> None:
    # The worked example in GB 32100-2015.
    assert credit_check("91350100M000100Y4") == "3"


def test_every_named_pathway_is_there(manifest: dict[str, Any], resources: list[dict[str, Any]]) -> None:
    wanted = {"chronic", "encephalitis", "pneumonia", "stroke", "pregnancy", "foreigner", "hiv", "psychiatric", "tcm"}

    assert wanted <= set(manifest["pathways"])
    assert all(manifest[kind] for kind in ("released", "corrected_identity", "entered_in_error", "text_only_diagnosis"))
    assert len(manifest["without_identity"]) == len(manifest["released"]) + len(manifest["never_identified"])
    assert set(manifest["sensitivity"]) == {"4", "5"}
    assert any(system == PASSPORT_SYSTEM for system, _ in _identifiers(resources))
    assert any(resource.get("status") == "entered-in-error" for resource in resources)
    systems = {coding["system"] for codings in _codings(resources, "Condition") for coding in codings}
    assert systems == {ICD10, ICD10_CLINICAL, TCM}


def test_laboratories_speak_mostly_their_own_codes(resources: list[dict[str, Any]]) -> None:
    results = [
        {coding["system"] for coding in codings}
        for codings in _codings(resources, "Observation")
        if any(coding["system"].endswith("/lab-codes") for coding in codings)
    ]
    mapped = sum(LOINC in systems for systems in results)

    assert 0 < mapped < len(results) / 2


def test_numbers_keep_their_places_and_instants_their_offset(manifest: dict[str, Any]) -> None:
    text = b"".join((FOLDER / path).read_bytes() for path in manifest["order"]).decode()

    assert re.search(r'"value":\d+\.\d*0[,}]', text)
    assert re.search(r'"effectiveDateTime":"[0-9T:-]+\+08:00"', text)
    assert not re.search(r'"value":"[\d.]+","unit"', text)
    assert Decimal("1.50").as_tuple().exponent == -2


def test_one_person_is_one_person_wherever_they_are_seen(manifest: dict[str, Any]) -> None:
    numbers = [
        (patient["facility"], patient["record_number"])
        for person in manifest["persons"]
        for patient in person["patients"]
    ]

    assert len(numbers) == len(set(numbers))

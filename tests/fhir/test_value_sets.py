"""The bundled ValueSets: the official JSON Schema is the oracle of those that it spells out."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from health_exchange.fhir.value_sets import _codes, bundled, holds, is_bundled

DEFINITIONS = Path(__file__).parents[3] / "shared/definitions/fhir-r4-definitions.tar.xz"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
MARITAL = "http://hl7.org/fhir/ValueSet/marital-status"
GENDERS = "http://hl7.org/fhir/administrative-gender"


@pytest.mark.parametrize(
    ("url", "system", "code", "expected"),
    [
        (GENDER, GENDERS, "female", True),
        (GENDER, GENDERS, "Female", False),
        (GENDER, GENDERS, "", False),
        (GENDER, "", "female", False),
        (GENDER, "urn:x", "female", False),
        (f"{GENDER}|4.0.1", GENDERS, "male", True),
        ("http://hl7.org/fhir/ValueSet/observation-vitalsignresult", "http://loinc.org", "8867-4", True),
        ("http://hl7.org/fhir/ValueSet/observation-vitalsignresult", "http://loinc.org", "4548-4", False),
        # Those below a code, and what another set excludes.
        ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
         "http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB", True),
        ("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
         "http://terminology.hl7.org/CodeSystem/v3-ActCode", "LLC", False),
        # Of two systems.
        (MARITAL, "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M", True),
        (MARITAL, "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "UNK", True),
        (MARITAL, "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "NI", False),
    ],
)  # fmt: skip
def test_a_set_holds_what_the_definitions_say(url: str, system: str, code: str, *, expected: bool) -> None:
    assert is_bundled(url)
    assert holds(url, system, code) is expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "|",
        "administrative-gender",
        f"{GENDER}|5.0.0",
        f"{GENDER}/",
        "http://hl7.org/fhir/ValueSet/condition-code",  # of SNOMED CT
        "http://hl7.org/fhir/ValueSet/observation-codes",  # of LOINC
        "http://hl7.org/fhir/ValueSet/all-languages",
    ],
)
def test_a_set_that_the_definitions_do_not_enumerate_is_not_bundled(url: str) -> None:
    assert not is_bundled(url)


def test_every_set_that_the_official_schema_spells_out_has_the_same_codes() -> None:
    if not DEFINITIONS.exists():
        pytest.skip(f"{DEFINITIONS} is not here")
    found: dict[str, Any] = {}
    with tarfile.open(DEFINITIONS) as archive:
        for name in ("profiles-resources.json", "fhir.schema.json"):
            file = archive.extractfile(name)
            assert file is not None
            found[name] = json.load(file)
    schema = found["fhir.schema.json"]["definitions"]
    compared, differing = set[str](), set[str]()
    for entry in found["profiles-resources.json"]["entry"]:
        for element in entry["resource"].get("snapshot", {}).get("element", []):
            binding = element.get("binding", {})
            path = re.fullmatch(r"(\w+)\.(\w+)", element["path"])
            if path is None or binding.get("strength") != "required" or element["type"][0]["code"] != "code":
                continue
            said = schema.get(path[1], {}).get("properties", {}).get(path[2], {})
            codes = said.get("enum") or said.get("items", {}).get("enum")
            url = binding["valueSet"].partition("|")[0]
            if codes and is_bundled(binding["valueSet"]):
                compared.add(url)
                if frozenset[str]().union(*_codes(url).values()) != set(codes):
                    differing.add(url)
    assert differing == set()
    assert len(compared) > 80


def test_most_official_sets_are_bundled_and_each_can_be_opened() -> None:
    assert len(bundled()) > 750
    assert not any(holds(url, "urn:no-system", "no-code") for url in bundled())

"""The compact tables say what the official definitions say, and are no larger than they need to be."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from health_exchange.fhir.elements import elements_of, resource_types

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "src/health_exchange/fhir/definitions"
SOURCE = ROOT.parent / "shared/definitions/fhir-r4-definitions.tar.xz"
TABLES_BYTES_MAX, VALUE_SETS_BYTES_MAX = 650_000, 230_000


def test_the_tables_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in TABLES.glob("*.json")}
    assert sizes.pop("value_sets.json") < VALUE_SETS_BYTES_MAX
    assert sum(sizes.values()) < TABLES_BYTES_MAX


def test_all_146_types_of_resources_are_there() -> None:
    assert len(resource_types()) == 146
    assert "SubscriptionStatus" not in resource_types()


def test_a_choice_appears_as_its_alternatives() -> None:
    row = elements_of("Observation")["valueQuantity"]
    assert (row.type, row.choice, row.is_required, row.is_list) == ("Quantity", "value", False, False)
    assert elements_of("MedicationRequest")["medicationReference"].is_required
    assert elements_of("Extension")["valueBase64Binary"].type == "base64Binary"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["compile_definitions", "compile_parameters"])
def test_the_scripts_make_the_very_same_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if not SOURCE.exists():
        pytest.skip(f"{SOURCE} is not here")
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "TARGET", tmp_path)
    script.main()
    made = sorted(tmp_path.glob("*.json"))
    assert made
    for path in made:
        assert json.loads(path.read_bytes()) == json.loads((TABLES / path.name).read_bytes())

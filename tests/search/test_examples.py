"""Each official example is found by each of its values, and by nothing that it does not say; whatever is asked."""

import json
import re
import tarfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.fhir.parameter_table import Located, Parameter, located, parameters_of, places_of
from health_exchange.fhir.units import UCUM, unit_of
from health_exchange.model.errors import ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.search.comparing import coded, texts_of
from health_exchange.search.matching import Matcher
from health_exchange.search.query import modifiers_of, parse_pairs
from health_exchange.store.resources import StoredResource

EXAMPLES = Path(__file__).parents[3] / "shared/data/fhir-r4-examples.tar.xz"
TYPES = ("Observation", "Patient", "Encounter", "MedicationRequest", "ValueSet", "RiskAssessment")
EXPLAINED = {
    ("MedicationRequest", "intended-dispenser", "Practitioner/f001", "intended-dispenser does not refer to that type"),
    ("Observation", "performer", "Encounter/example", "performer does not refer to that type"),
}
"""References that the definitions do not allow where the examples have them; asked for, they are refused."""
OF_EXAMPLES = ResourceClass(
    type="Basic", sensitivity=Sensitivity(3), category=SensitiveCategory.GENERAL, jurisdiction="cn"
)


def examples() -> Iterator[tuple[dict[str, Any], bytes]]:
    """The official examples, and their bytes."""
    if not EXAMPLES.exists():
        pytest.skip(f"{EXAMPLES} is not here")
    with tarfile.open(EXAMPLES) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                raw = file.read()
                yield json.loads(raw), raw


def kept(resource: dict[str, Any], raw: bytes) -> StoredResource:
    return StoredResource(
        rid=1,
        type=resource["resourceType"],
        id=resource.get("id", "none"),
        sid=1,
        origin="cn",
        version=1,
        resource_class=OF_EXAMPLES,
        changed_at=resource.get("meta", {}).get("lastUpdated", "2026-01-01T00:00:00Z"),
        instant=None,
        deleted=False,
        body=raw,
    )


def escaped(text: str) -> str:
    for each in "\\|,$":
        text = text.replace(each, f"\\{each}")
    return text


def asked(parameter: Parameter, found: Located) -> Iterator[str]:
    """Values that a resource with this one has to be found by."""
    value = found.value
    match parameter.kind:
        case "token":
            for system, code in coded(found):
                if code:
                    yield escaped(code)
                if code and parameter.name != "_id":
                    yield f"{escaped(system or '')}|{escaped(code)}"
        case "string":
            yield from (escaped(text) for text in texts_of(found) if text.strip())
        case "reference":
            text = value.get("reference", "") if isinstance(value, dict) else value
            if "/" in text and not text.startswith("#") and not any(each in text for each in "?% "):
                yield escaped(text)
        case "date" if isinstance(value, str):
            yield value
        case "uri":
            yield escaped(value)
        case "quantity" if isinstance(value, dict) and "value" in value and "comparator" not in value:
            yield str(value["value"])
            yield from in_thousandths(value)
            if "code" in value and "system" in value:
                yield f"{value['value']}|{escaped(value['system'])}|{escaped(value['code'])}"
        case "number" if isinstance(value, int | float):
            yield str(value)


def in_thousandths(quantity: dict[str, Any]) -> Iterator[str]:
    """A thousand times a quantity, in a thousandth of its unit, where that takes such a prefix."""
    code = quantity.get("code", "")
    if quantity.get("system") == UCUM and re.fullmatch(r"[A-Za-z]+(/[A-Za-z]+)?", code) and unit_of(f"m{code}"):
        yield f"{Decimal(str(quantity['value'])) * 1000}|{UCUM}|m{code}"


def asked_together(parameter: Parameter, resource: dict[str, Any]) -> Iterator[str]:
    """Values of a composite that a resource has to be found by: the first ones of its components in each place."""
    for place in places_of(resource, parameter):
        parts = [
            [value for found in located(place, component) for value in asked(component, found)]
            for component in parameter.components
        ]
        yield from ("$".join(together) for together in product(*(each[:3] for each in parts)))


def test_every_official_example_is_found_by_each_of_its_values() -> None:
    number, lost, together = 0, set(), set[str]()
    for resource, raw in examples():
        resource_type = resource["resourceType"]
        for parameter in parameters_of(resource_type).values():
            values = [value for found in located(resource, parameter) for value in asked(parameter, found)]
            for value in [*values, *asked_together(parameter, resource)]:
                number += 1
                together.update([parameter.name] if parameter.components else [])
                try:
                    query = parse_pairs(resource_type, [(parameter.name, value)])
                    is_found = Matcher(query, {}, Secret(b"t" * 32)).matches(kept(resource, raw))
                except ExchangeError as error:
                    lost.add((resource_type, parameter.name, value, error.detail))
                    continue
                if not is_found:
                    lost.add((resource_type, parameter.name, value, "not found"))
    assert lost == EXPLAINED
    assert number > 6_000
    assert len(together) > 10


NAMES = sorted({name for each in TYPES for name in parameters_of(each)})
PARTS = st.sampled_from(
    [*NAMES, "", "_has", "Patient", "Observation", "missing", "not", "exact", "subject", "_sort", "_include"]
)


@given(
    resource_type=st.sampled_from(TYPES),
    name=st.lists(st.tuples(PARTS, st.sampled_from([":", "."])), min_size=1, max_size=5),
    value=st.text(max_size=30) | st.sampled_from(["true", "2024", "5|u|c", "a$b", "Patient/1", "Observation:subject"]),
    lenient=st.booleans(),
)
def test_whatever_is_asked_is_understood_or_refused(
    resource_type: str, name: list[tuple[str, str]], value: str, *, lenient: bool
) -> None:
    text = "".join(part + separator for part, separator in name)[:-1]
    try:
        query = parse_pairs(resource_type, [(text, value)], lenient=lenient)
    except ExchangeError as error:
        assert value in {"", error.detail} or len(value) < 3 or value not in error.detail  # noqa: PT017  # both are answers
    else:
        assert query.type == resource_type


@given(text=st.text(max_size=20), data=st.data())
def test_a_value_is_compared_without_a_fault_whatever_it_is(text: str, data: st.DataObject) -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "valueString": text,
        "code": {"text": text, "coding": [{"system": text, "code": text, "display": text}]},
        "subject": {"reference": text, "identifier": {"value": text}},
        "effectiveDateTime": text,
        "component": [{"valueQuantity": {"value": 1, "code": text, "unit": text}, "code": {}}],
    }
    parameter = data.draw(st.sampled_from(list(parameters_of("Observation").values())))
    modifier = data.draw(st.sampled_from(["", *modifiers_of(parameter)]))
    name = f"{parameter.name}:{modifier}" if modifier else parameter.name
    try:
        query = parse_pairs("Observation", [(name, data.draw(st.sampled_from([text, "true", "a$b", "5", "2024"])))])
    except ExchangeError:
        return
    Matcher(query, {}, Secret(b"t" * 32)).matches(kept(observation, json.dumps(observation).encode()))

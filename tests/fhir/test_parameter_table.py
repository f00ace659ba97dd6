"""Every value that FHIR's own expressions give is found along the compiled paths, in each of the official examples."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import Parameter, located, parameters_of, places_of

SHARED = Path(__file__).parents[3] / "shared"
EXAMPLES, DEFINITIONS = SHARED / "data/fhir-r4-examples.tar.xz", SHARED / "definitions/fhir-r4-definitions.tar.xz"
NOT_OFFERED = {
    ("Bundle", "composition"),  # it looks into the entries of a Bundle
    ("Bundle", "message"),
    ("DomainResource", "_text"),  # no expression
    ("Resource", "_content"),
    ("Resource", "_query"),
    ("MolecularSequence", "chromosome-variant-coordinate"),  # components that do not stand together
    ("MolecularSequence", "referenceseqid-variant-coordinate"),
    ("InsurancePlan", "phonetic"),  # by sound
    ("Organization", "phonetic"),
    ("Patient", "phonetic"),
    ("Person", "phonetic"),
    ("Practitioner", "phonetic"),
    ("RelatedPerson", "phonetic"),
}

EXPLAINED = {
    ("Consent", "source-reference"),  # an Attachment is no reference
    ("CarePlan", "activity-date"),  # scheduledString holds what looks like a date
}
"""Where an expression gives values of a type that the parameter's kind cannot be searched by."""
Evaluate = Callable[[Mapping[str, Any], None], list[Any]]


def definitions() -> Iterator[dict[str, Any]]:
    """The official search parameters."""
    if not DEFINITIONS.exists():
        pytest.skip(f"{DEFINITIONS} is not here")
    with tarfile.open(DEFINITIONS) as archive:
        file = archive.extractfile("search-parameters.json")
        assert file is not None
        yield from (entry["resource"] for entry in json.load(file)["entry"])


def examples() -> Iterator[dict[str, Any]]:
    """The official examples."""
    if not EXAMPLES.exists():
        pytest.skip(f"{EXAMPLES} is not here")
    with tarfile.open(EXAMPLES) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                yield json.load(file)


@cache
def evaluation(expression: str) -> Evaluate:
    """FHIR's expression, evaluated by somebody else's program."""
    from fhirpathpy import compile as compiled
    from fhirpathpy.models import models

    found: Evaluate = compiled(expression, models["r4"])
    return found


def asked(definition: dict[str, Any], resource_type: str) -> list[str]:
    """The terms about one type, as the evaluator takes them: it casts no lists, which R4's expressions do."""
    terms = [term.strip().removeprefix("Resource.") for term in definition["expression"].split("|")]
    about = [term for term in terms if re.match(rf"\(?{resource_type}\b", term)] or terms
    return [
        re.sub(r"\.as\((\w+)\)", r".ofType(\1)", re.sub(r"(\S+) as (\w+)", r"\1.ofType(\2)", term)) for term in about
    ]


def canonical(values: list[Any]) -> list[str]:
    """Values without repetition, in an order that does not matter."""
    return sorted({json.dumps(value, sort_keys=True, default=float) for value in values})


def plain(value: Any) -> Any:  # noqa: ANN401  # the evaluator's values
    """A value of the evaluator as JSON."""
    return value.asStr if hasattr(value, "asStr") else value


def by_table(parameter: Parameter, resource: dict[str, Any]) -> list[str]:
    return canonical([found.value for found in located(resource, parameter)])


def by_expression(definition: dict[str, Any], resource: dict[str, Any]) -> list[str]:
    """What FHIRPath gives; a reference that must resolve to a type is one whose text names it."""
    values: list[Any] = []
    for term in asked(definition, resource["resourceType"]):
        expression, _, rest = term.partition(".where(resolve() is ")
        wanted = f"{rest.partition(')')[0]}/" if rest else ""
        found = [plain(value) for value in evaluation(expression)(resource, None)]
        values += [value for value in found if not wanted or wanted in str(value.get("reference", ""))]
    return canonical(values)


def test_every_official_parameter_is_offered_but_those_that_are_no_paths() -> None:
    missing = {
        (base, definition["code"])
        for definition in definitions()
        for base in definition["base"]
        if definition["code"] not in parameters_of("Patient" if base in {"Resource", "DomainResource"} else base)
    }
    assert missing == NOT_OFFERED


def test_an_unknown_type_has_no_parameters() -> None:
    assert not parameters_of("Horoscope")
    assert all(parameters_of(each) for each in resource_types())


def test_every_value_in_the_official_examples_is_found_as_fhirpath_finds_it() -> None:
    pytest.importorskip("fhirpathpy")
    by_base: dict[str, list[dict[str, Any]]] = {}
    for definition in definitions():
        if definition["type"] != "composite" and definition.get("expression"):
            for base in definition["base"]:
                by_base.setdefault(base, []).append(definition)
    compared, differing = 0, set()
    for resource in examples():
        parameters = parameters_of(resource["resourceType"])
        for definition in [*by_base.get(resource["resourceType"], []), *by_base["Resource"]]:
            parameter = parameters.get(definition["code"])
            if parameter is not None:
                theirs = by_expression(definition, resource)
                compared += bool(theirs)
                if by_table(parameter, resource) != theirs:
                    differing.add((resource["resourceType"], parameter.name))
    assert differing == EXPLAINED
    assert compared > 3_000


def test_the_components_of_a_composite_stand_together() -> None:
    composite = parameters_of("Observation")["component-code-value-quantity"]
    observation = {
        "resourceType": "Observation",
        "component": [{"code": {"text": "a"}, "valueQuantity": {"value": 1}}, {"code": {"text": "b"}}],
    }
    code, quantity = composite.components
    together = [
        ([found.value for found in located(place, code)], [found.value for found in located(place, quantity)])
        for place in places_of(observation, composite)
    ]
    assert together == [([{"text": "a"}], [{"value": 1}]), ([{"text": "b"}], [])]
    [resource] = places_of(observation, parameters_of("Observation")["code-value-quantity"])
    assert resource is observation

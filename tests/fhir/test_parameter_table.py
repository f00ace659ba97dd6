"""Every value that FHIR's own expressions give is found along the compiled paths, in each of the official examples."""

import json
from typing import Any

import pytest
from tests.examples import examples
from tests.fhir.expressions import by_expression, canonical, definitions

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import Parameter, located, parameters_of, places_of

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


def by_table(parameter: Parameter, resource: dict[str, Any]) -> list[str]:
    return canonical([found.value for found in located(resource, parameter)])


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
    for raw in examples().values():
        resource = json.loads(raw)
        parameters = parameters_of(resource["resourceType"])
        for definition in [*by_base.get(resource["resourceType"], []), *by_base["Resource"]]:
            parameter = parameters.get(definition["code"])
            if parameter is not None:
                theirs = canonical(by_expression(definition, resource))
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

"""Whatever is asked is understood or refused, and compared without a fault."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from health_exchange.fhir.parameter_table import parameters_of
from health_exchange.model.errors import ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.search.matching import Matcher
from health_exchange.search.query import modifiers_of, parse_pairs, sifted
from health_exchange.store.resources import StoredResource

TYPES = ("Observation", "Patient", "Encounter", "MedicationRequest", "ValueSet", "RiskAssessment")
OF_EXAMPLES = ResourceClass(
    type="Basic", sensitivity=Sensitivity(3), category=SensitiveCategory.GENERAL, jurisdiction="cn"
)


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
        pairs = [(text, value)]
        query = parse_pairs(resource_type, sifted([resource_type], pairs)[0] if lenient else pairs)
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

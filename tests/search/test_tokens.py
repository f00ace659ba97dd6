from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.fhir.parameters import extract
from health_exchange.model.secrecy import Secret
from health_exchange.search.query import parse_pairs
from health_exchange.search.tokens import form_of, token_of, tokens_of

KEY, OTHER = Secret(b"k" * 32), Secret(b"o" * 32)
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "identifier": [{"system": "urn:lab", "value": "L1"}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}, {"code": "bare"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-05-06",
}


def test_every_form_a_query_may_name_has_its_token() -> None:
    tokens = tokens_of(KEY, "Observation", extract(OBSERVATION))
    for name, value in [
        ("code", "4548-4"),
        ("code", "http://loinc.org|4548-4"),
        ("code", "|bare"),
        ("status", "final"),
        ("identifier", "urn:lab|L1"),
        ("identifier", "L1"),
        ("patient", "p1"),
        ("patient", "Patient/p1"),
        ("subject", "p1"),
        ("subject", "Patient/p1"),
    ]:
        term = parse_pairs("Observation", [(name, value)], {name}).criteria[0].terms[0]
        assert token_of(KEY, "Observation", name, form_of(term)) in tokens  # type: ignore[arg-type]  # hashed kinds only
    assert len(tokens) == len(set(tokens)) <= 14


def test_tokens_of_another_key_type_or_parameter_share_nothing() -> None:
    same = {
        token_of(key, resource_type, parameter, form)
        for key in (KEY, OTHER)
        for resource_type in ("Observation", "Condition")
        for parameter in ("code", "category", "identifier")
        for form in ("=a", "s\na")
    }
    assert len(same) == 24


@settings(max_examples=50)
@given(st.text(max_size=40), st.text(max_size=40))
def test_tokens_are_signed_64_bit_numbers_whatever_the_text(system: str, code: str) -> None:
    resource = {**OBSERVATION, "code": {"coding": [{"system": system, "code": code}]}}
    assert all(-(2**63) <= token < 2**63 for token in tokens_of(KEY, "Observation", extract(resource)))

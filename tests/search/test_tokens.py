from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.fhir.parameters import extract
from health_exchange.model.secrecy import Secret
from health_exchange.search.query import parse_pairs
from health_exchange.search.tokens import token_of, tokens_asked, tokens_of

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
        term = parse_pairs("Observation", [(name, value)]).criteria[0].terms[0]
        asked = tokens_asked(KEY, "Observation", name, term)  # type: ignore[arg-type]  # hashed kinds only
        assert len(set(asked).intersection(tokens)) == 1


def test_no_token_is_kept_that_another_finds_as_well() -> None:
    codes = ["=4548-4", "http://loinc.org\n4548-4", "=bare"]
    kept = [("code", form) for form in codes]
    kept += [("status", "=final"), ("identifier", "=L1"), ("identifier", "urn:lab\nL1"), ("subject", "Patient/p1")]
    assert tokens_of(KEY, "Observation", extract(OBSERVATION)) == sorted(
        token_of(KEY, "Observation", name, form) for name, form in kept
    )


def test_a_type_that_has_patients_and_no_subjects_finds_them_as_patients() -> None:
    allergy = {"resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/p1"}}
    term = parse_pairs("AllergyIntolerance", [("patient", "p1")]).criteria[0].terms[0]
    asked = tokens_asked(KEY, "AllergyIntolerance", "patient", term)  # type: ignore[arg-type]  # a reference
    assert asked == tokens_of(KEY, "AllergyIntolerance", extract(allergy))


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

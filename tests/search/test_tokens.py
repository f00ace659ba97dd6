import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.extraction import extract

from health_exchange.model.secrecy import Secret
from health_exchange.search.comparing import _is_text, begun, folded
from health_exchange.search.query import parse_pairs
from health_exchange.search.terms import TextTerm
from health_exchange.search.tokens import text_token_asked, token_of, tokens_asked, tokens_in, tokens_of

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
    # Each code with the quarter, counted through: the second of 2024.
    kept += [("code-date", "8097\n4548-4"), ("code-date", "8097\nbare")]
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


_WRITTEN = st.text(
    st.sampled_from("aAéßŒ℡İﬁ각나힣각王ガｶﾞ \u0301\u0327\u00a0\u09c7\u09be\U0001d400")
    | st.characters(exclude_categories=["Cs"]),
    max_size=12,
)


@settings(max_examples=300)
@given(_WRITTEN, _WRITTEN, st.sampled_from(["", "exact"]))
@example("각", "각", "")
@example("ᄀ", "각", "")
def test_a_text_that_is_found_by_what_is_asked_has_the_token_of_it(asked: str, more: str, modifier: str) -> None:
    for kept in (asked + more, folded(asked) + more, asked.upper() + more, asked):
        if not _is_text(asked, modifier, kept):
            continue
        found = tokens_in(KEY, "Patient", {"resourceType": "Patient", "name": [{"family": kept}]})
        token = text_token_asked(KEY, "Patient", "family", modifier, TextTerm(asked))
        assert token is None or token in found


@settings(max_examples=300)
@given(st.lists(_WRITTEN, max_size=20).map("".join), st.integers(1, 3))
def test_the_beginning_of_a_folded_text_is_told_by_little_of_it(text: str, length: int) -> None:
    assert begun(text, length)[:length] == folded(text)[:length]


@settings(max_examples=300)
@given(_WRITTEN)
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(("one", "other"), [("℡", "tel"), ("각", "각"), ("ＪＯＳÉ ", "jose"), ("ﬁ", "FI")])
def test_texts_that_differ_in_how_they_are_written_alone_are_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)


def test_a_syllable_of_korean_is_one_character_and_has_a_token() -> None:
    assert [len(folded(each)) for each in ("각", "한국")] == [1, 2]
    assert text_token_asked(KEY, "Patient", "name", "", TextTerm("김")) is not None


def test_nothing_that_is_long_and_no_name_is_remembered() -> None:
    def tokens(number: int) -> list[int]:
        long = f"{number}" + "x" * (1 << 16)
        body: dict[str, Any] = {**OBSERVATION, "code": {"coding": [{"system": long, "code": long}]}}
        body["effectiveDateTime"] = f"2024-05-06T10:00:00.{number}{'0' * (1 << 16)}Z"
        return [
            *tokens_in(KEY, "Patient", {"resourceType": "Patient", "name": [{"family": long}]}),
            *tokens_of(KEY, "Observation", extract(body)),
        ]

    tokens(0)
    tracemalloc.start()
    for number in range(1, 200):
        tokens(number)
    now, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 4 << 20

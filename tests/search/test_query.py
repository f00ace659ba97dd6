import msgspec
import pytest

from health_exchange.search.query import (
    COUNT_DEFAULT,
    COUNT_MAX,
    BadSearchError,
    DateTerm,
    IdTerm,
    ReferenceTerm,
    SearchQuery,
    TokenTerm,
    UnknownParameterError,
    parse_pairs,
    parse_text,
)
from health_exchange.search.spans import Comparator

OFFERED = frozenset({"patient", "subject", "date", "code", "category", "status", "identifier"})


def test_commas_are_alternatives_and_repetition_adds_conditions() -> None:
    query = parse_pairs("Observation", [("status", "final,amended"), ("code", "http://loinc.org|4548-4")], OFFERED)
    assert [criterion.terms for criterion in query.criteria] == [
        (TokenTerm(None, "final"), TokenTerm(None, "amended")),
        (TokenTerm("http://loinc.org", "4548-4"),),
    ]
    assert query.count == COUNT_DEFAULT


def test_backslashes_keep_separators_inside_values() -> None:
    query = parse_pairs("Observation", [("code", r"a\,b,sys\|tem|c\\d,|e")], OFFERED)
    assert query.criteria[0].terms == (TokenTerm(None, "a,b"), TokenTerm("sys|tem", "c\\d"), TokenTerm("", "e"))


def test_prefixes_and_references_are_read() -> None:
    pairs = [("date", "ge2024-05"), ("patient", "p1"), ("subject", "Group/g"), ("subject", "x"), ("_id", "a,b")]
    date, patient, group, either, ids = [one.terms for one in parse_pairs("Observation", pairs, OFFERED).criteria]
    assert isinstance(date[0], DateTerm)
    assert date[0].comparator is Comparator.GE
    assert patient == (ReferenceTerm("Patient", "p1"),)
    assert group == (ReferenceTerm("Group", "g"),)
    assert either == (ReferenceTerm(None, "x"),)
    assert ids == (IdTerm("a"), IdTerm("b"))


@pytest.mark.parametrize(
    "name",
    ["name", "code:not", "subject:Patient", "patient.name", "_include", "_sort", "_summary", "", "33052119900101"],
)
def test_an_unknown_parameter_or_modifier_is_refused_never_ignored(name: str) -> None:
    with pytest.raises(UnknownParameterError) as caught:
        parse_pairs("Observation", [(name, "x")], OFFERED)
    assert "33052119900101" not in caught.value.detail


def test_a_parameter_that_fhir_does_not_define_for_the_type_is_refused() -> None:
    with pytest.raises(UnknownParameterError, match="date is not offered in a search for Patient"):
        parse_pairs("Patient", [("date", "2024")], {"identifier"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", ""),
        ("status", "final,"),
        ("code", "a|b|c"),
        ("code", "system|"),
        ("patient", "http://elsewhere/Patient/1"),
        ("patient", "Group/1"),
        ("date", "sa2024"),
        ("date", "2024-02-30"),
        ("date", "ne2024,2025"),
        ("_id", "a b"),
        ("_count", "many"),
        ("_count", "-1"),
        ("code", ",".join("a" * 101)),
        ("code", "a" * 2_001),
    ],
)
def test_a_value_that_its_parameter_cannot_have_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadSearchError):
        parse_pairs("Observation", [(name, value)], OFFERED)


def test_pages_have_at_most_the_greatest_size_and_one_size() -> None:
    assert parse_pairs("Observation", [("_count", "100000")], OFFERED).count == COUNT_MAX
    with pytest.raises(BadSearchError):
        parse_pairs("Observation", [("_count", "1"), ("_count", "2")], OFFERED)


@pytest.mark.parametrize("text", ["identifier=a%7Cb", "?identifier=a%7Cb", "Patient?identifier=a%7Cb"])
def test_a_condition_is_read_with_or_without_what_stands_before_the_question_mark(text: str) -> None:
    assert parse_text("Patient", text, OFFERED).criteria[0].terms == (TokenTerm("a", "b"),)


@pytest.mark.parametrize("text", ["", "?", "nonsense", "_count=1"])
def test_a_condition_without_a_criterion_is_refused(text: str) -> None:
    with pytest.raises((BadSearchError, UnknownParameterError)):
        parse_text("Patient", text, OFFERED)


def test_a_query_survives_writing_and_reading() -> None:
    query = parse_pairs("Observation", [("date", "lt2024"), ("code", "a|b"), ("_id", "1"), ("subject", "x")], OFFERED)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(query), type=SearchQuery) == query

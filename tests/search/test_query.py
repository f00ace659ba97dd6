import msgspec
import pytest

from health_exchange.search.query import (
    COUNT_MAX,
    UnknownParameterError,
    parse_over_types,
    parse_pairs,
    parse_text,
    sifted,
)
from health_exchange.search.spans import Comparator
from health_exchange.search.terms import COUNT_DEFAULT, DateTerm, IdTerm, ReferenceTerm, SearchQuery, TokenTerm
from health_exchange.search.values import BadSearchError


def test_commas_are_alternatives_and_repetition_adds_conditions() -> None:
    query = parse_pairs("Observation", [("status", "final,amended"), ("code", "http://loinc.org|4548-4")])
    assert [criterion.terms for criterion in query.criteria] == [
        (TokenTerm(None, "final"), TokenTerm(None, "amended")),
        (TokenTerm("http://loinc.org", "4548-4"),),
    ]
    assert query.count == COUNT_DEFAULT


def test_backslashes_keep_separators_inside_values() -> None:
    query = parse_pairs("Observation", [("code", r"a\,b,sys\|tem|c\\d,|e")])
    assert query.criteria[0].terms == (TokenTerm(None, "a,b"), TokenTerm("sys|tem", "c\\d"), TokenTerm("", "e"))


def test_prefixes_and_references_are_read() -> None:
    pairs = [("date", "ge2024-05"), ("patient", "p1"), ("subject", "Group/g"), ("subject", "x"), ("_id", "a,b")]
    date, patient, group, either, ids = [one.terms for one in parse_pairs("Observation", pairs).criteria]
    assert isinstance(date[0], DateTerm)
    assert date[0].comparator is Comparator.GE
    assert patient == (ReferenceTerm("Patient", "p1"),)
    assert group == (ReferenceTerm("Group", "g"),)
    assert either == (ReferenceTerm(None, "x"),)
    assert ids == (IdTerm("a"), IdTerm("b"))


@pytest.mark.parametrize(
    "name",
    [
        "name",
        "code:in",
        "code:not-in",
        "value-quantity:in",
        "code:above",
        "code:exact",
        "code:of-type",
        "subject:Claim",
        "date:exact",
        "_id:not",
        "patient.title",
        "code.name",
        "_has:Claim:nothing:use",
        "_has:Observation:code:status",
        "instantiates-canonical:PlanDefinition.name",
        "_has:Observation",
        "_include",
        "_sort",
        "_summary",
        "_filter",
        "_text",
        "_content",
        "_query",
        "_list",
        "phonetic",
        "",
        "33052119900101",
    ],
)
def test_an_unknown_parameter_or_modifier_is_refused_never_ignored(name: str) -> None:
    with pytest.raises(UnknownParameterError) as caught:
        parse_pairs("Observation", [(name, "x")])
    assert "33052119900101" not in caught.value.detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code:in", "http://hl7.org/fhir/ValueSet/observation-codes"),
        ("code:in", "http://hl7.org/fhir/ValueSet/observation-status,ValueSet/mine"),
        ("status:not-in", "http://hl7.org/fhir/ValueSet/observation-status|3.0.0"),
        ("patient.gender:in", "administrative-gender"),
        ("identifier:in", "http://hl7.org/fhir/ValueSet/identifier-type"),
        ("_include", "*:subject"),
        ("_include", "Horoscope:*"),
        ("_include", "*:*"),
        ("_include", "Observation:*:Patient"),
        ("_include:recurse", "*"),
        ("_revinclude", "Observation:code"),
    ],
)
def test_what_is_not_bundled_or_no_reference_is_refused_or_told(name: str, value: str) -> None:
    with pytest.raises(UnknownParameterError):
        parse_pairs("Observation", [(name, value)])
    assert sifted(["Observation"], [(name, value), ("status", "final")]) == ([("status", "final")], (name,))


@pytest.mark.parametrize(
    "value",
    ["30", "30|", "|120", "91|0", "0|181", "0|0|-1", "0|0|1|kg", "0|0|1|mile", "0|0|1|km|x", "a|b", "nan|0",
     "0|0|1|Ym99/m98", "0|0|1|Ym12/m11", "0|0|9e99|Ym"],
)  # fmt: skip
def test_what_is_no_place_is_refused(value: str) -> None:
    with pytest.raises(BadSearchError):
        parse_pairs("Location", [("near", value)])


def test_a_parameter_that_fhir_does_not_define_for_the_type_is_refused() -> None:
    with pytest.raises(UnknownParameterError, match="date is not offered in a search for Patient"):
        parse_pairs("Patient", [("date", "2024")])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", ""),
        ("status", "final,"),
        ("code", "a|b|c"),
        ("code", "|"),
        ("patient", "Group/1"),
        ("subject:Patient", "Group/1"),
        ("subject", "Practitioner/1"),
        ("subject:missing", "perhaps"),
        ("identifier:of-type", "a|b"),
        ("focus.status", "final"),
        ("date", "xx2024"),
        ("value-quantity", "many"),
        ("value-quantity", "5|mg"),
        ("value-quantity", "ne1,2"),
        ("code-value-quantity", "a"),
        ("_total", "some"),
        ("_total", "estimate,accurate"),
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
        parse_pairs("Observation", [(name, value)])


@pytest.mark.parametrize("value", ["\u0301", " ", "\u00a0\u3000", "a,\u0327"])
def test_a_text_of_which_nothing_is_compared_is_refused_and_finds_not_everybody(value: str) -> None:
    for name in ("name", "family", "name:contains", "address", "_tag:text", "general-practitioner:Practitioner.name"):
        with pytest.raises(BadSearchError):
            parse_pairs("Patient", [(name, value)])
    assert parse_pairs("Patient", [("name:exact", value)]).criteria


def test_no_value_is_read_where_there_are_too_many_characters_or_parameters() -> None:
    for pairs in [[("near", "x"), ("near", "y" * 2_000)], [("near", "x")] * 100]:
        with pytest.raises(BadSearchError, match="characters of values"):
            parse_over_types(["Location"], pairs)
        with pytest.raises(BadSearchError, match="characters of values"):
            parse_pairs("Location", pairs)
        with pytest.raises(BadSearchError, match="characters of values"):
            sifted(["Location"], pairs)


def test_pages_have_at_most_the_greatest_size_and_one_size() -> None:
    assert parse_pairs("Observation", [("_count", "100000")]).count == COUNT_MAX
    with pytest.raises(BadSearchError):
        parse_pairs("Observation", [("_count", "1"), ("_count", "2")])


@pytest.mark.parametrize("text", ["identifier=a%7Cb", "?identifier=a%7Cb", "Patient?identifier=a%7Cb"])
def test_a_condition_is_read_with_or_without_what_stands_before_the_question_mark(text: str) -> None:
    assert parse_text("Patient", text).criteria[0].terms == (TokenTerm("a", "b"),)


@pytest.mark.parametrize("text", ["", "?", "nonsense", "_count=1"])
def test_a_condition_without_a_criterion_is_refused(text: str) -> None:
    with pytest.raises((BadSearchError, UnknownParameterError)):
        parse_text("Patient", text)


def test_a_query_survives_writing_and_reading() -> None:
    query = parse_pairs(
        "Observation",
        [
            ("date", "lt2024"),
            ("code", "a|b"),
            ("_id", "1"),
            ("subject", "x"),
            ("status:in", "http://hl7.org/fhir/ValueSet/observation-status"),
            ("value-quantity", "5|http://unitsofmeasure.org|mg"),
            ("_include", "*"),
            ("_revinclude:iterate", "Observation:*"),
        ],
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(query), type=SearchQuery) == query

"""Codes with dates: whatever the opened body says is a match is among the rows that tokens and clinical dates name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.fhir.parameter_table import parameters_of
from health_exchange.fhir.parameters import instant_of, instant_text
from health_exchange.model.secrecy import Secret
from health_exchange.search.comparing import is_met_by
from health_exchange.search.quarters import code_and_quarter_tokens, instants_asked
from health_exchange.search.query import parse_pairs
from health_exchange.search.terms import DateTerm, SearchQuery
from health_exchange.search.tokens import FIRST_YEAR, LAST_YEAR, has_quarters, long_token, tokens_in

KEY = Secret(b"k" * 32)
ZONES = ("Z", "+08:00", "-11:00", "+14:00", "-12:00", "")
PREFIXES = ("", "eq", "gt", "ge", "lt", "le", "sa", "eb", "ne", "ap")
TURNS = (1, 2, 1900, 1969, 1970, 1971, 2011, 2012, 2048, 2049, 2050, 9998, 9999)
"""Years about which, or about the ends of which, something may go wrong."""


@st.composite
def dates(draw: st.DrawFn) -> str:
    """A date of any precision and zone, often next to the end of a year."""
    year = draw(st.sampled_from(TURNS) | st.integers(1, 9999))
    month, day = draw(st.sampled_from([(1, 1), (12, 31), (12, 30), (1, 2), (6, 15)]))
    clock = draw(st.sampled_from(["00:00:00", "23:59:59", "23:59:59.999999", "12:00:00"]))
    full = f"{year:04}-{month:02}-{day:02}"
    zone = draw(st.sampled_from(ZONES))
    return draw(st.sampled_from([full[:4], full[:7], full, f"{full}T{clock}{zone or 'Z'}"]))


@st.composite
def observations(draw: st.DrawFn) -> dict[str, Any]:
    """An Observation with some codes and a date, a period (open ones, and ones that end before they begin) or none."""
    codings = draw(
        st.lists(st.sampled_from([{"code": "a"}, {"system": "s", "code": "a"}, {"system": "s", "code": "b"}]))
    )
    found: dict[str, Any] = {"resourceType": "Observation", "code": {"coding": codings}}
    kind = draw(st.sampled_from(["effectiveDateTime", "effectivePeriod", "effectiveTiming", "effectiveInstant", ""]))
    if kind in {"effectiveDateTime", "effectiveInstant"}:
        found[kind] = draw(dates())
    elif kind == "effectivePeriod":
        start = draw(dates())
        later = st.just(start) | dates()
        found[kind] = draw(st.sampled_from([{"start": start}, {"end": start}, {"start": start, "end": draw(later)}]))
    elif kind:
        found[kind] = {"event": draw(st.lists(dates(), max_size=2))}
    return found


@st.composite
def searches(draw: st.DrawFn) -> SearchQuery:
    """A search for some codes and one or two dates, each with alternatives."""
    codes = draw(st.lists(st.sampled_from(["a", "s|a", "|a", "b", "s|b"]), min_size=1, max_size=2))
    pairs = [("code", ",".join(codes))]
    for _each in range(draw(st.integers(1, 2))):
        one = st.tuples(st.sampled_from(PREFIXES), dates()).map("".join)
        alternatives = draw(st.lists(one, min_size=1, max_size=2))
        if len(alternatives) > 1:
            alternatives = [each for each in alternatives if not each.startswith("ne")] or alternatives[:1]
        pairs.append(("date", ",".join(alternatives)))
    return parse_pairs("Observation", pairs)


def is_match(query: SearchQuery, resource: dict[str, Any]) -> bool:
    return all(
        any(is_met_by(term, "", parameters_of("Observation")[each.name], resource) for term in each.terms)
        for each in query.criteria
    )


def is_named(query: SearchQuery, resource: dict[str, Any]) -> bool:
    """Whether tokens of code and quarter, and the clinical date, leave a resource among the candidates."""
    kept = tokens_in(KEY, "Observation", resource)
    asked = code_and_quarter_tokens(KEY, query, query.criteria[0])
    instant, is_long = instant_of(resource), long_token(KEY, "Observation") in kept
    for criterion in query.criteria[1:]:
        spans = [instants_asked(term) for term in criterion.terms if isinstance(term, DateTerm)]
        within = [span is None or _is_within(instant, span) for span in spans]
        if not any(within) and not is_long:
            return False
    return not asked or bool(set(asked) & set(kept))


def _is_within(instant: str | None, span: tuple[datetime, datetime]) -> bool:
    earliest, latest = map(instant_text, span)
    return instant is not None and earliest <= instant <= latest


@settings(max_examples=400)
@given(searches(), observations())
def test_whatever_matches_is_named_by_its_code_and_quarter(query: SearchQuery, resource: dict[str, Any]) -> None:
    assert is_named(query, resource) or not is_match(query, resource)


@settings(max_examples=300)
@given(
    st.sampled_from(TURNS).flatmap(lambda year: st.just(datetime(max(year, 2), 1, 1, tzinfo=UTC))),
    st.integers(-3 * 86_400, 3 * 86_400),
    st.sampled_from(ZONES[:-1]),
    st.sampled_from(PREFIXES),
)
def test_whatever_matches_at_the_turn_of_a_year_is_named(turn: datetime, seconds: int, zone: str, prefix: str) -> None:
    resource = {
        "resourceType": "Observation",
        "code": {"coding": [{"code": "a"}]},
        "effectiveDateTime": f"{(turn + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()}{zone}",
    }
    for asked in (f"{turn.year:04}", f"{turn.year - 1:04}-12", f"{turn.year:04}-01-01", turn.isoformat()):
        query = parse_pairs("Observation", [("code", "a"), ("date", prefix + asked)])
        assert is_named(query, resource) or not is_match(query, resource)


def test_what_is_of_another_quarter_is_not_named() -> None:
    resource = {
        "resourceType": "Observation",
        "code": {"coding": [{"code": "a"}]},
        "effectiveDateTime": "2012-06-15T10:00:00Z",
    }
    for date, is_it in (("2012", True), ("2012-04", True), ("2012-08", False), ("ge2012", True), ("ge2012-08", False)):
        query = parse_pairs("Observation", [("code", "a"), ("date", date)])
        asked = code_and_quarter_tokens(KEY, query, query.criteria[0])
        assert bool(set(asked) & set(tokens_in(KEY, "Observation", resource))) is is_it


@pytest.mark.parametrize(
    ("pairs", "number"),
    [
        ([("date", "2012-05")], 2),
        ([("date", "2012-01")], 3),
        ([("date", "2012")], 7),
        ([("date", "ge2012"), ("date", "lt2013")], 7),
        ([("date", "2012-05,2014-05")], 3),
        ([("date", "ge2012")], 4 * (LAST_YEAR - 2011) + 2),
        ([("date", "le1960")], 2),
        ([("date", "ne2012")], 0),
        ([("date", "ap2012")], 0),
        ([("date", f"ge{FIRST_YEAR}")], 0),
        ([("date", "2012-05"), ("date", "ne2012-05-03")], 2),
        ([("status", "final")], 0),
    ],
)
def test_as_few_quarters_are_asked_for_as_the_date_may_lie_in_and_none_where_that_leaves_out_nothing(
    pairs: list[tuple[str, str]], number: int
) -> None:
    query = parse_pairs("Observation", [("code", "a"), *pairs])
    assert len(code_and_quarter_tokens(KEY, query, query.criteria[0])) == number


def test_many_codes_with_many_quarters_are_asked_for_by_code_alone() -> None:
    query = parse_pairs("Observation", [("code", "a,b,c"), ("date", "ge2000")])
    assert not code_and_quarter_tokens(KEY, query, query.criteria[0])


def test_types_with_a_code_and_a_clinical_date_have_tokens_of_quarters() -> None:
    assert all(map(has_quarters, ("Observation", "DiagnosticReport", "Procedure")))
    # The clinical date of a Condition is not what its parameters say of dates; an Encounter has no code.
    assert not any(map(has_quarters, ("Condition", "Encounter", "Patient")))
    # Nobody's record.
    assert not any(map(has_quarters, ("CodeSystem", "ValueSet", "SearchParameter", "OperationDefinition")))


def test_a_definition_has_no_token_for_its_code_and_date() -> None:
    definition = {"resourceType": "OperationDefinition", "code": "a", "date": "2012-06-15"}
    undated = {"resourceType": "OperationDefinition", "code": "a"}
    assert tokens_in(KEY, "OperationDefinition", definition) == tokens_in(KEY, "OperationDefinition", undated)

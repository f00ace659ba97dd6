from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.search.spans import EARLIEST, LATEST, BadDateError, Comparator, Span, compare, period_of, span_of


@pytest.mark.parametrize(
    ("text", "start", "seconds"),
    [
        ("2024", "2023-12-31T16:00:00+00:00", 366 * 86400),
        ("2024-02", "2024-01-31T16:00:00+00:00", 29 * 86400),
        ("2024-12", "2024-11-30T16:00:00+00:00", 31 * 86400),
        ("2024-05-06", "2024-05-05T16:00:00+00:00", 86400),
        ("2024-05-06T07:08", "2024-05-05T23:08:00+00:00", 60),
        ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09+00:00", 1),
        ("2024-05-06T07:08:09-02:30", "2024-05-06T09:38:09+00:00", 1),
        ("2024-05-06T07:08:09.5Z", "2024-05-06T07:08:09.500000+00:00", 0.1),
        ("2024-05-06T07:08:60Z", "2024-05-06T07:08:59+00:00", 1),
    ],
)
def test_a_date_means_all_instants_of_its_precision_in_local_time(text: str, start: str, seconds: float) -> None:
    span = span_of(text)
    assert span.start == datetime.fromisoformat(start)
    assert span.end - span.start == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "24", "2024-13", "2024-02-30", "2024-1-1", "2024-01-01T", "2024-01-01T25:00Z", "x"]
)
def test_what_is_no_date_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadDateError) as caught:
        span_of(text)
    assert not text or len(text) < 3 or text not in caught.value.detail


@pytest.mark.parametrize("text", ["0001", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59+14:00"])
def test_the_edges_of_the_calendar_are_dates_like_others(text: str) -> None:
    span = span_of(text)
    assert EARLIEST <= span.start < span.end <= LATEST


_INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive by contract
_SPANS = st.tuples(_INSTANTS, st.integers(1, 10**9)).map(
    lambda pair: Span(pair[0], pair[0] + timedelta(seconds=pair[1]))
)


@settings(max_examples=100)
@given(asked=_SPANS, kept=_SPANS)
def test_comparators_relate_to_each_other_as_fhir_says(asked: Span, kept: Span) -> None:
    met = {comparator for comparator in Comparator if compare(comparator, asked, kept)}
    assert (Comparator.EQ in met) != (Comparator.NE in met)
    assert (Comparator.GE in met) == bool(met & {Comparator.GT, Comparator.EQ})
    assert (Comparator.LE in met) == bool(met & {Comparator.LT, Comparator.EQ})
    assert met & {Comparator.EQ, Comparator.GT, Comparator.LT}


@settings(max_examples=100)
@given(moment=_INSTANTS, digits=st.sampled_from([4, 7, 10]))
def test_a_moment_lies_in_its_own_day_month_and_year(moment: datetime, digits: int) -> None:
    local = moment.astimezone(span_of("2024-01-01T00:00:00+08:00").start.tzinfo) + timedelta(hours=8)
    assert compare(Comparator.EQ, span_of(local.isoformat()[:digits]), span_of(moment.isoformat()))


def test_an_open_period_overlaps_everything_on_its_open_side() -> None:
    period = period_of("2024-05-01", None)
    assert compare(Comparator.GT, span_of("2030"), period)
    assert not compare(Comparator.LT, span_of("2024-05-01"), period)

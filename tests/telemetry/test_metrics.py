"""Metrics: how they are kept, and that their text is OpenMetrics whatever is in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.federation.operators import read_metrics

from health_exchange.telemetry import families
from health_exchange.telemetry.metrics import Family, Sample, counted, exposition, observed, samples_of

ALL = [value for value in vars(families).values() if isinstance(value, Family)]
TIMES = Family(name="times_seconds", kind="histogram", text="Times.", labels=("door",), bounds=(0.1, 1.0))


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_a_histogram_counts_every_time_once_in_the_first_bucket_that_holds_it(times: list[float]) -> None:
    kept: dict[str, int] = {}
    for seconds in times:
        for name, amount in observed(TIMES, seconds, door="fhir").items():
            kept[name] = kept.get(name, 0) + amount

    found = read_metrics(exposition([(TIMES, samples_of(TIMES, kept))]))

    door = (("door", "fhir"),)
    for bound in (0.1, 1.0):
        expected = sum(seconds <= bound for seconds in times)
        assert found.get(("health_exchange_times_seconds_bucket", (*door, ("le", str(bound)))), 0) == expected
    if times:
        assert found["health_exchange_times_seconds_count", door] == len(times)
        assert found["health_exchange_times_seconds_sum", door] == pytest.approx(sum(times), abs=1e-5 * len(times))


@given(st.text(max_size=30).filter(lambda text: "|" not in text))
def test_a_labels_value_stays_one_value_whatever_is_in_it(value: str) -> None:
    one = Family(name="things", kind="counter", text='Things with "quotes", \\ and\nlines.', labels=("code",))

    text = exposition([(one, samples_of(one, {counted(one, code=value): 3}))])

    assert list(read_metrics(text.replace("\r", "")).values()) == [3]


def test_families_whose_names_begin_alike_keep_their_counts_apart() -> None:
    short = Family(name="things", kind="counter", text="Things.", labels=("code",))
    long = Family(name="things_more", kind="counter", text="More.", labels=("code",))
    kept = {counted(short, code="a"): 1, counted(long, code="a"): 2}

    assert samples_of(short, kept) == [Sample(value=1, labels=(("code", "a"),), suffix="_total")]
    assert samples_of(long, kept) == [Sample(value=2, labels=(("code", "a"),), suffix="_total")]


@pytest.mark.parametrize("labels", [{}, {"door": "a|b"}, {"other": "a"}, {"door": "a", "more": "b"}])
def test_a_count_under_other_labels_than_the_familys_is_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="times_seconds"):
        counted(TIMES, **labels)


def test_every_family_has_its_own_name_a_unit_last_and_a_sentence() -> None:
    names = [family.name for family in ALL]
    assert len(set(names)) == len(names)
    for family in ALL:
        assert family.text.endswith(".")
        assert bool(family.bounds) is (family.kind == "histogram")
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")
            assert list(family.bounds) == sorted(set(family.bounds))

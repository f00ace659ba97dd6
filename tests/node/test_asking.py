"""Reading a search as asked: what it was made of, and who waits meanwhile."""

import asyncio

import pytest
from tests.federation.records import national_id

from health_exchange.fhir.elements import resource_types
from health_exchange.node.asking import asked_query, read_query
from health_exchange.search.query import TEXT_MAX
from health_exchange.search.values import BadSearchError

MANY = [("_id", "a"), ("_tag", "t"), ("_lastUpdated", "gt2020"), ("colour", "red")] * 4


async def test_who_searches_all_types_holds_nobody_up_while_it_is_read() -> None:
    reading = asyncio.create_task(asked_query("", MANY, patient="", base="", lenient=True))
    await asyncio.sleep(0)

    assert not reading.done()
    assert len((await reading).query.ignored) == 4


def test_what_is_too_long_is_refused_before_any_identity_is_looked_for() -> None:
    with pytest.raises(BadSearchError, match="characters of values"):
        read_query("Observation", [("code", national_id(1)), ("code", "x" * TEXT_MAX)])
    with pytest.raises(BadSearchError, match="a national ID"):
        read_query("Observation", [("code", national_id(1))])


def test_all_types_may_be_named() -> None:
    named = ",".join(sorted(resource_types()))

    assert len(named) > TEXT_MAX
    assert len(read_query("", [("_type", named), ("_id", "a")]).query.branches) == len(resource_types())
    with pytest.raises(BadSearchError, match="no such type"):
        read_query("", [("_type", national_id(1)), ("_id", "a")])


@pytest.mark.parametrize(
    ("kind", "pairs", "taken"),
    [
        ("", "_type=Observation code=x foo=1", "_type=Observation code=x"),
        ("", "code=x _type=Observation foo=1 _type=Condition", "code=x _type=Observation _type=Condition"),
        ("Observation", "_type=Observation code=x foo=1", "code=x"),
        (
            "Observation",
            "_include=Patient:name code=x _include=Observation:subject",
            "code=x _include=Observation:subject",
        ),
        ("", "_type=Observation code=x", "_type=Observation code=x"),
    ],
)
def test_what_a_lenient_search_was_made_of_is_told(kind: str, pairs: str, taken: str) -> None:
    given = [tuple(pair.split("=")) for pair in pairs.split()]
    asked = read_query(kind, [(name, value) for name, value in given], lenient=True)

    assert " ".join("=".join(pair) for pair in asked.pairs) == taken
    assert read_query(kind, asked.pairs).query.criteria == asked.query.criteria

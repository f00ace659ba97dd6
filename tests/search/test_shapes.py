"""Statements that are made once for each shape: what they find is of the values that are asked with, each time."""

from collections.abc import Callable, Hashable, Iterator
from random import Random

import pytest
from sqlalchemy import Select, select
from tests.databases import NewDatabase
from tests.search.conftest import KEYS
from tests.search.records import ANNE, BO, LOINC, ask, count, observation

from health_exchange.model.clock import SystemClock
from health_exchange.model.errors import UnavailableError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.search.finding import find
from health_exchange.search.permission import Permitted, classes_of, consents_of
from health_exchange.search.terms import Criterion, IdsTerm, PersonTerm, SearchQuery
from health_exchange.store import shapes, subjects
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.schema import resources
from health_exchange.store.shapes import rows_of

Keep = Callable[..., int]
Permit = Callable[[int], Permitted]


@pytest.fixture
def database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = Store.open(database, KEYS, SystemClock(), Random(1).randbytes, inline=True)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_KNOWN", {})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("code", "4548-4")], [("code", f"{LOINC}|718-7")]),
        ([("code", "4548-4,none")], [("code", "718-7,nothing,no,not,never")]),
        ([("patient", "p1"), ("code", "4548-4")], [("patient", "p2"), ("code", "718-7")]),
        ([("patient", "p1"), ("_sort", "-date")], [("patient", "p2"), ("_sort", "-date")]),
        ([("_id", "o1")], [("_id", "o2")]),
        ([("date", "2020")], [("date", "2024")]),
        ([("_lastUpdated", "ge2020"), ("_id", "o1")], [("_lastUpdated", "ge2021"), ("_id", "o2")]),
    ],
    ids=["a code", "several codes", "patient and code", "newest of a patient", "an id", "a year", "two conditions"],
)
@pytest.mark.parametrize("sensitivity", [3, 5], ids=["some of it", "all of it"])
def test_two_searches_of_one_shape_each_find_their_own(  # a fixture each, and three that vary
    store: Store,
    keep: Keep,
    permit: Permit,
    one: list[tuple[str, str]],
    other: list[tuple[str, str]],
    sensitivity: int,
) -> None:
    keep(observation(1, patient="p1", code="4548-4", date="2020-05-05"), person=ANNE)
    keep(observation(2, patient="p2", code="718-7", date="2024-05-05"), person=BO)
    keep(observation(3, patient="p1", code="8302-2", date="2010-05-05"), person=ANNE, sensitivity=5)
    permitted = permit(sensitivity)
    first = "o1" if ("_sort", "-date") not in one or sensitivity < 5 else "o1 o3"
    assert ask(store, permitted, *one) == first.split()
    known = set(shapes._KNOWN)
    assert ask(store, permitted, *other) == ["o2"]
    assert ask(store, permitted, *one) == first.split()
    # It was the same statement, or this says nothing.
    assert set(shapes._KNOWN) == known
    assert known
    assert (count(store, permitted, *other), ask(store, permitted, *other)) == (1, ["o2"])


def test_lists_of_any_length_have_one_shape(store: Store, keep: Keep, permit: Permit) -> None:
    for number in range(1, 6):
        keep(observation(number), person=ANNE if number % 2 else BO)
    permitted, asked = permit(5), 0
    cases: list[tuple[tuple[IdsTerm | PersonTerm, ...], list[str]]] = [
        ((IdsTerm(frozenset({"o1"})),), ["o1"]),
        ((IdsTerm(frozenset({"o2", "o3", "o4"})),), ["o4", "o3", "o2"]),
        ((IdsTerm(frozenset()),), []),
        ((PersonTerm(BO),), ["o4", "o2"]),
        ((PersonTerm("c" * 26),), []),
    ]
    for terms, found in cases:
        query = SearchQuery(type="Observation", criteria=(Criterion(name="_id", terms=terms),))
        page = store.read_now(lambda tx, query=query: find(tx, query, permitted))  # type: ignore[misc]  # bound in this loop
        assert [kept.id for kept in page.resources] == found
        asked += 1
    assert len(shapes._KNOWN) < asked


def test_no_value_of_a_search_is_kept_with_its_shape(store: Store, keep: Keep, permit: Permit) -> None:
    keep(observation(1), person=ANNE)
    ask(store, permit(5), ("_id", "somebody-s-own-id"))
    kept = [known.prepared for known in shapes._KNOWN.values()]
    assert kept
    assert all(prepared is not None for prepared in kept)
    assert "somebody-s-own-id" not in repr(shapes._KNOWN)


def test_a_statement_whose_text_depends_on_its_values_is_made_each_time(store: Store, keep: Keep) -> None:
    keep(observation(1), person=ANNE)
    keep(observation(2), person=ANNE)

    def ids(tx: Transaction, wanted: list[str]) -> list[str]:
        return [row.id for row in rows_of(tx, _ids, [resources.c.id.in_(wanted)])]

    assert store.read_now(lambda tx: ids(tx, ["o1"])) == ["o1"]
    assert store.read_now(lambda tx: ids(tx, ["o2", "o9", "o1"])) == ["o1", "o2"]


def test_of_more_shapes_than_are_kept_the_oldest_is_forgotten(
    store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "SHAPES_MAX", 2)
    keep(observation(1), person=ANNE)
    row = resources.c
    kept: list[Hashable] = []
    for condition in row.id == "o1", row.type == "Observation", row.version == 1, row.rid == 1:
        assert store.read_now(lambda tx, asked=condition: rows_of(tx, _ids, [asked])) == [("o1",)]  # type: ignore[misc]  # bound in this loop
        assert list(shapes._KNOWN)[:-1] == kept[-1:]
        kept = list(shapes._KNOWN)


@pytest.mark.parametrize("bound", ["PARAMETERS_MAX", "TEXT_MAX"])
def test_a_large_shape_finds_its_rows_and_is_not_kept(
    store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    keep(observation(1), person=ANNE)
    conditions = [resources.c.id != f"o{number}" for number in range(2, shapes.PARAMETERS_MAX + 2)]

    def found() -> list[str]:
        return [row.id for row in store.read_now(lambda tx: rows_of(tx, _ids, conditions))]

    assert (found(), len(shapes._KNOWN)) == (["o1"], 1)
    shapes._KNOWN.clear()
    monkeypatch.setattr(shapes, bound, shapes.PARAMETERS_MAX - 1)
    assert (found(), len(shapes._KNOWN)) == (["o1"], 0)


def test_rights_that_another_process_has_changed_are_those_of_the_next_search(
    store: Store, database: str, keep: Keep
) -> None:
    keep(observation(1), person=ANNE)
    keep(observation(2), person=BO)

    def search(tx: Transaction) -> list[str]:
        seen = frozenset(classes_of(tx, "Observation"))
        permitted = Permitted(classes={each: seen for each in consents_of(tx) if each != "deny-all"})
        query = SearchQuery(type="Observation", criteria=(Criterion(name="_id", terms=(IdsTerm(frozenset(IDS)),)),))
        return [kept.id for kept in find(tx, query, permitted).resources]

    other = Store.open(database, KEYS, SystemClock(), Random(2).randbytes, inline=True)
    try:
        for consent, found in ("", ["o2", "o1"]), ("deny-all", ["o1"]), ("", ["o2", "o1"]):
            [sid] = other.read_now(lambda tx: [each.sid for each in subjects.subjects_of(tx, Pseudonym(BO))])
            other.write_now(lambda tx, to=consent, sid=sid: subjects.set_consent(tx, sid, to))  # type: ignore[misc]  # bound in this loop
            assert store.read_now(search) == found
    finally:
        other.close()


def test_what_the_driver_refuses_is_refused_without_the_statement(store: Store) -> None:
    with pytest.raises(UnavailableError) as refused:
        store.read_now(lambda tx: tx.database.fetch(tx.connection, "SELECT nothing FROM nowhere", []))
    assert "nowhere" not in str(refused.value)


IDS = ("o1", "o2")


def _ids(conditions: list[object]) -> Select[tuple[str]]:
    return select(resources.c.id).where(*conditions).order_by(resources.c.id)  # type: ignore[arg-type]  # conditions

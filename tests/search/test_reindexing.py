"""Rows that an earlier release kept: found before they have this release's tokens, meanwhile and afterwards."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from sqlalchemy import select, update
from tests.search.conftest import KEYS
from tests.search.records import ANNE, BO, ask, observation

from health_exchange.fhir.parameters import settle, written_values
from health_exchange.search import candidates, reindexing
from health_exchange.search.candidates import TooCostlyError
from health_exchange.search.finding import find
from health_exchange.search.narrowing import narrowed
from health_exchange.search.permission import Permitted
from health_exchange.search.query import parse_over_types, parse_pairs
from health_exchange.search.tokens import (
    ANEW,
    HASHED,
    QUARTERS,
    indexed_for,
    quarter_tokens_asked,
    tokens_in,
    tokens_of,
)
from health_exchange.store import generations, node_state, token_index
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.resources import CURRENT, opened
from health_exchange.store.schema import resources

Keep = Callable[..., int]
Permit = Callable[[int], Permitted]

ASKED: list[tuple[str, tuple[tuple[str, str], ...], list[str]]] = [
    ("Patient", (("name", "wa"),), ["p2"]),
    ("Patient", (("family:exact", "王"),), ["p1"]),
    ("Patient", (("name:contains", "ang"),), ["p2"]),
    ("Patient", (("address-city", "hang"),), ["p2"]),
    ("Observation", (("encounter", "e1"),), ["o3", "o1"]),
    ("Observation", (("encounter.status", "finished"),), ["o3", "o1"]),
    ("Observation", (("date", "2024-05"),), ["o1"]),
    ("Observation", (("date", "ge2024-05-07"),), ["o3", "o2"]),
    ("Observation", (("date", "lt2024-06"), ("patient", "p1")), ["o1"]),
    ("Observation", (("_sort", "-date"),), ["o3", "o2", "o1"]),
]


def write_records(keep: Keep) -> None:
    keep({"resourceType": "Patient", "id": "p1", "name": [{"family": "王", "given": ["小明"]}]}, person=ANNE)
    keep(
        {"resourceType": "Patient", "id": "p2", "name": [{"family": "Wáng"}], "address": [{"city": "Hangzhou"}]},
        person=BO,
    )
    keep({"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}}, person=ANNE)
    for number, encounter, period in ((1, "e1", None), (2, "e2", "2024-06-01"), (3, "e1", "2024-07-01")):
        resource = {**observation(number), "encounter": {"reference": f"Encounter/{encounter}"}}
        if period is not None:
            resource["effectivePeriod"] = {"start": period, "end": "2026-01-01"}
            del resource["effectiveDateTime"]
        if number == 2:
            resource["performer"] = [{"reference": "Patient/p2"}]
        keep(resource, person=ANNE)


def take_back(store: Store) -> None:
    """Leave the rows with the tokens that the first generation made, and forget that they had others."""

    def earlier(tx: Transaction) -> None:
        for row in tx.execute(CURRENT.add_columns(resources.c.tokens)).all():
            kept = opened(tx, row)
            values = settle(written_values(msgspec.json.decode(kept.body or b"{}"), indexed_for(kept.type)))
            old = tokens_of(tx.keys.tokens, kept.type, [each for each in values if each.param in HASHED - ANEW])
            token_index.exchange(tx, kept.rid, row.tokens, old)
            tx.execute(update(resources).where(resources.c.rid == kept.rid).values(tokens=old))
        node_state.drop(tx, "cursor:token-generation")

    store.write_now(earlier)


def answers(store: Store, permitted: Permitted) -> list[list[str]]:
    found = [ask(store, permitted, *pairs, kind=kind) for kind, pairs, _expected in ASKED]
    compartment = parse_over_types(["Observation", "Patient"], [], patient="p2")
    page = store.read_now(lambda tx: find(tx, compartment, permitted))
    return [*found, [kept.id for kept in page.resources]]


def test_rows_of_an_earlier_release_are_found_before_they_have_new_tokens_meanwhile_and_afterwards(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(keep)
    expected = [*(found for _kind, _pairs, found in ASKED), ["o2", "p2"]]
    take_back(store)
    monkeypatch.setattr(reindexing, "ROWS", 2)

    rounds = 0
    while True:
        assert answers(store, permit(5)) == expected
        assert not store.read_now(generations.is_current)
        if not store.write_now(reindexing.step):
            break
        rounds += 1

    assert rounds == 3
    assert store.read_now(generations.is_current)
    assert answers(store, permit(5)) == expected
    rows = store.read_now(lambda tx: [(opened(tx, row), row.tokens) for row in tx.execute(_ALL).all()])
    for kept, tokens in rows:
        assert tokens == tokens_in(KEYS.tokens, kept.type, msgspec.json.decode(kept.body or b""))


def test_the_generation_after_this_one_begins_at_the_first_row(
    store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(keep)
    take_back(store)
    while store.write_now(reindexing.step):
        pass

    for generation in (generations.GENERATION + 1, generations.GENERATION):
        monkeypatch.setattr(generations, "GENERATION", generation)
        assert not store.read_now(generations.is_current)
        steps = 0
        while store.write_now(reindexing.step):
            steps += 1
        assert steps
        assert store.read_now(generations.is_current)


def test_rows_that_lack_quarters_alone_are_found_by_all_other_tokens_before_and_by_quarters_afterwards(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(keep)
    for number in range(10, 40):
        keep({"resourceType": "Patient", "id": f"p{number}", "name": [{"family": "Zhao"}]}, person=BO)
        keep({**observation(number), "effectiveDateTime": f"{2000 + number}-01-01"}, person=BO)
    coded = (("code", "bare"), ("date", "2020-01-01"))

    def without_quarters(tx: Transaction) -> None:
        for row in tx.execute(CURRENT.add_columns(resources.c.tokens)).all():
            made = quarter_tokens_asked(tx.keys.tokens, "Observation", ["4548-4", "HBA1C", "bare"], QUARTERS)
            old = [token for token in row.tokens if token not in made]
            token_index.exchange(tx, row.rid, row.tokens, old)
            tx.execute(update(resources).where(resources.c.rid == row.rid).values(tokens=old))
        node_state.set_cursor(tx, "token-generation", generations.TEXTS)

    store.write_now(without_quarters)
    monkeypatch.setattr(candidates, "SCAN_MAX", 4)
    monkeypatch.setattr(candidates, "BATCH", 2)
    for is_anew in (False, True):
        assert store.read_now(generations.is_current) is is_anew
        assert store.read_now(lambda tx: generations.has(tx, generations.TEXTS))
        assert ask(store, permit(5), ("family", "wáng"), kind="Patient") == ["p2"]
        # More than may be opened would have to be, were they not in order already.
        assert ask(store, permit(5), ("_sort", "-date"), ("_count", "2")) == ["o39", "o38"]
        query = parse_pairs("Observation", coded)
        asked = store.read_now(lambda tx, query=query: narrowed(tx, query, {}, None).code_and_quarter)  # type: ignore[misc]  # bound in this loop
        assert bool(asked) is is_anew
        assert ask(store, permit(5), *coded) == ["o20"]
        if not is_anew:
            step_through(store)


def test_a_step_ends_where_its_bodies_are_large(store: Store, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        keep({"resourceType": "Patient", "id": f"p{number}", "name": [{"family": "Zhao"}]}, person=BO)
    take_back(store)
    monkeypatch.setattr(reindexing, "BODY_BYTES", 1)
    steps = []
    while (done := store.write_now(reindexing.step)) is not None:
        steps.append(done.rows)
    assert steps == [1, 1, 1, 1]
    assert store.read_now(generations.is_current)


def test_who_began_before_all_rows_had_their_tokens_does_not_go_by_them(store: Store, keep: Keep) -> None:
    write_records(keep)
    take_back(store)

    def began_before(tx: Transaction) -> tuple[bool, bool]:
        before = generations.is_current(tx)
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(step_through, store).result()
        return before, generations.is_current(tx)

    assert store.read_now(began_before) == (False, False)
    assert store.read_now(generations.is_current)


def step_through(store: Store) -> None:
    while store.write_now(reindexing.step):
        pass
    assert store.read_now(generations.is_current)


_ALL = CURRENT.add_columns(resources.c.tokens)


def test_what_is_written_meanwhile_is_found_and_what_was_deleted_stays_so(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(keep)
    take_back(store)
    monkeypatch.setattr(reindexing, "ROWS", 3)
    store.write_now(reindexing.step)
    keep({"resourceType": "Patient", "id": "p1", "name": [{"family": "李"}]}, person=ANNE)
    keep({"resourceType": "Patient", "id": "p3", "name": [{"family": "王"}]}, person=BO)
    while store.write_now(reindexing.step):
        pass
    assert ask(store, permit(5), ("name", "王"), kind="Patient") == ["p3"]
    assert ask(store, permit(5), ("name", "李"), kind="Patient") == ["p1"]


def test_a_row_that_does_not_open_is_passed_over_and_counted(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(keep)
    take_back(store)
    monkeypatch.setattr(reindexing, "ROWS", 4)
    broken = update(resources).where(resources.c.id == "p2").values(body=b"x" * 99)
    store.write_now(lambda tx: tx.execute(broken).rowcount)
    steps = []
    while (done := store.write_now(reindexing.step)) is not None:
        steps.append(done)
    assert steps == [(4, 1), (2, 0)]
    assert store.read_now(generations.is_current)
    assert ask(store, permit(5), ("family:exact", "王"), kind="Patient") == ["p1"]


def test_a_database_without_rows_goes_by_all_tokens_from_its_first_row_on(store: Store, keep: Keep) -> None:
    assert not store.read_now(generations.is_current)
    keep({"resourceType": "Patient", "id": "p1"}, person=ANNE)
    assert store.read_now(generations.is_current)
    assert store.read_now(lambda tx: tx.execute(select(resources.c.rid)).scalar_one()) == 1


def test_texts_encounters_and_compartments_are_found_by_index(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(keep)
    before = answers(store, permit(5))
    for number in range(10, 40):
        keep({"resourceType": "Patient", "id": f"p{number}", "name": [{"family": "Zhao"}]}, person=BO)
        keep({**observation(number, date="2020-01-01"), "effectiveDateTime": "2020-01-01"}, person=BO)
    monkeypatch.setattr(candidates, "SCAN_MAX", 4)
    monkeypatch.setattr(candidates, "BATCH", 2)
    contains = ("Patient", (("name:contains", "ang"),), ["p2"])
    for kind, pairs, expected in ASKED[:9]:
        if (kind, pairs, expected) == contains:
            with pytest.raises(TooCostlyError):
                ask(store, permit(5), *pairs, kind=kind)
        elif pairs != (("date", "lt2024-06"), ("patient", "p1")):
            assert ask(store, permit(5), *pairs, kind=kind) == expected
    compartment = parse_over_types(["Observation", "Patient"], [], patient="p2")
    page = store.read_now(lambda tx: find(tx, compartment, permit(5)))
    assert [kept.id for kept in page.resources] == before[-1]

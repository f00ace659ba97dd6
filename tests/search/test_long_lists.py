"""What is asked of the index where it has long lists, or is asked for many tokens at once."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from sqlalchemy import Engine, event, select, text
from tests.search.records import ANNE, ask, observation

from health_exchange.search import candidates, chains, narrowing
from health_exchange.search.finding import find, total
from health_exchange.search.narrowing import narrowed
from health_exchange.search.permission import Permitted
from health_exchange.search.query import parse_pairs
from health_exchange.store import shapes, token_index
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.schema import resources

Keep = Callable[..., int]
Permit = Callable[[int], Permitted]


@pytest.fixture
def more_than_three_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that are asked for together; and no shape is known from elsewhere."""
    monkeypatch.setattr(shapes, "_KNOWN", {})
    for module in (token_index, narrowing):
        monkeypatch.setattr(module, "TOGETHER_MAX", 3)


def test_as_many_rows_are_seen_by_part_of_a_list_and_all_of_it_is_read_again_afterwards(
    store: Store, keep: Keep
) -> None:
    for number in range(30):
        keep(observation(number), person=ANNE)
    query = parse_pairs("Observation", [("code", "bare")])

    def seen(tx: Transaction) -> tuple[bool, bool, int]:
        rows = select(resources.c.rid).where(*narrowed(tx, query, {}, None).found(tx))
        few, many = (token_index.finds_as_many(tx, rows, wanted) for wanted in (20, 31))
        if tx.connection.dialect.name == "postgresql":
            assert tx.execute(text("SHOW gin_fuzzy_search_limit")).scalar_one() == "0"
        return few, many, len(tx.execute(rows).all())

    is_postgresql = store.read_now(lambda tx: tx.connection.dialect.name == "postgresql")
    assert store.read_now(seen) == (is_postgresql, False, 30)


@pytest.mark.usefixtures("more_than_three_are_many")
def test_of_many_alternatives_every_page_is_found_and_the_total_is_told_to_who_insists(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "BATCH", 2)
    for number in range(12):
        keep({"resourceType": "Encounter", "id": f"e{number}", "status": "finished", "class": {"code": "AMB"}})
        keep({**observation(number), "encounter": {"reference": f"Encounter/e{number}"}}, person=ANNE)
    asked = [("encounter", ",".join(f"Encounter/e{number}" for number in range(1, 12))), ("_count", "4")]
    query = parse_pairs("Observation", asked)
    found: list[str] = []
    page = store.read_now(lambda tx: find(tx, query, permit(5)))
    assert store.read_now(lambda tx: total(tx, query, permit(5), page)) is None
    insisted = parse_pairs("Observation", [*asked, ("_total", "accurate")])
    assert store.read_now(lambda tx: total(tx, insisted, permit(5), page)) == 11
    while True:
        found += [kept.id for kept in page.resources]
        if page.is_last:
            break
        page = store.read_now(lambda tx, after=page.after: find(tx, query, permit(5), after))  # type: ignore[misc]  # bound in this loop
    assert found == [f"o{number}" for number in range(11, 0, -1)]


@pytest.mark.usefixtures("more_than_three_are_many")
def test_of_many_frequent_codes_the_newest_rows_are_walked_past_before_the_index_names_all_of_them(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        keep({**observation(number), "encounter": {"reference": f"Encounter/e{number}"}}, person=ANNE)
    permitted = permit(5)

    def named(*pairs: tuple[str, str]) -> tuple[list[str], bool]:
        shapes._KNOWN.clear()
        found = ask(store, permitted, *pairs)
        return found, candidates._named in {cast("tuple[object]", key)[0] for key in shapes._KNOWN}

    assert named(("code", "bare,a,b,c,d"), ("_count", "2")) == (["o11", "o10"], False)
    # Where the newest do not fill the page, and where few rows have any of them.
    assert named(("code", "bare,a,b,c,d"), ("_count", "20"))[1]
    monkeypatch.setattr(narrowing, "FEW_REFERENCES", 3)
    few = ",".join(f"Encounter/e{number}" for number in range(8, 12))
    assert named(("encounter", few), ("_count", "2")) == (["o11", "o10"], True)


@pytest.mark.usefixtures("more_than_three_are_many")
def test_beside_what_few_rows_have_nobody_reads_the_lists_of_many_codes(
    store: Store, keep: Keep, permit: Permit
) -> None:
    for number in range(12):
        keep(observation(number, patient=f"p{number % 4}"), person=ANNE)
    is_postgresql = store.read_now(lambda tx: tx.connection.dialect.name == "postgresql")
    all_of_them = {token_index._named_by, token_index._one_by_one}
    codes = ("code", "bare,a,b,c,d")

    def asked(*pairs: tuple[str, str]) -> tuple[list[str], int]:
        """What is found, and how often all rows of many tokens are named in one statement."""
        shapes._KNOWN.clear()
        found = ask(store, permit(5), *pairs)
        makes = [cast("tuple[object, object, str, tuple[object, ...]]", key)[3] for key in shapes._KNOWN]
        return found, max(sum(make in all_of_them for make in each) for each in makes)

    # PostgreSQL looks each code up together with the one person; SQLite is led by the two.
    assert asked(("patient", "p1"), codes) == (["o9", "o5", "o1"], int(is_postgresql))
    assert asked(codes, ("patient", "p1,p2")) == (["o10", "o9", "o6", "o5", "o2", "o1"], int(not is_postgresql))
    assert asked(("_id", "o1,o2"), codes) == (["o2", "o1"], 0)
    # Of a status and codes neither has few: PostgreSQL's newest fill the page, SQLite names all rows of the codes once.
    assert asked(("status", "final"), codes, ("_count", "2")) == (["o11", "o10"], int(not is_postgresql))


def test_many_references_lead_before_codes_and_quarters(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (token_index, narrowing):
        monkeypatch.setattr(module, "TOGETHER_MAX", 2)
    monkeypatch.setattr(narrowing, "FEW_REFERENCES", 2)
    for number in range(12):
        keep({**observation(number), "encounter": {"reference": f"Encounter/e{number}"}}, person=ANNE)
    few = ("encounter", "Encounter/e1,Encounter/e2,Encounter/e3")
    for codes in "bare", "bare,a,b,c,d":
        pairs = [("code", codes), few, ("date", "2024-05")]
        query = parse_pairs("Observation", pairs)
        [alone] = store.read_now(lambda tx: narrowed(tx, parse_pairs("Observation", [few]), {}, None)).leading
        of_all = store.read_now(lambda tx, query=query: narrowed(tx, query, {}, None))  # type: ignore[misc]  # bound in this loop
        assert of_all.leading[0] == of_all.tokens[0] == alone
        [first, *_others] = store.read_now(lambda tx, groups=of_all.leading: token_index.found_by(tx, groups))  # type: ignore[misc]  # bound in this loop
        assert isinstance(first, shapes.Shaped)
        assert first.values[0] == alone
        assert ask(store, permit(5), *pairs) == ["o3", "o2", "o1"]


def test_of_candidates_it_is_asked_whether_one_of_many_codes_refers_to_them_without_all_rows_of_these(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_index, "TOGETHER_MAX", 3)
    for number in (1, 2):
        keep({"resourceType": "Patient", "id": f"p{number}"}, person=ANNE)
    for number in range(4):
        keep(observation(number, patient="p1"), person=ANNE)

    ran: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        ran.extend([statement] if "DISTINCT" in statement else [])

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        for step_max in 1, 1_000:
            monkeypatch.setattr(chains, "STEP_MAX", step_max)
            assert ask(store, permit(5), ("_has:Observation:patient:code", "bare,a,b,c,d"), kind="Patient") == ["p1"]
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    # Where few rows have them all of these are named, for there may be more of what refers to the candidates.
    is_sqlite = store.read_now(lambda tx: tx.connection.dialect.name == "sqlite")
    assert ["resources.rid IN (SELECT" in each for each in ran] == [False, is_sqlite]


@pytest.mark.parametrize("level", [3, 5])
def test_who_is_referred_to_is_told_by_what_the_caller_may_see_alone(
    store: Store, keep: Keep, permit: Permit, level: int
) -> None:
    for number, sensitivity in ((1, 3), (2, 5), (3, 3)):
        keep({"resourceType": "Patient", "id": f"p{number}"}, person=ANNE)
        keep(observation(number, patient=f"p{number}"), person=ANNE, sensitivity=sensitivity)
    keep(observation(4, patient="p1"), person=ANNE)
    has = ("_has:Observation:patient:code", "bare")
    assert ask(store, permit(level), has, kind="Patient") == (["p3", "p1"] if level == 3 else ["p3", "p2", "p1"])
    whole = replace(permit(5), is_whole=True)
    assert ask(store, whole, has, kind="Patient") == ["p3", "p2", "p1"]

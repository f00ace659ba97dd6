"""Search against a naive oracle in memory: random records, random questions, on both databases.

The oracle shares nothing with what it checks but the grammar: it goes through the values that records were made of.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from tests.search.records import ANNE, BO

from health_exchange.search import candidates, chains, narrowing
from health_exchange.search.finding import find, total
from health_exchange.search.including import included
from health_exchange.search.permission import Permitted
from health_exchange.search.query import parse_pairs
from health_exchange.store import token_index
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.schema import resources, tokens

Keep = Callable[..., int]
Permit = Callable[[int], Permitted]
EVERYTHING = 5
"""The level of who may see all there is."""
FAMILIES = ("Li", "Wang", "Müller", "muller-Zhao", "王")
CODES = ("a", "b", "c")
MONTHS = 24
STATUSES = ("final", "amended")
SORTS = (
    *("", "_id", "-_id", "date,-_id", "-date,_id", "date", "-date"),
    *("component-value-quantity,-_id", "code,_id", "-status,_id"),
)
REVERSED = ("Observation:subject", "Observation:*", "*")
UCUM = "http://unitsofmeasure.org"
SETS = "http://hl7.org/fhir/ValueSet"


@dataclass(frozen=True)
class Person:
    """A Patient as the oracle knows it."""

    id: str
    family: str
    level: int


@dataclass(frozen=True)
class Result:
    """An Observation as the oracle knows it."""

    id: str
    of: Person
    code: str
    status: str
    month: int
    is_precise: bool
    value: int | None
    level: int


Holds = Callable[[Result], bool]


def persons(dice: Random) -> list[Person]:
    return [Person(f"p{each}", dice.choice(FAMILIES), dice.choice((3, 5))) for each in range(4)]


def results(dice: Random, of: Sequence[Person]) -> list[Result]:
    return [
        Result(
            f"o{each:02}",
            dice.choice(of),
            dice.choice(CODES),
            dice.choice(STATUSES),
            dice.randint(1, MONTHS),
            dice.random() < 0.7,
            dice.choice((None, 1, 2, 3)),
            dice.choice((3, 3, 5)),
        )
        for each in range(dice.randint(1, 14))
    ]


def keep_all(keep: Keep, of: Sequence[Person], them: Sequence[Result]) -> None:
    owners = dict(zip([person.id for person in of], (ANNE, BO, ANNE, BO), strict=True))
    for person in of:
        body = {"resourceType": "Patient", "id": person.id, "name": [{"family": person.family}]}
        keep(body, person=owners[person.id], sensitivity=person.level)
    for each in them:
        keep(
            {
                "resourceType": "Observation",
                "id": each.id,
                "status": each.status,
                "code": {"coding": [{"system": "urn:c", "code": each.code}]},
                "subject": {"reference": f"Patient/{each.of.id}"},
                "effectiveDateTime": written(each.month) + ("-15" if each.is_precise else ""),
                "component": [{"code": {}, "valueQuantity": duration(each)}],
                **({"valueQuantity": {"value": each.value}} if each.value is not None else {}),
            },
            person=owners[each.of.id],
            sensitivity=each.level,
        )


def written(month: int) -> str:
    """A month of two years."""
    return f"{2023 + (month - 1) // 12}-{(month - 1) % 12 + 1:02}"


def duration(each: Result) -> dict[str, object]:
    """As many days as the number of the month, in one of two units."""
    unit = {"value": each.month, "code": "d"} if each.month % 2 else {"value": each.month * 24, "code": "h"}
    return {**unit, "system": UCUM}


def begins(text: str, prefix: str) -> bool:
    return text.lower().replace("ü", "u").startswith(prefix.lower().replace("ü", "u"))


@st.composite
def questions(draw: st.DrawFn, level: int, kind: str = "") -> tuple[tuple[str, str], Holds]:
    """A parameter with its value, and what it means; the parameter of a kind where one is named."""
    code, status, family = (draw(st.sampled_from(each)) for each in (CODES, STATUSES, FAMILIES))
    month, value, person = draw(st.integers(1, MONTHS)), draw(st.integers(1, 3)), f"p{draw(st.integers(0, 4))}"
    date = written(month)
    prefix = family[: draw(st.integers(1, len(family)))]
    options: list[tuple[tuple[str, str], Holds]] = [
        (("code", code), lambda each: each.code == code),
        (("code", f"urn:c|{code},urn:c|a"), lambda each: each.code in {code, "a"}),
        (("code", f"|{code}"), lambda _each: False),
        (("code", "urn:c|"), lambda _each: True),
        (("code:not", f"{code},b"), lambda each: each.code not in {code, "b"}),
        (("status", status), lambda each: each.status == status),
        (("patient", person), lambda each: each.of.id == person),
        (("subject:missing", "true"), lambda _each: False),
        (("_id", f"o0{value},o1{value}"), lambda each: each.id in {f"o0{value}", f"o1{value}"}),
        (("date", date), lambda each: each.month == month),
        (("date", f"ne{date}"), lambda each: each.month != month),
        (("date", f"gt{date}"), lambda each: each.month > month),
        (("date", f"le{date}"), lambda each: each.month <= month),
        (("date", f"sa{date}"), lambda each: each.month > month),
        (("date", f"eb{date}"), lambda each: each.month < month),
        (("value-quantity", f"{value}"), lambda each: each.value == value),
        (("value-quantity", f"ge{value}"), lambda each: each.value is not None and each.value >= value),
        (("value-quantity:missing", "true"), lambda each: each.value is None),
        (("code-value-quantity", f"{code}$lt{value}"), lambda each: each.code == code and (each.value or 9) < value),
        (("component-value-quantity", f"{month}|{UCUM}|d"), lambda each: each.month == month),
        (("component-value-quantity", f"lt{month * 1440}||min"), lambda each: each.month < month),
        (("component-value-quantity", f"ge{month * 24}|{UCUM}|h"), lambda each: each.month >= month),
        (("component-value-quantity", f"gt{month}|{UCUM}|mg"), lambda _each: False),
        (("status:in", f"{SETS}/observation-status"), lambda _each: True),
        (("status:not-in", f"{SETS}/observation-status,{SETS}/days-of-week"), lambda _each: False),
        (("code:not-in", f"{SETS}/observation-status"), lambda _each: True),
        (
            ("patient.family", prefix),
            lambda each: seen(each.of, level) and begins(each.of.family, prefix),
        ),
        (("patient.family:exact", family), lambda each: seen(each.of, level) and each.of.family == family),
        (("subject:Patient._id", person), lambda each: seen(each.of, level) and each.of.id == person),
    ]
    return draw(st.sampled_from([each for each in options if kind in {"", each[0][0]}]))


def seen(person: Person, level: int) -> bool:
    return person.level <= level


@pytest.mark.parametrize("level", [3, 5])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_search_finds_and_counts_what_the_oracle_finds(  # fixtures and examples
    store: Store, keep: Keep, permit: Permit, level: int, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    dice = Random(data.draw(st.integers(0, 10_000)))
    of = persons(dice)
    them = results(dice, of)
    wipe(store)
    keep_all(keep, of, them)
    permitted = permit(level)
    both = st.tuples(questions(level, "code"), questions(level, "date")).map(list)
    asked = data.draw(st.lists(questions(level), max_size=3) | both)
    count, sort = (
        data.draw(st.integers(1, 6)),
        data.draw(st.sampled_from(SORTS)),
    )
    # However few are walked past first, and however little a step of a chain may give.
    monkeypatch.setattr(candidates, "WALK", data.draw(st.sampled_from([3, 10_000])))
    monkeypatch.setattr(chains, "STEP_MAX", data.draw(st.sampled_from([1, 1_000])))
    together = data.draw(st.sampled_from([1, 64]))
    monkeypatch.setattr(token_index, "TOGETHER_MAX", together)
    monkeypatch.setattr(narrowing, "TOGETHER_MAX", together)
    if level == EVERYTHING and data.draw(st.booleans()):
        permitted = replace(permitted, is_whole=True)
    expected = [each for each in them if each.level <= level and all(holds(each) for _pair, holds in asked)]
    pairs = [pair for pair, _holds in asked] + [("_count", str(count))] + ([("_sort", sort)] if sort else [])
    query = parse_pairs("Observation", pairs)

    found: list[str] = []
    page = store.read_now(lambda tx: find(tx, query, permitted))
    while True:
        assert len(page.resources) <= count
        found += [kept.id for kept in page.resources]
        if page.is_last:
            break
        page = store.read_now(lambda tx, page=page: find(tx, query, permitted, page.after, page.rest))  # type: ignore[misc]  # bound in this loop

    assert found == in_order(expected, sort)
    assert store.read_now(lambda tx: total(tx, query, permitted)) == len(expected)


@pytest.mark.parametrize("level", [3, 5])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_reverse_chains_and_inclusions_are_what_the_oracle_says(  # fixtures and examples
    store: Store, keep: Keep, permit: Permit, level: int, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    dice = Random(data.draw(st.integers(0, 10_000)))
    of = persons(dice)
    them = results(dice, of)
    wipe(store)
    keep_all(keep, of, them)
    permitted = permit(level)
    (name, value), holds = data.draw(questions(level))
    monkeypatch.setattr(chains, "STEP_MAX", data.draw(st.sampled_from([1, 1_000])))
    monkeypatch.setattr(token_index, "TOGETHER_MAX", data.draw(st.sampled_from([1, 64])))
    query = parse_pairs(
        "Patient",
        [(f"_has:Observation:patient:{name}", value), ("_revinclude", data.draw(st.sampled_from(REVERSED)))],
    )
    visible = [each for each in them if each.level <= level]
    expected = {each.of.id for each in visible if holds(each) and seen(each.of, level)}
    page = store.read_now(lambda tx: find(tx, query, permitted))
    assert {kept.id for kept in page.resources} == expected
    assert {kept.id for kept in page.included} == {each.id for each in visible if each.of.id in expected}
    for by in ("Observation:patient", "*"):
        forward = parse_pairs("Observation", [("_include", by), ("_count", "200")])
        everything = store.read_now(lambda tx, forward=forward: find(tx, forward, permitted))  # type: ignore[misc]  # bound in this loop
        assert {kept.id for kept in everything.included} == {each.of.id for each in visible if seen(each.of, level)}
    assert store.read_now(lambda tx: included(tx, (), forward.inclusions, permitted)) == []


def in_order(them: Sequence[Result], sort: str) -> list[str]:
    """Ids in the order that is asked for; without one the newest first."""
    ordered = sorted(them, key=lambda each: each.id, reverse=sort in {"", "date", "-date"} or sort.endswith("-_id"))
    first = sort.partition(",")[0]
    ranks: dict[str, Callable[[Result], int | str]] = {
        "date": lambda each: 2 * each.month + each.is_precise,
        "component-value-quantity": lambda each: each.month,
        "code": lambda each: each.code,
        "status": lambda each: each.status,
    }
    if first.removeprefix("-") in ranks:
        ordered.sort(key=ranks[first.removeprefix("-")], reverse=first.startswith("-"))
    return [each.id for each in ordered]


def wipe(store: Store) -> None:
    """Forget all records of the example before."""

    def forget(tx: Transaction) -> None:
        tx.execute(delete(resources))
        if tx.connection.dialect.name == "sqlite":
            tx.execute(delete(tokens))

    store.write_now(forget)

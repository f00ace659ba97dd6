"""Kept counts are what counting anew comes to, whatever was written, moved and destroyed."""

import os
import random
from pathlib import Path

import pytest
from tests.databases import KINDS, PostgresqlServer
from tests.store.conftest import KEYS
from tests.store.troubles import SetClock

from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.store import corrections, exports, migrations, resources, shredding, statistics, subjects, tallies
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.exports import Standing

ORIGINS = ("cn/33/3305/330521", "cn/51/5100", "cn/33/3301/330110")
PEOPLE = [Pseudonym(letter * 26) for letter in "abcde"]


def counted_anew(tx: Transaction) -> tallies.Kept:
    return tallies.Kept(
        resources=sum(statistics.counts(tx).values()),
        persons=statistics.persons(tx),
        persons_across_provinces=len(statistics.persons_across_provinces(tx)),
    )


def owner(tx: Transaction, origin: str, person: Pseudonym | None) -> subjects.Subject:
    return subjects.find_or_make_subject(tx, anchor=f"{origin}|{person}", pseudonym=person)


def keep(tx: Transaction, number: int, origin: str, person: Pseudonym | None, *, deleted: bool = False) -> None:
    known = resources.heads(tx, [("Observation", f"o{number}")]).get(("Observation", f"o{number}"))
    resources.put(
        tx,
        resources.NewVersion(
            type="Observation",
            id=f"o{number}",
            sid=owner(tx, origin, person).sid,
            origin=origin,
            version=known.version + 1 if known else 1,
            resource_class=ResourceClass(
                type="Observation",
                sensitivity=Sensitivity.CLINICAL,
                category=SensitiveCategory.GENERAL,
                jurisdiction=origin,
            ),
            changed_at="2026-01-01T00:00:00Z",
            instant="2026-01-01",
            packed=None if deleted else pack_body("Observation", b'{"value":1.50}'),
        ),
    )


def happen(tx: Transaction, dice: random.Random) -> None:
    """One of the things that change what is kept."""
    number, person, origin = dice.randrange(25), dice.choice([*PEOPLE, None]), dice.choice(ORIGINS)
    kept = resources.current(tx, "Observation", f"o{number}")
    match dice.randrange(7):
        case 0 if kept is not None:
            corrections.withdraw(tx, kept, version=kept.version + 1, changed_at="2026-01-02T00:00:00Z")
        case 1 if kept is not None:
            corrections.reassign(tx, kept, owner(tx, kept.origin, person), None)
        case 2 if person is not None:
            shredding.shred(tx, person)
        case 3 if kept is not None and person is not None and kept.sid:
            subjects.assign_pseudonym(tx, kept.sid, person)
        case 4 if kept is not None:
            keep(tx, number, kept.origin, person, deleted=True)
        case _:
            keep(tx, number, kept.origin if kept else origin, person)


@pytest.mark.parametrize("seed", range(5))
def test_kept_counts_are_what_counting_anew_comes_to(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    for _step in range(60):
        store.write_now(lambda tx: happen(tx, dice))
        assert store.read_now(tallies.kept).resources == store.read_now(counted_anew).resources
        if dice.random() < 0.3:
            store.write_now(tallies.fold)
            assert store.read_now(tallies.kept) == store.read_now(counted_anew)
            assert not store.read_now(tallies.has_work)


def test_what_is_not_kept_is_not_counted(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        keep(tx, 1, ORIGINS[0], PEOPLE[0])
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        store.write_now(fail)
    store.write_now(tallies.fold)
    assert store.read_now(tallies.kept) == tallies.Kept(resources=0, persons=0, persons_across_provinces=0)


def test_standings_of_what_was_erased_count_no_more(store: Store) -> None:
    store.write_now(lambda tx: keep(tx, 1, ORIGINS[0], PEOPLE[0]))
    store.write_now(lambda tx: keep(tx, 2, ORIGINS[0], PEOPLE[1]))
    rows = [Standing(rid=rid, version=1, recipients=frozenset(), held="policy") for rid in (1, 2)]
    store.write_now(lambda tx: exports.record(tx, rows))
    store.write_now(lambda tx: shredding.shred(tx, PEOPLE[0]))

    assert store.read_now(exports.held_counts) == {"policy": 1}
    assert store.read_now(lambda tx: exports.standings(tx, [1, 2])).keys() == {2}


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as its owner."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/owned.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.url(server.new_database("template0"))


def test_the_migration_counts_what_is_there(url: str, clock: SetClock) -> None:
    store = Store.open(url, KEYS, clock, os.urandom)
    for number, (origin, person) in enumerate(zip([*ORIGINS, ORIGINS[0]], [*PEOPLE[:3], PEOPLE[1]], strict=True)):
        store.write_now(lambda tx, n=number, o=origin, p=person: keep(tx, n, o, p))  # type: ignore[misc]  # bound as defaults
    store.write_now(lambda tx: keep(tx, 0, ORIGINS[0], PEOPLE[0], deleted=True))
    rows = [Standing(rid=2, version=1, recipients=frozenset(), held="identity")]
    store.write_now(lambda tx: exports.record(tx, rows))
    expected = store.read_now(counted_anew)
    assert (expected.resources, expected.persons, expected.persons_across_provinces) == (3, 2, 1)
    store.close()

    migrations.downgrade(url, "0004")
    migrations.upgrade(url)

    again = Store.open(url, KEYS, clock, os.urandom)
    assert again.read_now(tallies.kept) == expected
    assert again.read_now(exports.held_counts) == {"identity": 1}
    again.close()

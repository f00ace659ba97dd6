"""What the store promises: durable when acknowledged, isolated in the group, gapless, gone when shredded."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.databases import NewDatabase

from health_exchange.model.clock import SystemClock
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.store import audit_log, feed, node_state, resources, shredding, subjects
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Store, StoreKeys, Transaction
from health_exchange.store.schema import history
from health_exchange.store.schema import resources as resources_table
from health_exchange.store.token_index import has_token
from health_exchange.store.versions import short_former, version_of

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
CLASS = ResourceClass(
    type="Observation",
    sensitivity=Sensitivity.CLINICAL,
    category=SensitiveCategory.GENERAL,
    jurisdiction="cn/33/3305/330521",
)
PERSON = Pseudonym("a" * 26)


@pytest.fixture
def store(new_database: NewDatabase) -> Iterator[Store]:
    opened = Store.open(new_database(), KEYS, SystemClock(), os.urandom)
    yield opened
    opened.close()


def _keep(tx: Transaction, number: int, *, version: int = 1, expected: int | None = None) -> int:
    subject = subjects.find_or_make_subject(tx, anchor="Patient/1", pseudonym=PERSON)
    return resources.put(
        tx,
        resources.NewVersion(
            type="Observation",
            id=f"o{number}",
            sid=subject.sid,
            origin=CLASS.jurisdiction,
            version=version,
            resource_class=CLASS,
            changed_at="2026-01-01T00:00:00Z",
            instant="2026-01-01",
            tokens=[7, number],
            packed=pack_body("Observation", b'{"value":1.50,"v":%d}' % version),
            expected=expected,
        ),
    )


def test_a_body_comes_back_byte_for_byte_and_old_versions_stay(store: Store) -> None:
    rid = store.write_now(lambda tx: _keep(tx, 1))
    store.write_now(lambda tx: _keep(tx, 1, version=2, expected=1))
    now = store.read_now(lambda tx: resources.current(tx, "Observation", "o1"))
    before = store.read_now(lambda tx: version_of(tx, rid, 1))
    assert now is not None
    assert before is not None
    short = store.read_now(lambda tx: short_former(tx, rid, 1))
    assert short is not None
    assert short.body is not None
    assert (short.kept.version, short.body.open(), short.is_long) == (1, before.body, False)
    assert store.read_now(lambda tx: short_former(tx, rid, 2)) is None
    assert (now.version, now.body, before.body) == (2, b'{"value":1.50,"v":2}', b'{"value":1.50,"v":1}')


def test_a_write_on_a_stale_version_changes_nothing(store: Store) -> None:
    store.write_now(lambda tx: _keep(tx, 1))
    with pytest.raises(resources.StaleVersionError):
        store.write_now(lambda tx: _keep(tx, 1, version=2, expected=0))
    current = store.read_now(lambda tx: resources.current(tx, "Observation", "o1"))
    assert current is not None
    assert current.version == 1


async def test_one_failing_write_of_a_group_takes_nothing_of_the_others_with_it(store: Store) -> None:
    def work(number: int) -> int:
        if number % 3 == 0:
            raise ValueError("ours")
        return number

    def put(tx: Transaction, number: int) -> int:
        node_state.put(tx, f"n{number}", b"x")
        return work(number)

    outcomes = await asyncio.gather(
        *(store.write(lambda tx, number=number: put(tx, number)) for number in range(60)),  # type: ignore[misc]  # bound as a default
        return_exceptions=True,
    )
    assert [isinstance(outcome, ValueError) for outcome in outcomes] == [number % 3 == 0 for number in range(60)]
    kept = [await store.read(lambda tx, number=number: node_state.get(tx, f"n{number}")) for number in range(60)]  # type: ignore[misc]  # bound as a default
    assert [value is None for value in kept] == [number % 3 == 0 for number in range(60)]


def test_change_numbers_and_log_positions_have_no_gaps(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        _keep(tx, 99)
        audit_log.append(tx, [audit_log.NewEntry(b"lost", b"0" * 32)])
        raise ValueError("ours")

    for number in range(5):
        store.write_now(lambda tx, number=number: _keep(tx, number))  # type: ignore[misc]  # bound as a default
        store.write_now(lambda tx: audit_log.append(tx, [audit_log.NewEntry(b"entry", b"1" * 32, [PERSON])]))
        with pytest.raises(ValueError, match="ours"):
            store.write_now(fail)
    numbers = store.read_now(lambda tx: [row.number for row in feed.rows_after(tx, 0, 100)])
    positions = store.read_now(lambda tx: [entry.position for entry in audit_log.entries(tx, 0, 100)])
    assert (numbers, positions) == ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4])


def test_a_commit_tells_what_it_touched_and_numbers_its_changes(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        _keep(tx, 2)
        raise ValueError("ours")

    heard: list[set[str]] = []
    store.on_commit(lambda tables: heard.append(set(tables)))
    store.write_now(lambda tx: _keep(tx, 1))
    with pytest.raises(ValueError, match="ours"):
        store.write_now(fail)
    assert heard[0] >= {"feed", "resources"}
    assert "audit_entries" not in heard[0]
    assert heard[1] == set()
    assert store.read_now(lambda tx: [row.number for row in feed.rows_after(tx, 0, 9)]) == [1]


def test_a_first_pseudonym_releases_and_a_corrected_one_reassigns(store: Store) -> None:
    store.write_now(lambda tx: _keep(tx, 1))
    store.write_now(lambda tx: subjects.assign_pseudonym(tx, 1, Pseudonym("b" * 26)))
    found = store.read_now(lambda tx: feed.rows_after(tx, 0, 100))
    assert [(row.op, row.previous) for row in found] == [
        ("put", None),
        ("reassign", PERSON),
        ("put", None),
    ]


def test_shredding_leaves_no_row_no_token_and_no_key(store: Store) -> None:
    store.write_now(lambda tx: _keep(tx, 1))
    store.write_now(lambda tx: _keep(tx, 1, version=2))
    assert store.write_now(lambda tx: shredding.shred(tx, PERSON)) == 1
    assert store.read_now(lambda tx: tx.execute(history.select()).all()) == []
    assert store.read_now(lambda tx: tx.execute(resources_table.select().where(has_token(tx, [7]))).all()) == []
    assert store.read_now(lambda tx: resources.current(tx, "Observation", "o1")) is None
    assert store.read_now(lambda tx: subjects.by_sids(tx, [1])) == {}


_CHILD = """
import os, sys
from health_exchange.model.clock import SystemClock
from health_exchange.model.secrecy import Secret
from health_exchange.store import node_state
from health_exchange.store.engine import Store, StoreKeys
keys = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
store = Store.open(sys.argv[1], keys, SystemClock(), os.urandom)
number = 0
while True:
    def fn(tx):
        node_state.put(tx, f"a{number}", b"x")
        node_state.put(tx, f"b{number}", b"x")
    store.write_now(fn)
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 20, 77])
def test_nothing_acknowledged_is_lost_and_nothing_is_half_written_by_kill_9(
    new_database: NewDatabase, acknowledged: int
) -> None:
    url = new_database()
    with subprocess.Popen([sys.executable, "-c", _CHILD, url], stdout=subprocess.PIPE, text=True) as child:  # noqa: S603  # our own program
        assert child.stdout is not None
        last = -1
        while last < acknowledged:
            last = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in child.stdout.read().splitlines() if line)])
    store = Store.open(url, KEYS, SystemClock(), os.urandom, inline=True)
    kept = [
        store.read_now(lambda tx, name=f"{part}{number}": node_state.get(tx, name)) is not None  # type: ignore[misc]  # bound as a default
        for number in range(last + 1)
        for part in "ab"
    ]
    halves = [
        store.read_now(lambda tx, name=f"{part}{last + 1}": node_state.get(tx, name)) is not None  # type: ignore[misc]  # bound as a default
        for part in "ab"
    ]
    store.close()
    assert all(kept)
    assert halves[0] == halves[1]

"""What processes count comes to one sum in their database, and what was not committed was not counted."""

import os
import time
from collections.abc import Iterator

import pytest
from tests.store.conftest import KEYS
from tests.store.troubles import SetClock, full_disk

from health_exchange.model.errors import UnavailableError
from health_exchange.store import meters, node_state
from health_exchange.store.engine import Store, Transaction


@pytest.fixture
def other(store: Store, database: str, clock: SetClock) -> Iterator[Store]:
    """The store of another process of the same node."""
    assert store.read_now(meters.kept) == {}
    opened = Store.open(database, KEYS, clock, os.urandom)
    yield opened
    opened.close()


def count_and_keep(tx: Transaction) -> None:
    tx.counted["decisions"] += 1
    node_state.put(tx, "kept", b"x")


def hand_in(store: Store) -> None:
    store.meters.hurry()
    store.write_now(lambda _tx: None)


def test_counts_of_two_processes_are_added_up(store: Store, other: Store) -> None:
    for process, number in ((store, 3), (other, 4)):
        for _write in range(number):
            process.write_now(count_and_keep)
        process.meters.count({"requests": number})
        hand_in(process)

    assert store.read_now(meters.kept)["decisions"] == 7
    assert other.read_now(meters.kept)["requests"] == 7


def test_what_was_not_committed_was_not_counted(store: Store) -> None:
    def fail(tx: Transaction) -> None:
        count_and_keep(tx)
        raise ValueError("ours")

    store.write_now(count_and_keep)
    with pytest.raises(ValueError, match="ours"):
        store.write_now(fail)
    hand_in(store)

    assert store.read_now(meters.kept)["decisions"] == 1


def test_what_a_failed_commit_was_to_hand_in_goes_in_once_with_a_later_one(sqlite_store: Store) -> None:
    store = sqlite_store
    store.meters.count({"requests": 5})
    with full_disk(store):
        store.meters.hurry()
        with pytest.raises(UnavailableError):
            store.write_now(lambda tx: node_state.put(tx, "large", b"x" * 1_000_000))
    for _commit in range(2):
        hand_in(store)

    assert store.read_now(meters.kept)["requests"] == 5


def test_an_idle_process_hands_in_by_itself_and_then_rests(store: Store) -> None:
    store.write_now(count_and_keep)
    deadline = time.monotonic() + 15
    while "decisions" not in store.read_now(meters.kept):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while store.meters.is_waiting:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert store.read_now(meters.kept)["commit_seconds|sum"] > 0


def test_a_store_that_closes_hands_in_what_it_has(store: Store, other: Store) -> None:
    other.write_now(count_and_keep)
    other.close()

    assert store.read_now(meters.kept)["decisions"] == 1

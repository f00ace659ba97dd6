"""Replacing the key at rest: what opens meanwhile, what is wrapped by which key, and that a whole pass proves it."""

from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.federation.network import ManualClock

from health_exchange.crypto.sealing import SealBrokenError, unwrap_key
from health_exchange.model.secrecy import Secret
from health_exchange.store import audit_log, rewrapping, subjects
from health_exchange.store.engine import Store, StoreKeys, Transaction
from health_exchange.store.schema import audit_periods
from health_exchange.store.schema import subjects as subjects_table
from health_exchange.store.transaction import KeyRing

OLD, NEW = Secret(b"o" * 32), Secret(b"n" * 32)
TOKENS = Secret(b"t" * 32)


class Keys:
    """The keys at rest as a file would have them."""

    def __init__(self, *at_rest: Secret) -> None:
        self.at_rest = at_rest

    def now(self) -> tuple[Secret, ...]:
        return self.at_rest


@pytest.fixture
def keys() -> Keys:
    return Keys(OLD)


@pytest.fixture
def store(tmp_path: Path, keys: Keys) -> Store:
    return open_store(tmp_path, keys)


def open_store(folder: Path, keys: Keys) -> Store:
    store_keys = StoreKeys(at_rest=keys.at_rest[0], tokens=TOKENS, at_rest_now=keys.now)
    return Store.open(f"sqlite:///{folder}/db.sqlite", store_keys, ManualClock(), Random(1).randbytes, inline=True)


def make(store: Store, *numbers: int) -> None:
    def write(tx: Transaction) -> None:
        for number in numbers:
            subjects.find_or_make_subject(tx, anchor=f"Patient/{number}")
            audit_log.append(tx, [audit_log.NewEntry(b"entry", bytes(32))])

    store.write_now(write)


def opened(store: Store) -> dict[str, Secret]:
    """Every subject's key by its anchor, as the store opens it."""
    anchors = store.read_now(
        lambda tx: [row.anchor for row in tx.execute(subjects_table.select().order_by(subjects_table.c.sid))]
    )
    found = {anchor: store.read_now(partial(subjects.by_anchor, anchor=anchor)) for anchor in anchors}
    return {anchor: subject.key for anchor, subject in found.items() if subject is not None}


def wrapped_by(store: Store, key: Secret) -> int:
    """How many keys of subjects and months open by ``key`` alone."""

    def count(tx: Transaction) -> int:
        rows = [row.key_wrapped for table in (subjects_table, audit_periods) for row in tx.execute(table.select())]
        return sum(1 for wrapped in rows if wrapped is not None and opens(key, wrapped))

    return store.read_now(count)


def opens(key: Secret, wrapped: bytes) -> bool:
    try:
        unwrap_key(key, wrapped)
    except SealBrokenError:
        return False
    return True


def whole_pass(store: Store, count: int = 2) -> int:
    """How many keys a pass to the end wraps anew."""
    changed = 0
    while (done := store.write_now(lambda tx: rewrapping.step(tx, count))).looked:
        changed += done.changed
    store.write_now(rewrapping.wrap_periods)
    return changed


def test_a_pass_wraps_every_key_anew_and_a_second_one_finds_nothing(store: Store, keys: Keys) -> None:
    make(store, *range(5))
    before = opened(store)
    keys.at_rest = (NEW, OLD)

    assert whole_pass(store) == 5
    assert whole_pass(store) == 0
    assert (wrapped_by(store, NEW), wrapped_by(store, OLD)) == (6, 0)
    assert opened(store) == before


def test_meanwhile_everything_opens_and_what_is_new_is_wrapped_by_the_new_key(store: Store, keys: Keys) -> None:
    make(store, *range(4))
    keys.at_rest = (NEW, OLD)
    store.write_now(lambda tx: rewrapping.step(tx, 2))
    make(store, 4)

    assert len(opened(store)) == 5
    assert (wrapped_by(store, NEW), wrapped_by(store, OLD)) == (3, 3)


def test_another_process_that_knew_only_the_old_key_learns_of_the_new_one_where_it_needs_it(
    tmp_path: Path, store: Store, keys: Keys
) -> None:
    make(store, 1)
    other_keys = Keys(OLD)
    other = open_store(tmp_path, other_keys)
    assert len(opened(other)) == 1
    keys.at_rest = other_keys.at_rest = (NEW, OLD)
    whole_pass(store)

    assert len(opened(other)) == 1
    make(other, 2)
    assert wrapped_by(other, OLD) == 0
    other.close()


def test_who_goes_on_begins_where_the_last_step_ended(tmp_path: Path, store: Store, keys: Keys) -> None:
    make(store, *range(6))
    keys.at_rest = (NEW, OLD)
    store.write_now(lambda tx: rewrapping.step(tx, 4))
    store.close()

    again = open_store(tmp_path, keys)

    assert again.read_now(rewrapping.count_left) == 2
    assert (whole_pass(again), whole_pass(again)) == (2, 0)
    again.close()


def test_destroyed_keys_stay_destroyed(store: Store, keys: Keys) -> None:
    make(store, 1, 2)
    store.write_now(lambda tx: tx.execute(subjects_table.update().values(key_wrapped=None)))
    keys.at_rest = (NEW, OLD)

    assert whole_pass(store) == 0
    assert wrapped_by(store, NEW) == 1


def test_a_key_wrapped_by_neither_is_still_a_broken_seal() -> None:
    ring = KeyRing(StoreKeys(at_rest=OLD, tokens=TOKENS, at_rest_now=lambda: (NEW, OLD)))
    stranger = KeyRing(StoreKeys(at_rest=Secret(b"x" * 32), tokens=TOKENS))

    with pytest.raises(SealBrokenError):
        ring.unwrap(stranger.wrap(Secret(bytes(32))))


def test_what_a_reader_saw_before_the_old_key_left_still_opens(keys: Keys) -> None:
    ring = KeyRing(StoreKeys(at_rest=OLD, tokens=TOKENS, at_rest_now=keys.now))
    wrapped = ring.wrap(Secret(bytes(32)))
    for later in ((NEW, OLD), (NEW,)):
        keys.at_rest = later
        ring.wrap(Secret(bytes(32)))

    assert ring.unwrap(wrapped) == Secret(bytes(32))

"""A key is used once, by one, until it would have expired anyway."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

from tests.store.troubles import SetClock, check_all_or_nothing_on_a_full_disk, check_all_or_nothing_while_locked

from health_exchange.store import replays
from health_exchange.store.engine import Store, Transaction

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BEIJING = timezone(timedelta(hours=8))


def spend(store: Store, key: str, *, kind: str = "token", expires_at: datetime = NOON + SECOND) -> bool:
    return store.write_now(lambda tx: replays.spend(tx, kind, key, expires_at))


def test_a_key_is_used_once(store: Store) -> None:
    assert [spend(store, "a"), spend(store, "a"), spend(store, "b")] == [True, False, True]


def test_kinds_do_not_share_keys(store: Store) -> None:
    assert [spend(store, "a", kind=kind) for kind in ("token", "nonce", "token")] == [True, True, False]


def test_a_second_use_does_not_prolong_the_first(store: Store, clock: SetClock) -> None:
    spend(store, "a")
    spend(store, "a", expires_at=NOON + 100 * SECOND)
    clock.at = NOON + 2 * SECOND
    assert store.write_now(replays.forget_expired) == 1


def test_a_use_that_failed_later_in_its_transaction_is_none(store: Store) -> None:
    def write(tx: Transaction) -> None:
        assert replays.spend(tx, "token", "a", NOON)
        raise LookupError

    try:
        store.write_now(write)
    except LookupError:
        assert spend(store, "a")
    else:
        raise AssertionError


async def test_of_many_who_use_a_key_at_once_one_succeeds(store: Store) -> None:
    won = await asyncio.gather(
        *(store.write(lambda tx: replays.spend(tx, "token", "a", NOON + SECOND)) for _ in range(50))
    )
    assert sorted(won) == [False] * 49 + [True]


def test_what_expired_is_forgotten_and_what_has_not_is_still_used_up(store: Store, clock: SetClock) -> None:
    spend(store, "past", expires_at=NOON - timedelta(microseconds=1))
    spend(store, "now", expires_at=NOON)
    spend(store, "later", expires_at=NOON + timedelta(microseconds=1))
    assert store.write_now(replays.forget_expired) == 1
    assert [spend(store, key) for key in ("past", "now", "later")] == [True, False, False]
    clock.at = NOON + timedelta(microseconds=2)
    assert store.write_now(replays.forget_expired) == 2


def test_expiry_is_compared_as_an_instant_whatever_its_zone(store: Store) -> None:
    spend(store, "past", expires_at=(NOON - SECOND).astimezone(BEIJING))
    spend(store, "later", expires_at=(NOON + SECOND).astimezone(BEIJING))
    assert store.write_now(replays.forget_expired) == 1
    assert [spend(store, key) for key in ("past", "later")] == [True, False]


def test_a_locked_database_uses_no_key_up(store: Store, database: str) -> None:
    check_all_or_nothing_while_locked(store, database, lambda tx: replays.spend(tx, "token", "a", NOON))


def test_a_full_disk_uses_no_key_up(sqlite_store: Store) -> None:
    def write(tx: Transaction) -> None:
        for number in range(2000):
            assert replays.spend(tx, "token", f"{number:040}", NOON)

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)

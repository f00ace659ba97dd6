"""A request that comes again gets the answer of then; of two at once one is carried out."""

import asyncio
from datetime import timedelta
from functools import partial
from random import Random

import msgspec
import pytest
from sqlalchemy import func, insert, select
from tests.store.troubles import (
    SECRET,
    SetClock,
    check_all_or_nothing_on_a_full_disk,
    check_all_or_nothing_while_locked,
    contents,
)

from health_exchange.store import answered
from health_exchange.store.answered import KeptAnswer
from health_exchange.store.database import WriteConflictError
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.schema import answered as answers


def test_an_answer_comes_back_under_its_key_only(store: Store) -> None:
    store.write_now(lambda tx: answered.keep(tx, "r1", b"d" * 32, b"answer"))
    assert store.read_now(lambda tx: answered.answer_of(tx, "r1")) == KeptAnswer(digest=b"d" * 32, body=b"answer")
    assert store.read_now(lambda tx: answered.answer_of(tx, "r2")) is None


def test_an_empty_answer_is_an_answer(store: Store) -> None:
    store.write_now(lambda tx: answered.keep(tx, "r1", b"d" * 32, b""))
    assert store.read_now(lambda tx: answered.answer_of(tx, "r1")) == KeptAnswer(digest=b"d" * 32, body=b"")


def test_an_answer_about_many_is_kept_in_little_room_and_comes_back_whole(store: Store) -> None:
    body = msgspec.msgpack.encode([{"status": 201, "type": "Observation", "id": f"{each:036x}"} for each in range(500)])
    store.write_now(lambda tx: answered.keep(tx, "r1", b"d" * 32, body))
    assert store.read_now(lambda tx: answered.answer_of(tx, "r1")) == KeptAnswer(digest=b"d" * 32, body=body)
    assert store.read_now(lambda tx: answered.mentioning(tx, lambda kept: kept == body)) == ["r1"]
    assert store.read_now(lambda tx: tx.execute(select(func.length(answers.c.body))).scalar_one()) < len(body) / 5


def test_an_answer_that_was_kept_as_it_is_comes_back(store: Store, clock: SetClock) -> None:
    row = {"key": "r1", "digest": b"d" * 32, "body": b"\x90", "kept_at": clock.at.isoformat()}
    store.write_now(lambda tx: tx.execute(insert(answers).values(row)))
    assert store.read_now(lambda tx: answered.answer_of(tx, "r1")) == KeptAnswer(digest=b"d" * 32, body=b"\x90")


def test_the_slower_of_two_requests_fails_with_all_it_did(store: Store) -> None:
    def slower(tx: Transaction) -> None:
        answered.keep(tx, "r2", b"e" * 32, b"before")
        answered.keep(tx, "r1", b"e" * 32, SECRET)

    store.write_now(lambda tx: answered.keep(tx, "r1", b"d" * 32, b"faster"))
    before = contents(store)
    with pytest.raises(WriteConflictError) as refusal:
        store.write_now(slower)
    assert refusal.value.retry_after_s is not None
    assert SECRET.decode() not in repr(refusal.value)
    assert contents(store) == before


async def test_of_many_equal_requests_at_once_one_is_kept(store: Store) -> None:
    def keep(tx: Transaction, number: int) -> None:
        answered.keep(tx, "r", b"d" * 32, b"%d" % number)

    outcomes = await asyncio.gather(
        *(store.write(partial(keep, number=number)) for number in range(20)), return_exceptions=True
    )
    (winner,) = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert sum(isinstance(outcome, WriteConflictError) for outcome in outcomes) == 19
    kept = store.read_now(lambda tx: answered.answer_of(tx, "r"))
    assert kept == KeptAnswer(digest=b"d" * 32, body=b"%d" % winner)


def test_old_answers_are_forgotten_and_their_keys_are_free(store: Store, clock: SetClock) -> None:
    noon = clock.at
    for key, seconds in (("old", 0), ("half", 0.5), ("new", 1)):
        clock.at = noon + timedelta(seconds=seconds)
        store.write_now(lambda tx, key=key: answered.keep(tx, key, b"d" * 32, b"x"))  # type: ignore[misc]  # bound as a default
    assert store.write_now(lambda tx: answered.forget_before(tx, noon.isoformat())) == 0
    assert store.write_now(lambda tx: answered.forget_before(tx, clock.at.isoformat())) == 2
    assert store.read_now(lambda tx: [answered.answer_of(tx, key) is None for key in ("old", "half", "new")]) == [
        True,
        True,
        False,
    ]
    store.write_now(lambda tx: answered.keep(tx, "old", b"d" * 32, b"again"))


def test_a_locked_database_keeps_no_answer(store: Store, database: str) -> None:
    check_all_or_nothing_while_locked(store, database, lambda tx: answered.keep(tx, "r", b"d" * 32, SECRET))


def test_a_full_disk_keeps_no_answer(sqlite_store: Store) -> None:
    def write(tx: Transaction) -> None:
        answered.keep(tx, "r1", b"d" * 32, b"small")
        # What comes again and again would be kept in little room.
        answered.keep(tx, "r2", b"d" * 32, SECRET + Random(1).randbytes(2_000_000))

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)

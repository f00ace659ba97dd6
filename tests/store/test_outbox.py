"""Envelopes leave in order, and their bytes stay until the next hop has them and every recipient has signed."""

import asyncio
import time
from itertools import permutations

import pytest
from tests.store.troubles import (
    SECRET,
    check_all_or_nothing_on_a_full_disk,
    check_all_or_nothing_while_locked,
    contents,
    full_disk,
    locked_by_another,
)

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError
from health_exchange.model.identifiers import StreamId
from health_exchange.store import outbox
from health_exchange.store.database import WriteConflictError
from health_exchange.store.engine import Store, Transaction

OURS, OTHER = StreamId("0" * 32), StreamId("1" * 32)
CITY, PROVINCE = NodeAddress.parse("cn/33/3305"), NodeAddress.parse("cn/33")
RAW = SECRET * 3


def enqueue(
    tx: Transaction,
    sequence: int,
    *,
    stream: StreamId = OURS,
    raw: bytes = RAW,
    recipients: tuple[NodeAddress, ...] = (),
) -> None:
    outbox.enqueue(tx, raw=raw, stream=stream, sequence=sequence, digest=b"%032d" % sequence, recipients=recipients)


def sign(tx: Transaction, recipient: NodeAddress, raw: bytes = b"receipt") -> bool:
    return outbox.record_receipt(tx, OURS, 1, recipient, outcome="accepted", code="", raw=raw)


def test_envelopes_wait_in_the_order_of_arrival_with_all_that_was_given(store: Store) -> None:
    def fill(tx: Transaction) -> None:
        enqueue(tx, 2, stream=OTHER)
        enqueue(tx, 1)
        enqueue(tx, 3, stream=OTHER)

    store.write_now(fill)
    waiting = store.read_now(lambda tx: outbox.undelivered(tx, 10))
    assert [(one.stream, one.sequence, one.position) for one in waiting] == [(OTHER, 2, 1), (OURS, 1, 2), (OTHER, 3, 3)]
    assert (waiting[1].raw, waiting[1].digest) == (RAW, b"%032d" % 1)
    assert store.read_now(lambda tx: outbox.undelivered(tx, 2)) == waiting[:2]
    assert store.read_now(outbox.undelivered_count) == 3


def test_a_delivered_envelope_waits_no_more_and_the_others_keep_their_order(store: Store) -> None:
    for sequence in (1, 2, 3):
        store.write_now(lambda tx, sequence=sequence: enqueue(tx, sequence))  # type: ignore[misc]  # bound as a default
    store.write_now(lambda tx: outbox.mark_delivered(tx, OURS, 2))
    assert [one.sequence for one in store.read_now(lambda tx: outbox.undelivered(tx, 10))] == [1, 3]
    assert store.read_now(outbox.undelivered_count) == 2


def test_a_relays_bytes_go_at_once(store: Store) -> None:
    store.write_now(lambda tx: enqueue(tx, 1))
    assert store.read_now(outbox.kept_envelopes) == [(OURS, 1, RAW)]
    store.write_now(lambda tx: outbox.mark_delivered(tx, OURS, 1))
    assert store.read_now(outbox.kept_envelopes) == []


@pytest.mark.parametrize("order", list(permutations(("delivery", CITY, PROVINCE))))
def test_the_origins_bytes_stay_until_the_last_of_delivery_and_receipts(
    store: Store, order: tuple[str | NodeAddress, ...]
) -> None:
    store.write_now(lambda tx: enqueue(tx, 1, recipients=(CITY, PROVINCE)))
    for step in order:
        assert store.read_now(outbox.kept_envelopes) == [(OURS, 1, RAW)]
        if isinstance(step, NodeAddress):
            assert store.write_now(lambda tx, step=step: sign(tx, step))  # type: ignore[misc]  # bound as a default
        else:
            store.write_now(lambda tx: outbox.mark_delivered(tx, OURS, 1))
    assert store.read_now(outbox.kept_envelopes) == []
    assert store.read_now(outbox.undelivered_count) == 0


def test_receipts_are_awaited_until_they_come(store: Store) -> None:
    assert not store.read_now(outbox.awaits_receipts)
    store.write_now(lambda tx: enqueue(tx, 1, recipients=(CITY, PROVINCE)))
    assert store.read_now(outbox.awaited_counts) == {str(CITY): 1, str(PROVINCE): 1}
    store.write_now(lambda tx: sign(tx, CITY))
    assert store.read_now(outbox.awaited_counts) == {str(PROVINCE): 1}
    assert store.read_now(outbox.awaits_receipts)
    store.write_now(lambda tx: sign(tx, PROVINCE))
    assert not store.read_now(outbox.awaits_receipts)


def test_a_second_receipt_and_one_that_nobody_awaits_change_nothing(store: Store) -> None:
    store.write_now(lambda tx: enqueue(tx, 1, recipients=(CITY,)))
    assert store.write_now(lambda tx: sign(tx, CITY))
    before = contents(store)
    assert not store.write_now(lambda tx: sign(tx, CITY, b"another"))
    assert not store.write_now(lambda tx: sign(tx, PROVINCE))
    assert contents(store) == before


def test_a_place_of_a_stream_is_taken_once(store: Store) -> None:
    store.write_now(lambda tx: enqueue(tx, 1))
    before = contents(store)
    with pytest.raises(WriteConflictError) as refusal:
        store.write_now(lambda tx: enqueue(tx, 1, raw=SECRET, recipients=(CITY,)))
    assert SECRET.decode() not in repr(refusal.value)
    assert contents(store) == before


def test_a_locked_database_takes_no_envelope(store: Store, database: str) -> None:
    check_all_or_nothing_while_locked(store, database, lambda tx: enqueue(tx, 1, recipients=(CITY,)))


@pytest.mark.slow
def test_the_store_waits_five_seconds_for_a_lock_and_reads_meanwhile(store: Store, database: str) -> None:
    store.write_now(lambda tx: enqueue(tx, 1))
    started_s = time.monotonic()
    with locked_by_another(database):
        assert store.read_now(outbox.undelivered_count) == 1
        with pytest.raises(UnavailableError):
            store.write_now(lambda tx: enqueue(tx, 2))
    assert 4.5 < time.monotonic() - started_s < 30
    assert store.read_now(outbox.undelivered_count) == 1


def test_a_full_disk_takes_no_part_of_an_envelope(sqlite_store: Store) -> None:
    def write(tx: Transaction) -> None:
        enqueue(tx, 1, recipients=(CITY, PROVINCE))
        enqueue(tx, 2, raw=SECRET * 100_000, recipients=(CITY, PROVINCE))

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)


async def test_nobody_of_a_group_is_told_that_a_full_disk_kept_what_it_did_not(sqlite_store: Store) -> None:
    def write(tx: Transaction, sequence: int) -> int:
        enqueue(tx, sequence, raw=SECRET * 20_000 if sequence == 30 else RAW)
        return sequence

    with full_disk(sqlite_store):
        outcomes = await asyncio.gather(
            *(sqlite_store.write(lambda tx, number=number: write(tx, number)) for number in range(1, 61)),  # type: ignore[misc]  # bound as a default
            return_exceptions=True,
        )
    told = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert [sequence for _stream, sequence, _raw in sqlite_store.read_now(outbox.kept_envelopes)] == told
    assert isinstance(outcomes[29], UnavailableError)
    assert all(isinstance(outcome, int | UnavailableError) for outcome in outcomes)

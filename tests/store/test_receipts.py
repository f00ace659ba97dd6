"""Receipts for those below: kept once, found by place, fetched in the order of arrival."""

from datetime import UTC, datetime
from random import Random

import pytest
from tests.store.troubles import (
    SECRET,
    check_all_or_nothing_on_a_full_disk,
    check_all_or_nothing_while_locked,
    contents,
)

from health_exchange.crypto.signatures import SigningKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.receipts import Receipt, sign_receipt
from health_exchange.store import receipts
from health_exchange.store.engine import Store, Transaction

STREAM = StreamId("0" * 32)
NATION, PROVINCE = NodeAddress.parse("cn"), NodeAddress.parse("cn/33")
CITY, COUNTY = NodeAddress.parse("cn/33/3305"), NodeAddress.parse("cn/33/3305/330521")


def add(
    tx: Transaction,
    sequence: int,
    *,
    recipient: NodeAddress = NATION,
    origin: NodeAddress = COUNTY,
    raw: bytes = SECRET,
) -> bool:
    return receipts.add_receipt(tx, stream=STREAM, sequence=sequence, recipient=recipient, origin=origin, raw=raw)


def test_a_receipt_is_found_by_stream_place_and_recipient(store: Store) -> None:
    assert store.write_now(lambda tx: add(tx, 1, raw=b"nation"))
    assert store.write_now(lambda tx: add(tx, 1, recipient=PROVINCE, raw=b"province"))
    assert store.read_now(lambda tx: receipts.receipt_of(tx, STREAM, 1, NATION)) == b"nation"
    assert store.read_now(lambda tx: receipts.receipt_of(tx, STREAM, 1, PROVINCE)) == b"province"
    assert store.read_now(lambda tx: receipts.receipt_of(tx, STREAM, 2, NATION)) is None
    assert store.read_now(lambda tx: receipts.receipt_of(tx, StreamId("1" * 32), 1, NATION)) is None


def test_the_first_receipt_of_a_recipient_for_a_place_stays(store: Store) -> None:
    store.write_now(lambda tx: add(tx, 1, raw=b"first"))
    before = contents(store)
    assert not store.write_now(lambda tx: add(tx, 1, raw=b"second"))
    assert contents(store) == before


def test_the_digest_is_the_one_that_was_signed(store: Store) -> None:
    receipt = Receipt(
        stream=STREAM,
        sequence=1,
        digest=b"d" * 32,
        recipient=NATION,
        outcome="accepted",
        code="",
        checkpoint="",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    signed = sign_receipt(receipt, SigningKeys.generate(Random(4).randbytes))
    store.write_now(lambda tx: add(tx, 1, raw=signed))
    assert store.read_now(lambda tx: receipts.digest_of(tx, STREAM, 1, NATION)) == b"d" * 32
    assert store.read_now(lambda tx: receipts.digest_of(tx, STREAM, 2, NATION)) is None


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (COUNTY, [1]),
        (CITY, [1, 2]),
        (PROVINCE, [1, 2, 4]),
        (NATION, [1, 2, 3, 4]),
        (NodeAddress.parse("cn/330"), [3]),
        (NodeAddress.parse("cn/33/3306"), []),
    ],
)
def test_a_node_fetches_receipts_of_its_own_and_of_those_below_it(
    store: Store, below: NodeAddress, expected: list[int]
) -> None:
    for sequence, origin in enumerate([COUNTY, CITY, NodeAddress.parse("cn/330/3305"), PROVINCE], start=1):
        store.write_now(lambda tx, sequence=sequence, origin=origin: add(tx, sequence, origin=origin))  # type: ignore[misc]  # bound as defaults
    found = store.read_now(lambda tx: receipts.receipts_after(tx, 0, below))
    assert [receipt.sequence for receipt in found] == expected


def test_fetching_goes_on_after_the_position_reached_and_takes_no_more_than_asked(store: Store) -> None:
    for sequence in (5, 3, 4, 1):
        store.write_now(lambda tx, sequence=sequence: add(tx, sequence))  # type: ignore[misc]  # bound as a default
    seen: list[int] = []
    position = 0
    while batch := store.read_now(lambda tx, after=position: receipts.receipts_after(tx, after, CITY, limit=3)):  # type: ignore[misc]  # bound as a default
        assert len(batch) <= 3
        seen += [receipt.sequence for receipt in batch]
        position = batch[-1].position
    assert seen == [5, 3, 4, 1]


def test_a_locked_database_takes_no_receipt(store: Store, database: str) -> None:
    check_all_or_nothing_while_locked(store, database, lambda tx: add(tx, 1))


def test_a_full_disk_takes_no_part_of_the_receipts(sqlite_store: Store) -> None:
    def write(tx: Transaction) -> None:
        add(tx, 1)
        add(tx, 2, raw=SECRET * 100_000)

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)

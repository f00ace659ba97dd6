"""Each stream has one head and one origin; a refused place is noted once."""

import pytest
from tests.store.troubles import (
    SetClock,
    check_all_or_nothing_on_a_full_disk,
    check_all_or_nothing_while_locked,
    contents,
)

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.streams import StreamHead
from health_exchange.store import streams
from health_exchange.store.database import WriteConflictError
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.schema import refused

FIRST, SECOND = StreamId("0" * 32), StreamId("1" * 32)
COUNTY, OTHER = NodeAddress.parse("cn/33/3305/330521"), NodeAddress.parse("cn/33/3305/330522")


def advance(tx: Transaction, sequence: int, *, stream: StreamId = FIRST, origin: NodeAddress = COUNTY) -> None:
    streams.advance(tx, stream, origin, sequence, b"%032d" % sequence)


def test_a_stream_has_no_head_and_no_origin_before_its_first_envelope(store: Store) -> None:
    assert store.read_now(lambda tx: streams.head(tx, FIRST)) is None
    assert store.read_now(lambda tx: streams.origin_of(tx, FIRST)) is None
    assert store.read_now(streams.heads) == []


def test_a_head_moves_and_other_streams_do_not(store: Store) -> None:
    store.write_now(lambda tx: advance(tx, 1))
    store.write_now(lambda tx: advance(tx, 9, stream=SECOND, origin=OTHER))
    store.write_now(lambda tx: advance(tx, 2))
    first = StreamHead(stream=FIRST, sequence=2, digest=b"%032d" % 2)
    second = StreamHead(stream=SECOND, sequence=9, digest=b"%032d" % 9)
    assert store.read_now(lambda tx: streams.head(tx, FIRST)) == first
    assert store.read_now(streams.heads) == [first, second]
    assert store.read_now(lambda tx: streams.origin_of(tx, SECOND)) == OTHER


def test_a_streams_origin_is_that_of_its_first_envelope(store: Store) -> None:
    store.write_now(lambda tx: advance(tx, 1))
    store.write_now(lambda tx: advance(tx, 2, origin=OTHER))
    assert store.read_now(lambda tx: streams.origin_of(tx, FIRST)) == COUNTY


def test_refused_places_are_told_by_stream_and_place_with_code_and_instant(store: Store, clock: SetClock) -> None:
    for stream, sequence, code in ((SECOND, 1, "poison"), (FIRST, 7, "too-large"), (FIRST, 2, "poison")):
        store.write_now(lambda tx, row=(stream, sequence, code): streams.refuse(tx, *row))  # type: ignore[misc]  # bound as a default
    assert store.read_now(streams.refusals) == [(FIRST, 2, "poison"), (FIRST, 7, "too-large"), (SECOND, 1, "poison")]
    instants = store.read_now(lambda tx: set(tx.execute(refused.select()).scalars("refused_at")))
    assert instants == {clock.at.isoformat()}


def test_a_place_is_refused_once_and_the_head_does_not_move_with_a_failed_refusal(store: Store) -> None:
    def write(tx: Transaction) -> None:
        advance(tx, 2)
        streams.refuse(tx, FIRST, 1, "another")

    store.write_now(lambda tx: streams.refuse(tx, FIRST, 1, "poison"))
    before = contents(store)
    with pytest.raises(WriteConflictError):
        store.write_now(write)
    assert contents(store) == before


def test_a_locked_database_moves_no_head(store: Store, database: str) -> None:
    store.write_now(lambda tx: advance(tx, 1))
    check_all_or_nothing_while_locked(store, database, lambda tx: advance(tx, 2))


def test_a_full_disk_moves_no_head(sqlite_store: Store) -> None:
    sqlite_store.write_now(lambda tx: advance(tx, 1))

    def write(tx: Transaction) -> None:
        advance(tx, 2)
        for number in range(2000):
            advance(tx, 1, stream=StreamId(f"{number:032x}"), origin=OTHER)
            streams.refuse(tx, StreamId(f"{number:032x}"), 1, "poison")

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)

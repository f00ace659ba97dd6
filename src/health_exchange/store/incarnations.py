"""The lives of a node's database: the first, and one more for every restore.

A restored database has forgotten what it did last, so it may not go on under the names it did that by. What others
count it by begins anew: its stream, the name of its log, the numbers of versions and of receipts. One number serves
all of these, the second at which the life began, because nothing that was lost can have counted that far.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from health_exchange.model.identifiers import StreamId
from health_exchange.store import audit_log, node_state, streams
from health_exchange.store.schema import sequences
from health_exchange.store.transaction import Transaction

FIRST = 0
_NUMBER, _LIVES, _REJOIN, _LATE = "incarnation", "incarnations", "rejoin", "rejoin-late"
STREAM_BYTES = 16
LOADING = "loading"
"""Node state that keeps a node from starting on a database whose restore was broken off."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One incarnation: its number, and the position of its first entry in the log."""

    number: int
    first_entry: int


class Rejoining(msgspec.Struct, frozen=True, kw_only=True):
    """What a restored node must make good before it may start.

    Attributes:
        earlier: Number of the incarnation that was lost.
        stream: Its stream.
        sequence: The stream's last envelope in the backup.
        entries: Entries of the log in the backup.
        taken_at: When the backup was taken.
        missing: Who did not answer when the node rejoined, and is still to be asked.
    """

    earlier: int
    stream: StreamId
    sequence: int
    entries: int
    taken_at: str
    missing: list[str] = []


def current(tx: Transaction) -> int:
    """This incarnation's number; 0 for the first."""
    return int(node_state.get(tx, _NUMBER) or b"0")


def lives(tx: Transaction) -> list[Life]:
    """Every incarnation, in order."""
    kept = node_state.get(tx, _LIVES)
    return msgspec.json.decode(kept, type=list[Life]) if kept else [Life(number=FIRST, first_entry=0)]


def rejoining(tx: Transaction) -> Rejoining | None:
    """What is still to be made good; ``None`` for a node that may start."""
    kept = node_state.get(tx, _REJOIN)
    return msgspec.json.decode(kept, type=Rejoining) if kept else None


def late(tx: Transaction) -> Rejoining | None:
    """The same for a node at work of which somebody has not been asked yet; ``None`` where everybody was."""
    kept = node_state.get(tx, _LATE)
    return msgspec.json.decode(kept, type=Rejoining) if kept else None


def rejoined(tx: Transaction, before: Rejoining, missing: Iterable[str]) -> None:
    """Note that it was made good, but for what the missing know."""
    left = msgspec.structs.replace(before, missing=sorted(missing))
    node_state.put(tx, _REJOIN, b"")
    node_state.put(tx, _LATE, msgspec.json.encode(left) if left.missing else b"")


def begin(tx: Transaction, taken_at: datetime) -> Rejoining:
    """Begin a new incarnation of a database that was just restored; what it must make good.

    Args:
        tx: The transaction; every entry of the log has its position.
        taken_at: When its backup was taken.
    """
    known, entries = lives(tx), audit_log.size(tx)
    number = max(int(tx.clock.now().timestamp()), known[-1].number + 1)
    stream = node_state.own_stream(tx)
    head = streams.head(tx, stream)
    before = Rejoining(
        earlier=known[-1].number,
        stream=stream,
        sequence=head.sequence if head else 0,
        entries=entries,
        taken_at=taken_at.isoformat(),
    )
    node_state.put(tx, "stream", tx.randomness(STREAM_BYTES).hex().encode())
    node_state.put(tx, _NUMBER, b"%d" % number)
    node_state.put(tx, _LIVES, msgspec.json.encode([*known, Life(number=number, first_entry=entries)]))
    node_state.put(tx, _REJOIN, msgspec.json.encode(before))
    # Those below count receipts by the positions they were given; positions that were lost are not given again.
    tx.execute(sequences.delete().where(sequences.c.name == "receipts"))
    tx.insert_many(sequences, [("receipts", number)])
    return before

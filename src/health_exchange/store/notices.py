"""Which envelope told those above that a person's consent has changed, or that the person is to be forgotten.

Their receipts for that envelope prove that they were told; ``store.outbox`` keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, StreamId
from health_exchange.store.schema import notices, outbox_receipts
from health_exchange.store.transaction import Transaction

Kind = Literal["consent", "shred"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Where one recipient of a notice stands.

    Attributes:
        node: The recipient.
        outcome: ``accepted``, ``refused``, or empty while it has not signed.
        raw: Its signed receipt; ``None`` while it has not signed.
    """

    node: NodeAddress
    outcome: str
    raw: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One envelope that told something about a person.

    Attributes:
        stream: Its stream.
        sequence: Its place there.
        entries: How many entries in it take something back.
        sealed_at: When it was sealed.
        signatures: Each recipient, in order of address.
    """

    stream: StreamId
    sequence: int
    entries: int
    sealed_at: str
    signatures: tuple[Signature, ...]


def add(tx: Transaction, kind: Kind, stream: StreamId, sequence: int, entries: Mapping[Pseudonym, int]) -> None:
    """Note that an envelope tells of ``kind`` about each person, taking back so many entries."""
    now = tx.clock.now().isoformat()
    rows = [(pseudonym, kind, stream, sequence, count, now) for pseudonym, count in sorted(entries.items())]
    tx.insert_many(notices, rows)


def about(tx: Transaction, kind: Kind, pseudonym: Pseudonym, limit: int = 100) -> list[Notice]:
    """What told of ``kind`` about a person, the latest first."""
    rows = tx.execute(
        select(notices)
        .where(notices.c.pseudonym == pseudonym, notices.c.kind == kind)
        .order_by(notices.c.sealed_at.desc(), notices.c.sequence.desc())
        .limit(limit)
    )
    return [
        Notice(
            stream=row.stream,
            sequence=row.sequence,
            entries=row.entries,
            sealed_at=row.sealed_at,
            signatures=_signatures(tx, row.stream, row.sequence),
        )
        for row in rows
    ]


def _signatures(tx: Transaction, stream: StreamId, sequence: int) -> tuple[Signature, ...]:
    """The recipients of an envelope and what they have signed."""
    rows = tx.execute(
        select(outbox_receipts)
        .where(outbox_receipts.c.stream == stream, outbox_receipts.c.sequence == sequence)
        .order_by(outbox_receipts.c.recipient)
    )
    return tuple(
        Signature(node=NodeAddress.parse(row.recipient), outcome=row.outcome or "", raw=row.raw) for row in rows
    )

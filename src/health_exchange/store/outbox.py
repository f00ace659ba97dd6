"""Envelopes on their way up: the sealed bytes, kept until the next hop has them and every recipient has signed.

Delivery is in the order of arrival, so each stream stays in order; the bytes sent are always the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.store.schema import outbox, outbox_receipts
from health_exchange.store.transaction import Transaction

_UNDELIVERED = (
    select(outbox)
    .where(outbox.c.delivered.is_(False), outbox.c.stream.not_in(bindparam("without", expanding=True)))
    .order_by(outbox.c.position)
    .limit(bindparam("limit"))
)
_THIS = (outbox.c.stream == bindparam("of")) & (outbox.c.sequence == bindparam("at"))
_DIGEST = select(outbox.c.digest).where(_THIS)
_DELIVERED = update(outbox).where(_THIS).values(delivered=True)
_ITS_RECEIPTS = (outbox_receipts.c.stream == bindparam("of")) & (outbox_receipts.c.sequence == bindparam("at"))
_SIGNED = (
    update(outbox_receipts)
    .where(_ITS_RECEIPTS, outbox_receipts.c.recipient == bindparam("by"), outbox_receipts.c.raw.is_(None))
    .values(outcome=bindparam("said"), code=bindparam("why"), raw=bindparam("signed"))
)
_OPEN = select(outbox_receipts.c.stream).where(
    _ITS_RECEIPTS, outbox_receipts.c.raw.is_(None) | (outbox_receipts.c.outcome == "refused")
)
_LET_GO = update(outbox).where(_THIS, outbox.c.delivered.is_(True), ~_OPEN.exists()).values(raw=None)
_AWAITED_BY = (
    select(outbox_receipts.c.recipient, func.count().label("number"))
    .where(outbox_receipts.c.raw.is_(None))
    .group_by(outbox_receipts.c.recipient)
)
_OLDEST = select(outbox.c.queued_at).where(outbox.c.delivered.is_(False)).order_by(outbox.c.position).limit(1)
_AWAITED = select(outbox_receipts.c.stream).where(outbox_receipts.c.raw.is_(None)).limit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEnvelope:
    """One envelope to send."""

    position: int
    stream: StreamId
    sequence: int
    digest: bytes
    raw: bytes


def enqueue(  # the parts of one row
    tx: Transaction,
    *,
    raw: bytes,
    stream: StreamId,
    sequence: int,
    digest: bytes,
    recipients: Iterable[NodeAddress] = (),
    sent_up_to: int | None = None,
) -> None:
    """Keep an envelope for the next hop.

    Args:
        tx: The transaction.
        raw: The envelope.
        stream: Its stream.
        sequence: Its place there.
        digest: Of its core.
        recipients: Those whose receipts are awaited.
        sent_up_to: Number of the last change of our feed that it tells of; ``None`` for a relay.
    """
    queued_at = tx.clock.now().isoformat()
    tx.insert_many(outbox, [(tx.allocate("outbox"), stream, sequence, digest, raw, False, queued_at, sent_up_to)])
    awaited = [(stream, sequence, str(recipient), None, None, None) for recipient in recipients]
    tx.insert_many(outbox_receipts, awaited)


def undelivered(tx: Transaction, limit: int, without: Iterable[StreamId] = ()) -> list[OutboxEnvelope]:
    """The oldest envelopes that the next hop does not have, in order, but for some streams."""
    rows = tx.execute(_UNDELIVERED, {"limit": limit, "without": list(without)})
    return [
        OutboxEnvelope(position=row.position, stream=row.stream, sequence=row.sequence, digest=row.digest, raw=row.raw)
        for row in rows
    ]


def mark_delivered(tx: Transaction, stream: StreamId, sequence: int) -> None:
    """The next hop has it. A relay's bytes go at once, the origin's once nobody's receipt is awaited."""
    tx.execute(_DELIVERED, {"of": stream, "at": sequence})
    _let_go(tx, stream, sequence)


def rewind(tx: Transaction, stream: StreamId, sequence: int) -> int | None:
    """Send a stream again from ``sequence`` on, which the next hop has lost; the first place that is still kept."""
    kept = (outbox.c.stream == stream) & (outbox.c.sequence >= sequence) & outbox.c.raw.is_not(None)
    tx.execute(update(outbox).where(kept).values(delivered=False))
    first: int | None = tx.execute(select(func.min(outbox.c.sequence)).where(kept)).scalar_one()
    return first


def contradicts(tx: Transaction, stream: StreamId, sequence: int, digest: bytes) -> bool:
    """Whether a receipt speaks of another envelope than the one that was sent in this place of the stream."""
    sent = tx.execute(_DIGEST, {"of": stream, "at": sequence}).scalar_one_or_none()
    return sent is not None and sent != digest


def record_receipt(  # the parts of one receipt
    tx: Transaction, stream: StreamId, sequence: int, recipient: NodeAddress, *, outcome: str, code: str, raw: bytes
) -> bool:
    """Keep a verified receipt for one of our envelopes; ``False`` where it was known or never awaited."""
    said = {"said": outcome, "why": code, "signed": raw}
    kept = tx.execute(_SIGNED, {"of": stream, "at": sequence, "by": str(recipient), **said})
    _let_go(tx, stream, sequence)
    return kept.rowcount == 1


def awaited_counts(tx: Transaction) -> Mapping[str, int]:
    """How many receipts are awaited, by recipient."""
    return {row.recipient: row.number for row in tx.execute(_AWAITED_BY)}


def oldest_undelivered(tx: Transaction) -> datetime | None:
    """Since when the oldest envelope waits for the next hop; ``None`` where none does."""
    since = tx.execute(_OLDEST).scalar_one_or_none()
    return datetime.fromisoformat(since) if since is not None else None


def kept_envelopes(tx: Transaction) -> list[tuple[StreamId, int, bytes]]:
    """Every envelope whose bytes are kept: stream, sequence, bytes."""
    rows = tx.execute(
        select(outbox.c.stream, outbox.c.sequence, outbox.c.raw)
        .where(outbox.c.raw.is_not(None))
        .order_by(outbox.c.position)
    )
    return [(row.stream, row.sequence, row.raw) for row in rows]


def awaits_receipts(tx: Transaction) -> bool:
    """Whether any receipt is still awaited."""
    return tx.execute(_AWAITED).first() is not None


def undelivered_count(tx: Transaction) -> int:
    """How many envelopes the next hop does not have."""
    count: int = tx.execute(select(func.count()).select_from(outbox).where(outbox.c.delivered.is_(False))).scalar_one()
    return count


def _let_go(tx: Transaction, stream: StreamId, sequence: int) -> None:
    """Drop the bytes of a delivered envelope for which no receipt is awaited, unless somebody refused it."""
    tx.execute(_LET_GO, {"of": stream, "at": sequence})

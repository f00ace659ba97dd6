"""Signed receipts on their way down: ours and those of the nodes above, kept for the nodes below to fetch."""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, or_, select

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.receipts import read_receipt
from health_exchange.store.schema import receipts
from health_exchange.store.transaction import Transaction

COLLECT_AGAIN = "collect-receipts-again"
"""Node state: those above may have receipts for nodes below that were lost here with the database."""

_ONE = select(receipts.c.raw).where(
    receipts.c.stream == bindparam("of"),
    receipts.c.sequence == bindparam("at"),
    receipts.c.recipient == bindparam("by"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReceipt:
    """One receipt and its place in the order of arrival."""

    position: int
    stream: StreamId
    sequence: int
    raw: bytes


def add_receipt(  # the parts of one row
    tx: Transaction, *, stream: StreamId, sequence: int, recipient: NodeAddress, origin: NodeAddress, raw: bytes
) -> bool:
    """Keep a receipt for those below; ``False`` where it is kept already."""
    if receipt_of(tx, stream, sequence, recipient) is not None:
        return False
    tx.insert_many(receipts, [(tx.allocate("receipts"), stream, sequence, str(recipient), str(origin), raw)])
    return True


def receipt_of(tx: Transaction, stream: StreamId, sequence: int, recipient: NodeAddress) -> bytes | None:
    """The receipt that ``recipient`` (which may be this node) gave for an envelope."""
    raw: bytes | None = tx.execute(_ONE, {"of": stream, "at": sequence, "by": str(recipient)}).scalar_one_or_none()
    return raw


def digest_of(tx: Transaction, stream: StreamId, sequence: int, recipient: NodeAddress) -> bytes | None:
    """Digest of the envelope that ``recipient`` signed for at this place of the stream."""
    raw = receipt_of(tx, stream, sequence, recipient)
    return read_receipt(raw).digest if raw is not None else None


def latest_position(tx: Transaction) -> int:
    """Position of the last receipt; 0 for none."""
    return tx.execute(select(func.max(receipts.c.position))).scalar_one() or 0


def receipts_after(tx: Transaction, position: int, below: NodeAddress, limit: int = 1000) -> list[KeptReceipt]:
    """Receipts after ``position`` for streams whose origin is ``below`` or lies below it."""
    rows = tx.execute(
        select(receipts)
        .where(
            receipts.c.position > position,
            or_(receipts.c.origin == str(below), receipts.c.origin.startswith(f"{below}/", autoescape=True)),
        )
        .order_by(receipts.c.position)
        .limit(limit)
    )
    return [KeptReceipt(position=row.position, stream=row.stream, sequence=row.sequence, raw=row.raw) for row in rows]

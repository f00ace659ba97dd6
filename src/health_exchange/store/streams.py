"""How far each stream from below, and our own, has come; and which places in it were refused."""

from sqlalchemy import bindparam, func, insert, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.streams import StreamHead
from health_exchange.store.schema import refused, streams
from health_exchange.store.transaction import Transaction

_OURS = streams.c.stream == bindparam("of")
_HEAD = select(streams).where(_OURS)
_ADVANCE = update(streams).where(_OURS).values(sequence=bindparam("to"), digest=bindparam("now"))


def head(tx: Transaction, stream: StreamId) -> StreamHead | None:
    """Where ``stream`` stands; ``None`` before its first envelope."""
    row = tx.execute(_HEAD, {"of": stream}).one_or_none()
    return StreamHead(stream=row.stream, sequence=row.sequence, digest=row.digest) if row else None


def origin_of(tx: Transaction, stream: StreamId) -> NodeAddress | None:
    """Whose stream it is; ``None`` before its first envelope."""
    row = tx.execute(_HEAD, {"of": stream}).one_or_none()
    return NodeAddress.parse(row.origin) if row is not None else None


def heads(tx: Transaction) -> list[StreamHead]:
    """All streams, by name."""
    rows = tx.execute(select(streams).order_by(streams.c.stream))
    return [StreamHead(stream=row.stream, sequence=row.sequence, digest=row.digest) for row in rows]


def advance(tx: Transaction, stream: StreamId, origin: NodeAddress, sequence: int, digest: bytes) -> None:
    """Move ``stream`` on to an envelope that was judged to be its next."""
    if tx.execute(_ADVANCE, {"of": stream, "to": sequence, "now": digest}).rowcount == 0:
        tx.insert_many(streams, [(stream, str(origin), sequence, digest)])


def refuse(tx: Transaction, stream: StreamId, sequence: int, code: str) -> None:
    """Note that the envelope's content was refused; its place in the stream is used up all the same."""
    tx.execute(
        insert(refused).values(stream=stream, sequence=sequence, code=code, refused_at=tx.clock.now().isoformat())
    )


def refused_count(tx: Transaction) -> int:
    """How many places were refused."""
    number: int = tx.execute(select(func.count()).select_from(refused)).scalar_one()
    return number


def refusals(tx: Transaction) -> list[tuple[StreamId, int, str]]:
    """Refused places: stream, sequence, code."""
    rows = tx.execute(select(refused).order_by(refused.c.stream, refused.c.sequence))
    return [(row.stream, row.sequence, row.code) for row in rows]

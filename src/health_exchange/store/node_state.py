"""Small facts a node must not forget: its incarnation, and how far its readers of the feed have come."""

from sqlalchemy import insert, select, update

from health_exchange.model.identifiers import StreamId
from health_exchange.store.schema import node_state
from health_exchange.store.transaction import Transaction


def get(tx: Transaction, name: str) -> bytes | None:
    """What was kept under ``name``."""
    kept: bytes | None = tx.execute(select(node_state.c.value).where(node_state.c.name == name)).scalar_one_or_none()
    return kept


def put(tx: Transaction, name: str, value: bytes) -> None:
    """Keep ``value`` under ``name`` in place of what was there."""
    if tx.execute(update(node_state).where(node_state.c.name == name).values(value=value)).rowcount == 0:
        tx.execute(insert(node_state).values(name=name, value=value))


def cursor(tx: Transaction, name: str) -> int:
    """How far a reader has come; 0 at the start."""
    return int(get(tx, f"cursor:{name}") or b"0")


def set_cursor(tx: Transaction, name: str, number: int) -> None:
    """Note how far a reader has come."""
    put(tx, f"cursor:{name}", b"%d" % number)


def own_stream(tx: Transaction) -> StreamId:
    """The stream of this incarnation, begun with the database."""
    kept = get(tx, "stream")
    if kept is None:
        kept = tx.randomness(16).hex().encode()
        put(tx, "stream", kept)
    return StreamId(kept.decode())

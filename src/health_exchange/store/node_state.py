"""Small facts a node must not forget: its incarnation, and how far its readers of the feed have come."""

from sqlalchemy import bindparam, delete, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.store.schema import node_state
from health_exchange.store.transaction import Transaction

_OURS = node_state.c.name == bindparam("fact")
_GET = select(node_state.c.value).where(_OURS)
_PUT = update(node_state).where(_OURS).values(value=bindparam("now"))


def get(tx: Transaction, name: str) -> bytes | None:
    """What was kept under ``name``."""
    rows = tx.rows(_GET, {"fact": name})
    return rows[0].value if rows else None


def put(tx: Transaction, name: str, value: bytes) -> None:
    """Keep ``value`` under ``name`` in place of what was there."""
    if tx.execute(_PUT, {"fact": name, "now": value}).rowcount == 0:
        tx.insert_many(node_state, [(name, value)])


def drop(tx: Transaction, name: str) -> None:
    """Keep nothing under ``name`` any more."""
    tx.execute(delete(node_state).where(node_state.c.name == name))


def cursor(tx: Transaction, name: str) -> int:
    """How far a reader has come; 0 at the start."""
    return int(get(tx, f"cursor:{name}") or b"0")


def set_cursor(tx: Transaction, name: str, number: int) -> None:
    """Note how far a reader has come."""
    put(tx, f"cursor:{name}", b"%d" % number)


def owner(tx: Transaction, address: NodeAddress) -> NodeAddress:
    """Whose database this is: ``address``, unless another node has had it before."""
    kept = get(tx, "owner")
    if kept is None:
        put(tx, "owner", str(address).encode())
    return address if kept is None else NodeAddress.parse(kept.decode())


def own_stream(tx: Transaction) -> StreamId:
    """The stream of this incarnation, begun with the database."""
    kept = get(tx, "stream")
    if kept is None:
        kept = tx.randomness(16).hex().encode()
        put(tx, "stream", kept)
    return StreamId(kept.decode())

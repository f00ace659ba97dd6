"""Which nodes hold something of a person, as far as this node may know: a pseudonym and a node, nothing else."""

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, select

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.schema import locators
from health_exchange.store.transaction import Transaction, chunks

_KNOWN = select(locators.c.pseudonym).where(
    locators.c.node == bindparam("node"), locators.c.pseudonym.in_(bindparam("pseudonyms", expanding=True))
)


def announced(tx: Transaction, node: NodeAddress, pseudonyms: Iterable[Pseudonym]) -> set[Pseudonym]:
    """Those of ``pseudonyms`` of whom ``node`` is known to hold something."""
    wanted = sorted(set(pseudonyms))
    return {
        pseudonym
        for chunk in chunks(wanted)
        for pseudonym in tx.execute(_KNOWN, {"node": str(node), "pseudonyms": chunk}).scalars()
    }


def add(tx: Transaction, node: NodeAddress, pseudonyms: Iterable[Pseudonym]) -> None:
    """Note that ``node`` holds something of each of ``pseudonyms``."""
    wanted = set(pseudonyms)
    rows = [(new, str(node)) for new in sorted(wanted - announced(tx, node, wanted))]
    tx.insert_many(locators, rows)


def holders_of(tx: Transaction, pseudonym: Pseudonym) -> list[NodeAddress]:
    """The nodes that hold something of a person."""
    rows = tx.execute(select(locators.c.node).where(locators.c.pseudonym == pseudonym).order_by(locators.c.node))
    return [NodeAddress.parse(node) for node in rows.scalars()]


def forget(tx: Transaction, pseudonym: Pseudonym, node: NodeAddress | None = None) -> None:
    """Drop what is known of a person's holders, or of one of them."""
    ours = locators.c.pseudonym == pseudonym
    tx.execute(delete(locators).where(ours if node is None else ours & (locators.c.node == str(node))))

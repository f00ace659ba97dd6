"""Which nodes hold something of a person, as far as this node may know: a pseudonym and a node, nothing else."""

from collections.abc import Iterable

from sqlalchemy import delete, insert, select

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.schema import locators
from health_exchange.store.transaction import Transaction


def add(tx: Transaction, node: NodeAddress, pseudonyms: Iterable[Pseudonym]) -> None:
    """Note that ``node`` holds something of each of ``pseudonyms``."""
    wanted = set(pseudonyms)
    known = tx.execute(
        select(locators.c.pseudonym).where(locators.c.node == str(node), locators.c.pseudonym.in_(sorted(wanted)))
    ).scalars()
    rows = [{"pseudonym": pseudonym, "node": str(node)} for pseudonym in sorted(wanted - set(known))]
    if rows:
        tx.connection.execute(insert(locators), rows)


def holders_of(tx: Transaction, pseudonym: Pseudonym) -> list[NodeAddress]:
    """The nodes that hold something of a person."""
    rows = tx.execute(select(locators.c.node).where(locators.c.pseudonym == pseudonym).order_by(locators.c.node))
    return [NodeAddress.parse(node) for node in rows.scalars()]


def forget(tx: Transaction, pseudonym: Pseudonym, node: NodeAddress | None = None) -> None:
    """Drop what is known of a person's holders, or of one of them."""
    ours = locators.c.pseudonym == pseudonym
    tx.execute(delete(locators).where(ours if node is None else ours & (locators.c.node == str(node))))

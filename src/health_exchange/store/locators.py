"""Which nodes hold something of a person: a pseudonym, a node, and what the person has said there about sharing.

A node whose person objects even to being found is not here: that it objects is not kept either.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.among import among, rows_among
from health_exchange.store.schema import locators
from health_exchange.store.transaction import Transaction

_KNOWN = select(locators.c.pseudonym, locators.c.consent).where(
    locators.c.node == bindparam("node"), among(locators.c.pseudonym, "pseudonyms")
)


class Holding(NamedTuple):
    """A node that holds something of a person, and the consent text it told (``policy.consent_rules``)."""

    node: NodeAddress
    consent: str


def announced(tx: Transaction, node: NodeAddress, pseudonyms: Iterable[Pseudonym]) -> dict[Pseudonym, str]:
    """Those of ``pseudonyms`` of whom ``node`` is known to hold something, with the consent it told."""
    return {row.pseudonym: row.consent for row in rows_among(tx, _KNOWN, "pseudonyms", pseudonyms, node=str(node))}


def add(tx: Transaction, node: NodeAddress, consents: Mapping[Pseudonym, str]) -> None:
    """Note that ``node`` holds something of each person, and what consent it tells."""
    known = announced(tx, node, consents)
    tx.insert_many(locators, [(new, str(node), consents[new]) for new in sorted(consents.keys() - known)])
    for pseudonym in sorted(pseudonym for pseudonym, text in known.items() if text != consents[pseudonym]):
        ours = (locators.c.pseudonym == pseudonym) & (locators.c.node == str(node))
        tx.execute(update(locators).where(ours).values(consent=consents[pseudonym]))


def holders_of(tx: Transaction, pseudonym: Pseudonym) -> list[Holding]:
    """The nodes that hold something of a person, with what the person has said there."""
    rows = tx.execute(select(locators).where(locators.c.pseudonym == pseudonym).order_by(locators.c.node))
    return [Holding(NodeAddress.parse(row.node), row.consent) for row in rows]


def forget(tx: Transaction, pseudonym: Pseudonym, node: NodeAddress | None = None) -> None:
    """Drop what is known of a person's holders, or of one of them."""
    ours = locators.c.pseudonym == pseudonym
    tx.execute(delete(locators).where(ours if node is None else ours & (locators.c.node == str(node))))

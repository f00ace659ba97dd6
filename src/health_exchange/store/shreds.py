"""The shred list: whom which origin has had forgotten, kept so that a restored database forgets them again."""

from dataclasses import dataclass

from sqlalchemy import bindparam, or_, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.schema import shreds
from health_exchange.store.transaction import Transaction

_OURS = (shreds.c.origin == bindparam("of")) & (shreds.c.pseudonym == bindparam("person"))
_AGAIN = update(shreds).where(_OURS).values(shredded_at=bindparam("at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shred:
    """One person whom one origin has had forgotten, and when this node was told."""

    origin: NodeAddress
    pseudonym: Pseudonym
    shredded_at: str


def note(tx: Transaction, origin: NodeAddress, pseudonym: Pseudonym) -> None:
    """Keep that ``origin`` has had a person forgotten, now."""
    now = tx.clock.now().isoformat()
    if tx.execute(_AGAIN, {"of": str(origin), "person": pseudonym, "at": now}).rowcount == 0:
        tx.insert_many(shreds, [(str(origin), pseudonym, now)])


def of(tx: Transaction, origin: NodeAddress, pseudonym: Pseudonym) -> str:
    """When this node was last told that ``origin`` has had a person forgotten; empty for never."""
    at: str | None = tx.execute(
        select(shreds.c.shredded_at).where(_OURS), {"of": str(origin), "person": pseudonym}
    ).scalar_one_or_none()
    return at or ""


def within(tx: Transaction, place: NodeAddress, since: str) -> list[Shred]:
    """Shreds that ``place`` and the origins below it asked for, noted here since an instant."""
    rows = tx.execute(
        select(shreds)
        .where(
            shreds.c.shredded_at >= since,
            or_(shreds.c.origin == str(place), shreds.c.origin.startswith(f"{place}/", autoescape=True)),
        )
        .order_by(shreds.c.shredded_at, shreds.c.origin, shreds.c.pseudonym)
    )
    return [
        Shred(origin=NodeAddress.parse(row.origin), pseudonym=Pseudonym(row.pseudonym), shredded_at=row.shredded_at)
        for row in rows
    ]

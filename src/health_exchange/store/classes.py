"""Classes of resources: what policy decides by, kept once for all resources of a class."""

from hashlib import sha256

from sqlalchemy import select

from health_exchange.model.sensitivity import ResourceClass
from health_exchange.store.among import among, rows_among
from health_exchange.store.schema import classes
from health_exchange.store.transaction import Transaction

_KEPT = select(classes.c.class_id).where(among(classes.c.class_id, "numbers"))


def intern(tx: Transaction, wanted: set[ResourceClass]) -> dict[ResourceClass, int]:
    """Class numbers: digests, so that they are the same whoever writes first."""
    numbers = {found: _class_id(found) for found in wanted}
    kept = {row.class_id for row in rows_among(tx, _KEPT, "numbers", numbers.values())}
    fresh = [(new, number) for new, number in numbers.items() if number not in kept]
    rows = [(number, new.type, int(new.sensitivity), new.category.value, new.jurisdiction) for new, number in fresh]
    tx.insert_many(classes, rows)
    return numbers


def _class_id(found: ResourceClass) -> int:
    text = f"{found.type}|{int(found.sensitivity)}|{found.category.value}|{found.jurisdiction}"
    return int.from_bytes(sha256(text.encode()).digest()[:8], signed=True)

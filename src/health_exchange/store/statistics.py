"""Counts for the node's first view and for operators. Small cells are the caller's to suppress."""

from sqlalchemy import case, distinct, func, select

from health_exchange.store import node_state
from health_exchange.store.schema import feed, resources, subjects
from health_exchange.store.transaction import Transaction

PROVINCE_CHARACTERS = 5
"""Length of ``cn/33``."""


def counts(tx: Transaction) -> dict[tuple[str, str], int]:
    """Current resources by type and origin."""
    rows = tx.execute(
        select(resources.c.type, resources.c.origin, func.count().label("number"))
        .where(resources.c.deleted.is_(False))
        .group_by(resources.c.type, resources.c.origin)
    )
    return {(row.type, row.origin): row.number for row in rows}


def persons(tx: Transaction) -> int:
    """Pseudonyms with at least one current resource."""
    number: int = tx.execute(
        select(func.count(distinct(subjects.c.pseudonym)))
        .join(resources, resources.c.sid == subjects.c.sid)
        .where(resources.c.deleted.is_(False))
    ).scalar_one()
    return number


def persons_across_provinces(tx: Transaction) -> list[str]:
    """Pseudonyms with current resources from more than one province, in order."""
    province = case((resources.c.origin == "", ""), else_=func.substr(resources.c.origin, 1, PROVINCE_CHARACTERS))
    rows = tx.execute(
        select(subjects.c.pseudonym)
        .join(resources, resources.c.sid == subjects.c.sid)
        .where(resources.c.deleted.is_(False), subjects.c.pseudonym.is_not(None))
        .group_by(subjects.c.pseudonym)
        .having(func.count(distinct(province)) > 1)
        .order_by(subjects.c.pseudonym)
    )
    return list(rows.scalars())


def unsent_changes(tx: Transaction) -> int:
    """Changes that the sender has not looked at."""
    number: int = tx.execute(
        select(func.count()).select_from(feed).where(feed.c.change_id > node_state.cursor(tx, "sent"))
    ).scalar_one()
    return number

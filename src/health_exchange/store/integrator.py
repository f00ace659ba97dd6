"""The one place where feed rows and audit entries get their numbers: single, in order, without gaps.

On SQLite the writer calls it before each commit, because nothing else can run beside it; elsewhere a turn does.
"""

from dataclasses import dataclass

from sqlalchemy import Column, Table, UpdateBase, bindparam, func, select, update

from health_exchange.store.schema import audit_entries, feed
from health_exchange.store.transaction import Transaction

NUMBERED = frozenset({feed.name, audit_entries.name})
"""Tables whose rows wait for a number."""


def _numbering(table: Table, key: Column[int], number: Column[int]) -> UpdateBase:
    """Gives every row without a number the next one in the order of its key."""
    place = func.row_number().over(order_by=key)
    waiting = select(key.label("key"), place.label("place")).where(number.is_(None)).subquery()
    return update(table).where(key == waiting.c.key).values({number: bindparam("before") + waiting.c.place})


_WAITING = tuple(select(func.count()).where(number.is_(None)) for number in (feed.c.number, audit_entries.c.position))
_NUMBER = _numbering(feed, feed.c.change_id, feed.c.number)
_POSITION = _numbering(audit_entries, audit_entries.c.entry_id, audit_entries.c.position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrated:
    """How many changes and audit entries got their places."""

    changes: int
    entries: int


def integrate(tx: Transaction) -> Integrated:
    """Number what waits: changes from 1, log positions from 0."""
    changes, entries = (tx.execute(waiting).scalar_one() for waiting in _WAITING)
    if changes:
        tx.execute(_NUMBER, {"before": tx.allocate("feed-numbers", changes) - 1})
    if entries:
        tx.execute(_POSITION, {"before": tx.allocate("log-positions", entries) - 2})
    return Integrated(changes=changes, entries=entries)


def has_work(tx: Transaction) -> bool:
    """Whether anything waits for its number."""
    return any(tx.execute(waiting).scalar_one() for waiting in _WAITING)

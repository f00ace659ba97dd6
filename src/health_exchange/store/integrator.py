"""The one place where feed rows and audit entries get their numbers: single, in order, without gaps.

Runs in the writer's queue like every write, so on SQLite nothing can run beside it.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from health_exchange.store.schema import audit_entries, feed
from health_exchange.store.transaction import Transaction

BATCH_MAX = 10_000

_CHANGES = select(feed.c.change_id).where(feed.c.number.is_(None)).order_by(feed.c.change_id).limit(BATCH_MAX)
_ENTRIES = (
    select(audit_entries.c.entry_id)
    .where(audit_entries.c.position.is_(None))
    .order_by(audit_entries.c.entry_id)
    .limit(BATCH_MAX)
)
_NUMBER = update(feed).where(feed.c.change_id == bindparam("key")).values(number=bindparam("value"))
_POSITION = (
    update(audit_entries).where(audit_entries.c.entry_id == bindparam("key")).values(position=bindparam("value"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrated:
    """How many changes and audit entries got their places."""

    changes: int
    entries: int


def integrate(tx: Transaction) -> Integrated:
    """Number what waits: changes from 1, log positions from 0."""
    changes = list(tx.execute(_CHANGES).scalars())
    if changes:
        first = tx.allocate("feed-numbers", len(changes))
        tx.run_many(_NUMBER, [{"key": key, "value": first + offset} for offset, key in enumerate(changes)])
    entries = list(tx.execute(_ENTRIES).scalars())
    if entries:
        first = tx.allocate("log-positions", len(entries)) - 1
        tx.run_many(_POSITION, [{"key": key, "value": first + offset} for offset, key in enumerate(entries)])
    return Integrated(changes=len(changes), entries=len(entries))


def has_work(tx: Transaction) -> bool:
    """Whether anything waits for its number."""
    return tx.execute(_CHANGES, {}).first() is not None or tx.execute(_ENTRIES, {}).first() is not None

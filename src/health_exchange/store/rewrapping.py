"""Wrapping every key anew under the newest key at rest, in small steps beside everything else that is going on.

Bodies stay as they are: only the keys they are sealed with are wrapped again. How far it has come is kept in the same
transaction, so whoever is killed goes on from there. A key that is wrapped by the newest already comes out the same: a
whole pass that changes nothing proves that nothing needs the key before any more.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, update

from health_exchange.store import node_state
from health_exchange.store.schema import audit_periods, subjects
from health_exchange.store.transaction import Transaction

_CURSOR = "rewrapped"
_NEXT = (
    select(subjects.c.sid, subjects.c.key_wrapped)
    .where(subjects.c.sid >= bindparam("start"))
    .order_by(subjects.c.sid)
    .limit(bindparam("count"))
)
_REPLACE = update(subjects).where(subjects.c.sid == bindparam("row")).values(key_wrapped=bindparam("wrapped"))


def count_left(tx: Transaction) -> int:
    """How many subjects this pass has still to look at."""
    left: int = tx.execute(
        select(func.count()).select_from(subjects).where(subjects.c.sid >= node_state.cursor(tx, _CURSOR))
    ).scalar_one()
    return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step did: how many subjects it looked at, how many of their keys were wrapped by an earlier key."""

    looked: int
    changed: int


def step(tx: Transaction, count: int) -> Step:
    """Wrap the keys of the next ``count`` subjects anew; at the end look at none, and begin again from the first."""
    rows = tx.execute(_NEXT, {"start": node_state.cursor(tx, _CURSOR), "count": count}).all()
    changed = []
    for row in rows:
        wrapped = tx.ring.rewrap(row.key_wrapped) if row.key_wrapped is not None else None
        if wrapped != row.key_wrapped:
            changed.append({"row": row.sid, "wrapped": wrapped})
    tx.run_many(_REPLACE, changed)
    node_state.set_cursor(tx, _CURSOR, rows[-1].sid + 1 if rows else 0)
    return Step(looked=len(rows), changed=len(changed))


def wrap_periods(tx: Transaction) -> None:
    """Wrap the keys of the log's months anew: a dozen a year."""
    rows = tx.execute(select(audit_periods).where(audit_periods.c.key_wrapped.is_not(None))).all()
    for row in rows:
        anew = tx.ring.rewrap(row.key_wrapped)
        tx.execute(update(audit_periods).where(audit_periods.c.period == row.period).values(key_wrapped=anew))

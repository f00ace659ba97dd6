"""Identities that wait for key holders: sealed, with the subject that waits."""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, distinct, func, insert, select

from health_exchange.store.schema import pending
from health_exchange.store.transaction import Transaction

_RESOLVED = delete(pending).where(pending.c.sid == bindparam("of"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingIdentity:
    """One sealed identity and who waits for its pseudonym."""

    tag: bytes
    sid: int
    sealed: bytes


def add(tx: Transaction, tag: bytes, sid: int, sealed: bytes) -> None:
    """Let a subject wait; a subject waits for one identity, the latest."""
    tx.execute(_RESOLVED, {"of": sid})
    tx.execute(insert(pending).values(tag=tag, sid=sid, sealed=sealed))


def waiting(tx: Transaction, limit: int) -> list[PendingIdentity]:
    """Who waits, by subject."""
    rows = tx.execute(select(pending).order_by(pending.c.sid).limit(limit))
    return [PendingIdentity(tag=row.tag, sid=row.sid, sealed=row.sealed) for row in rows]


def waiting_for(tx: Transaction, tag: bytes) -> list[int]:
    """Subjects that wait for one identity."""
    return list(tx.execute(select(pending.c.sid).where(pending.c.tag == tag).order_by(pending.c.sid)).scalars())


def resolved(tx: Transaction, sid: int) -> None:
    """The subject waits no longer."""
    tx.execute(_RESOLVED, {"of": sid})


def count(tx: Transaction) -> int:
    """How many subjects wait."""
    number: int = tx.execute(select(func.count(distinct(pending.c.sid)))).scalar_one()
    return number

"""Counts per day, for quotas and alarms."""

from sqlalchemy import insert, select, update

from health_exchange.store.schema import counters
from health_exchange.store.transaction import Transaction

ALL_DAYS = "all"
"""In place of a day, for counts since the beginning."""


def add(tx: Transaction, name: str, day: str, amount: int = 1) -> int:
    """Count ``amount`` more; the day's count with it."""
    ours = (counters.c.name == name) & (counters.c.day == day)
    if tx.execute(update(counters).where(ours).values(value=counters.c.value + amount)).rowcount == 0:
        tx.execute(insert(counters).values(name=name, day=day, value=amount))
        return amount
    return value(tx, name, day)


def value(tx: Transaction, name: str, day: str) -> int:
    """The day's count; 0 where nothing was counted."""
    counted: int | None = tx.execute(
        select(counters.c.value).where(counters.c.name == name, counters.c.day == day)
    ).scalar_one_or_none()
    return counted or 0


def replace(tx: Transaction, name: str, day: str, amount: int) -> None:
    """Put ``amount`` in place of what was counted."""
    ours = (counters.c.name == name) & (counters.c.day == day)
    if tx.execute(update(counters).where(ours).values(value=amount)).rowcount == 0:
        tx.execute(insert(counters).values(name=name, day=day, value=amount))

"""Counts per day, for quotas and alarms."""

from sqlalchemy import bindparam, select, update

from health_exchange.store.schema import counters
from health_exchange.store.transaction import Transaction

ALL_DAYS = "all"

_OURS = (counters.c.name == bindparam("counter")) & (counters.c.day == bindparam("on"))
_VALUE = select(counters.c.value).where(_OURS)
_ADD = update(counters).where(_OURS).values(value=counters.c.value + bindparam("amount")).returning(counters.c.value)
_REPLACE = update(counters).where(_OURS).values(value=bindparam("amount"))
"""In place of a day, for counts since the beginning."""


def add(tx: Transaction, name: str, day: str, amount: int = 1) -> int:
    """Count ``amount`` more; the day's count with it."""
    counted: int | None = tx.execute(_ADD, {"counter": name, "on": day, "amount": amount}).scalar_one_or_none()
    if counted is None:
        tx.insert_many(counters, [(name, day, amount)])
    return amount if counted is None else counted


def value(tx: Transaction, name: str, day: str) -> int:
    """The day's count; 0 where nothing was counted."""
    counted: int | None = tx.execute(_VALUE, {"counter": name, "on": day}).scalar_one_or_none()
    return counted or 0


def replace(tx: Transaction, name: str, day: str, amount: int) -> None:
    """Put ``amount`` in place of what was counted."""
    if tx.execute(_REPLACE, {"counter": name, "on": day, "amount": amount}).rowcount == 0:
        tx.insert_many(counters, [(name, day, amount)])

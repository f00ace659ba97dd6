"""Counts per day, for quotas and alarms."""

from sqlalchemy import bindparam, select, update

from health_exchange.store.schema import counters
from health_exchange.store.transaction import Transaction

ALL_DAYS = "all"
"""In place of a day, for counts since the beginning."""

_OURS = (counters.c.name == bindparam("counter")) & (counters.c.day == bindparam("on"))
_VALUE = select(counters.c.value).where(_OURS)
_ADD = update(counters).where(_OURS).values(value=counters.c.value + bindparam("amount")).returning(counters.c.value)
_REPLACE = update(counters).where(_OURS).values(value=bindparam("amount"))
_LAST = "\U0010ffff"
"""Sorts after whatever follows a prefix."""
_WITH_PREFIX = select(counters.c.name, counters.c.value).where(
    counters.c.name >= bindparam("first"), counters.c.name < bindparam("after"), counters.c.day == bindparam("on")
)


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


def values(tx: Transaction, prefix: str, day: str = ALL_DAYS) -> dict[str, int]:
    """The day's counts under names that start with ``prefix``, by the rest of the name."""
    rows = tx.execute(_WITH_PREFIX, {"first": prefix, "after": prefix + _LAST, "on": day})
    return {row.name.removeprefix(prefix): row.value for row in rows}


def replace(tx: Transaction, name: str, day: str, amount: int) -> None:
    """Put ``amount`` in place of what was counted."""
    if tx.execute(_REPLACE, {"counter": name, "on": day, "amount": amount}).rowcount == 0:
        tx.insert_many(counters, [(name, day, amount)])

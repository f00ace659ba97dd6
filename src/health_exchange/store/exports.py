"""Where each resource stands with those above: who holds it, and if nobody does, why not."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import bindparam, delete, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.store import counters
from health_exchange.store.among import among, rows_among
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.schema import exports
from health_exchange.store.transaction import Transaction

HELD, SHARED = "held:", "shared:"
"""Counters: how many resources are held for a reason, and how many a node above has."""

_OF = select(exports).where(among(exports.c.rid, "rids"))
_FORGET = delete(exports).where(among(exports.c.rid, "rids"))
_UPDATE = (
    update(exports)
    .where(exports.c.rid == bindparam("row"))
    .values(version=bindparam("at"), recipients=bindparam("to"), held=bindparam("why"))
)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one resource stands: its row, version, who holds it, and in one word why nobody does."""

    rid: int
    version: int
    recipients: frozenset[NodeAddress]
    held: str


def standings(tx: Transaction, rids: Iterable[int]) -> dict[int, Standing]:
    """By row; absent where the sender has not looked yet."""
    return {
        row.rid: Standing(
            rid=row.rid,
            version=row.version,
            recipients=frozenset(NodeAddress(tuple(text.split("/"))) for text in row.recipients.split()),
            held=row.held,
        )
        for row in rows_among(tx, _OF, "rids", rids)
    }


def record(tx: Transaction, rows: Iterable[Standing]) -> None:
    """Keep where resources stand, the last word on each; how many stand where is counted on the way."""
    latest = {row.rid: row for row in rows}
    known = standings(tx, latest)
    new = [row for rid, row in latest.items() if rid not in known]
    _count(tx, known.values(), latest.values())
    tx.insert_many(exports, [(row.rid, row.version, _text(row), row.held) for row in new])
    tx.run_many(
        _UPDATE,
        [
            {"row": rid, "at": row.version, "to": _text(row), "why": row.held}
            for rid, row in latest.items()
            if rid in known
        ],
    )


def forget(tx: Transaction, rids: Iterable[int]) -> None:
    """Let go of resources that are no more."""
    gone = standings(tx, rids)
    _count(tx, gone.values(), ())
    if gone:
        tx.execute(_FORGET, {"rids": list(gone)})


def held_counts(tx: Transaction) -> Mapping[str, int]:
    """How many resources are held, by reason."""
    return {reason: number for reason, number in counters.values(tx, HELD).items() if number}


def shared_counts(tx: Transaction) -> Mapping[str, int]:
    """How many resources each node above holds of this one."""
    return {node: number for node, number in counters.values(tx, SHARED).items() if number}


def _count(tx: Transaction, before: Iterable[Standing], now: Iterable[Standing]) -> None:
    """Count what stands elsewhere than before. Only the sender and erasures write standings, so nobody queues here."""
    gained: Counter[str] = Counter()
    for amount, rows in ((-1, before), (1, now)):
        for row in rows:
            for name in _counted_as(row):
                gained[name] += amount
    for name, amount in sorted(gained.items()):
        if amount:
            counters.add(tx, name, ALL_DAYS, amount)


def _counted_as(row: Standing) -> list[str]:
    """The counters that a standing adds to."""
    return [HELD + row.held] * bool(row.held) + [f"{SHARED}{recipient}" for recipient in row.recipients]


def _text(row: Standing) -> str:
    return " ".join(sorted(map(str, row.recipients)))

"""Where each resource stands with those above: who holds it, and if nobody does, why not."""

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import bindparam, func, select, update

from health_exchange.model.addresses import NodeAddress
from health_exchange.store.schema import exports
from health_exchange.store.transaction import Transaction, chunks

_OF = select(exports).where(exports.c.rid.in_(bindparam("rids", expanding=True)))
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
        for chunk in chunks(set(rids))
        for row in tx.execute(_OF, {"rids": chunk})
    }


def record(tx: Transaction, rows: Iterable[Standing]) -> None:
    """Keep where resources stand, the last word on each."""
    latest = {row.rid: row for row in rows}
    known = standings(tx, latest)
    new = [row for rid, row in latest.items() if rid not in known]
    tx.insert_many(exports, [(row.rid, row.version, _text(row), row.held) for row in new])
    tx.run_many(
        _UPDATE,
        [
            {"row": rid, "at": row.version, "to": _text(row), "why": row.held}
            for rid, row in latest.items()
            if rid in known
        ],
    )


def held_counts(tx: Transaction) -> Mapping[str, int]:
    """How many resources are held, by reason."""
    rows = tx.execute(
        select(exports.c.held, func.count().label("number")).where(exports.c.held != "").group_by(exports.c.held)
    )
    return {row.held: row.number for row in rows}


def shared_counts(tx: Transaction) -> Mapping[str, int]:
    """How many resources each node above holds of this one."""
    totals: dict[str, int] = {}
    rows = tx.execute(select(exports.c.recipients, func.count().label("number")).group_by(exports.c.recipients))
    for row in rows:
        for recipient in row.recipients.split():
            totals[recipient] = totals.get(recipient, 0) + row.number
    return totals


def _text(row: Standing) -> str:
    return " ".join(sorted(map(str, row.recipients)))

"""Giving rows of an earlier release the tokens of this one, some at a time beside everything else that is going on.

How far it has come is kept in the same transaction, so whoever is killed goes on from there. Rows that are written
meanwhile have this release's tokens already and come out the same: whoever takes these steps has claimed the database,
and processes of another run, which may be of an earlier release, have written for the last time then
(``store.writer``). A row that does not open is found by nobody, whatever its tokens: it is passed over and counted.
"""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, func, select, update

from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.search.tokens import tokens_in
from health_exchange.store import generations, token_index
from health_exchange.store.resources import CURRENT, opened
from health_exchange.store.schema import resources
from health_exchange.store.transaction import Transaction

ROWS, BODY_BYTES = 100, 1 << 20
"""Rows of one step and bytes of their sealed bodies, of which the last may have more: what a write that comes meanwhile
waits for."""
_AHEAD = (
    select(resources.c.rid, func.coalesce(func.length(resources.c.body), 0).label("body_bytes"))
    .where(resources.c.rid > bindparam("start"))
    .order_by(resources.c.rid)
    .limit(bindparam("count"))
)
_NEXT: Any = (
    CURRENT.add_columns(resources.c.tokens)
    .where(resources.c.rid > bindparam("start"), resources.c.rid <= bindparam("last"))
    .order_by(resources.c.rid)
)
_LIST = update(resources).where(resources.c.rid == bindparam("row"))


class Step(NamedTuple):
    """What a step was.

    Attributes:
        rows: How many rows it went through.
        unopened: How many of them do not open, and keep the tokens that they had.
    """

    rows: int
    unopened: int


def step(tx: Transaction) -> Step | None:
    """Give the next rows their tokens; ``None`` where there are no more, and searches go by the new tokens from now."""
    start = generations.place(tx)
    last = _last(tx, start)
    if last is None:
        generations.settle(tx)
        return None
    rows = tx.execute(_NEXT, {"start": start, "last": last}).all()
    unopened = 0
    listed = {row.rid: row.tokens for row in rows}
    apart = token_index.unlisted(tx, [rid for rid, found in listed.items() if found is None])
    for row in rows:
        try:
            kept = opened(tx, row)
        except SealBrokenError:
            unopened += 1
            continue
        if kept.deleted or kept.body is None:
            continue
        former = apart.get(row.rid, []) if row.tokens is None else row.tokens
        now = tokens_in(tx.keys.tokens, kept.type, msgspec.json.decode(kept.body))
        if row.tokens is None or sorted(former) != now:
            token_index.exchange(tx, row.rid, former, now)
            tx.execute(_LIST.values(tokens=now), {"row": row.rid})
    generations.move(tx, last)
    return Step(rows=len(rows), unopened=unopened)


def _last(tx: Transaction, start: int) -> int | None:
    """The last row of the step that begins behind a row; ``None`` where none is left."""
    last, body_bytes = None, 0
    for row in tx.execute(_AHEAD, {"start": start, "count": ROWS}):
        if body_bytes >= BODY_BYTES:
            break
        last, body_bytes = row.rid, body_bytes + row.body_bytes
    return last

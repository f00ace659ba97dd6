"""The change feed: what happened to which resource, in an order that readers can follow without skipping.

Writers add rows without a number; ``integrator`` numbers them, gapless. A reader keeps the number it has come to.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, func, select

from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.schema import feed, resources, subjects
from health_exchange.store.transaction import Transaction

_AFTER = select(feed).where(feed.c.number > bindparam("number")).order_by(feed.c.number).limit(bindparam("limit"))
_LAST = select(func.max(feed.c.number))
_CURRENT = select(resources.c.rid, resources.c.version, resources.c.deleted).where(resources.c.sid == bindparam("sid"))


class FeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change.

    Attributes:
        number: Its place in the feed, from 1; 0 while it has none.
        rid: The resource; 0 for a shredding.
        version: Its version then.
        op: ``put``, ``delete``, ``reassign`` or ``shred``.
        sid: Its subject.
        pseudonym: The person at the time, for ``reassign`` and ``shred``.
        previous: The person it was held under before, for ``reassign``.
    """

    number: int = 0
    rid: int
    version: int
    op: str
    sid: int
    pseudonym: Pseudonym | None = None
    previous: Pseudonym | None = None


def add(tx: Transaction, rows: Sequence[FeedRow]) -> None:
    """Add changes, to be numbered later."""
    if not rows:
        return
    first = tx.allocate("feed", len(rows))
    tx.insert_many(
        feed,
        [
            (change_id, None, row.rid, row.version, row.op, row.sid, row.pseudonym, row.previous)
            for change_id, row in enumerate(rows, first)
        ],
    )


def add_for_subject(tx: Transaction, sid: int, op: str, pseudonym: Pseudonym | None, previous: Pseudonym | None) -> int:
    """One change for each current resource of a subject; how many. Linear in them."""
    rows = [
        FeedRow(rid=row.rid, version=row.version, op=op, sid=sid, pseudonym=pseudonym, previous=previous)
        for row in tx.execute(_CURRENT, {"sid": sid})
        if not row.deleted
    ]
    add(tx, rows)
    return len(rows)


def moves_after(tx: Transaction, sids: Sequence[int], number: int) -> bool:
    """Whether a ``reassign`` of one of these subjects comes after ``number``, or has no number yet."""
    moves = (feed.c.op == "reassign") & feed.c.sid.in_(sids) & (feed.c.number.is_(None) | (feed.c.number > number))
    return tx.execute(select(feed.c.change_id).where(moves).limit(1)).first() is not None


def waits(tx: Transaction, pseudonym: Pseudonym, number: int) -> bool:
    """Whether a change of a person comes after ``number``, or has no number yet."""
    theirs = feed.c.sid.in_(select(subjects.c.sid).where(subjects.c.pseudonym == pseudonym))
    late = feed.c.number.is_(None) | (feed.c.number > number)
    shred = (feed.c.op == "shred") & (feed.c.pseudonym == pseudonym)
    return tx.execute(select(feed.c.change_id).where(late & (theirs | shred)).limit(1)).first() is not None


def last_number(tx: Transaction) -> int:
    """The number of the latest change; 0 where there is none."""
    return tx.execute(_LAST).scalar_one() or 0


def rows_after(tx: Transaction, number: int, limit: int) -> list[FeedRow]:
    """Numbered changes after ``number``, in order."""
    return [
        FeedRow(
            number=row.number,
            rid=row.rid,
            version=row.version,
            op=row.op,
            sid=row.sid,
            pseudonym=row.pseudonym,
            previous=row.previous,
        )
        for row in tx.execute(_AFTER, {"number": number, "limit": limit})
    ]

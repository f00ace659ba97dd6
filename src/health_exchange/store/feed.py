"""The change feed: what happened to which resource, in an order that readers can follow without skipping.

One writer at a time numbers changes as it adds them, gapless and in the order of commits. A reader keeps the number it
has come to.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, func, select

from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.schema import feed, resources, subjects
from health_exchange.store.transaction import Transaction

_AFTER = select(feed).where(feed.c.change_id > bindparam("after")).order_by(feed.c.change_id).limit(bindparam("limit"))
_LAST = select(func.max(feed.c.change_id))
_CURRENT = select(resources.c.rid, resources.c.version, resources.c.deleted).where(resources.c.sid == bindparam("sid"))


class FeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change.

    Attributes:
        number: Its place in the feed, from 1; 0 while it is not in it.
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
    """Add changes, each with the next number."""
    if not rows:
        return
    first = tx.allocate("feed", len(rows))
    tx.insert_many(
        feed,
        [
            # Twice, because the release before this one reads the second.
            (number, number, row.rid, row.version, row.op, row.sid, row.pseudonym, row.previous)
            for number, row in enumerate(rows, first)
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
    """Whether a ``reassign`` of one of these subjects comes after ``number``."""
    moves = (feed.c.op == "reassign") & feed.c.sid.in_(sids) & (feed.c.change_id > number)
    return tx.execute(select(feed.c.change_id).where(moves).limit(1)).first() is not None


def waits(tx: Transaction, pseudonym: Pseudonym, number: int) -> bool:
    """Whether a change of a person comes after ``number``."""
    theirs = feed.c.sid.in_(select(subjects.c.sid).where(subjects.c.pseudonym == pseudonym))
    late = feed.c.change_id > number
    shred = (feed.c.op == "shred") & (feed.c.pseudonym == pseudonym)
    return tx.execute(select(feed.c.change_id).where(late & (theirs | shred)).limit(1)).first() is not None


def last_number(tx: Transaction) -> int:
    """The number of the latest change; 0 where there is none."""
    return tx.execute(_LAST).scalar_one() or 0


def rows_after(tx: Transaction, number: int, limit: int) -> list[FeedRow]:
    """Changes after ``number``, in order."""
    return [
        FeedRow(
            number=row.change_id,
            rid=row.rid,
            version=row.version,
            op=row.op,
            sid=row.sid,
            pseudonym=row.pseudonym,
            previous=row.previous,
        )
        for row in tx.execute(_AFTER, {"after": number, "limit": limit})
    ]

"""Versions of what is kept, newest first: of one resource, of a type, of all.

The order of a type's or the whole node's history is that of the change feed, which only grows: a page that goes on
before a number of the feed repeats and skips nothing, whatever is written meanwhile. One resource's is that of its
versions. What the current version hides is hidden in SQL, before anything is cut into pages; whether a former version
is more sensitive than the current one is for the caller of these functions to decide, on what they give.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, select

from health_exchange.search.finding import Permitted
from health_exchange.search.spans import LATEST, Span, span_of
from health_exchange.store.among import among, rows_among
from health_exchange.store.resources import CURRENT, HISTORY, StoredResource, opened
from health_exchange.store.schema import feed, history, resources, subjects
from health_exchange.store.transaction import Transaction

BATCH = 200
VERSIONS_MAX = 5_000
"""Most changes looked at for one page; beyond, a page may be short."""
_OPS = ("put", "delete")
_OF_RIDS = CURRENT.where(among(resources.c.rid, "rids"))
_FORMER = HISTORY.where(among(history.c.rid, "rids"))
_TIMES = select(history.c.rid, history.c.version, history.c.changed_at).where(among(history.c.rid, "rids"))
_TIMES_NOW = select(resources.c.rid, resources.c.version, resources.c.changed_at).where(among(resources.c.rid, "rids"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which versions are wanted, by when they were made.

    Attributes:
        since: Made at or after this.
        current_in: Current at some time in this span.
    """

    since: datetime | None = None
    current_in: Span | None = None

    def may_hold(self, made: Span) -> bool:
        """Whether a version made then is wanted, or is if nothing newer had come before the span it is asked for."""
        if self.since is not None and made.end <= self.since:
            return False
        return self.current_in is None or made.start < self.current_in.end

    def holds(self, made: Span, superseded_at: datetime | None) -> bool:
        """Whether a version is wanted that was current from one time to another; ``None`` for one that still is."""
        if not self.may_hold(made):
            return False
        return self.current_in is None or superseded_at is None or superseded_at > self.current_in.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One version with its place in the order, and the current one of the same resource."""

    number: int
    kept: StoredResource
    now: StoredResource


def changes_before(
    tx: Transaction, resource_type: str | None, permitted: Permitted, period: Period, before: int
) -> Sequence[Change]:
    """The next changes before a number of the feed, newest first; none where there are no more.

    Args:
        tx: The transaction.
        resource_type: Of this type only.
        permitted: Which resources the caller may see as they are now.
        period: Which versions are wanted: some that are not are left out already, others are for :func:`wanted`.
        before: Where the page before ended.
    """
    statement = (
        select(feed.c.change_id, feed.c.rid, feed.c.version)
        .join(resources, resources.c.rid == feed.c.rid)
        .join(subjects, subjects.c.sid == resources.c.sid)
        .where(feed.c.op.in_(_OPS), feed.c.change_id < before, _is_permitted(permitted))
    )
    if resource_type is not None:
        statement = statement.where(resources.c.type == resource_type)
    if period.since is not None:
        # A resource that has not changed since has no version since; its instant may be in any zone.
        statement = statement.where(resources.c.changed_at >= _day_before(period.since))
    rows = tx.execute(statement.order_by(feed.c.change_id.desc()).limit(BATCH)).all()
    rids = {row.rid for row in rows}
    now = {row.rid: opened(tx, row) for row in rows_among(tx, _OF_RIDS, "rids", rids)}
    former_rids = {row.rid for row in rows if row.rid in now and now[row.rid].version != row.version}
    asked = {(row.rid, row.version) for row in rows}
    former = {
        (row.rid, row.version): opened(tx, row)
        for row in rows_among(tx, _FORMER, "rids", former_rids)
        if (row.rid, row.version) in asked
    }
    found = []
    for row in rows:
        current = now[row.rid]
        kept = current if current.version == row.version else former.get((row.rid, row.version))
        if kept is not None:
            found.append(Change(number=row.change_id, kept=kept, now=current))
    if rows and not found:
        return changes_before(tx, resource_type, permitted, period, rows[-1].change_id)
    return found


def last_change(tx: Transaction) -> int:
    """The number of the feed's latest change; 0 where there is none."""
    last: int | None = tx.execute(select(feed.c.change_id).order_by(feed.c.change_id.desc()).limit(1)).scalar()
    return last or 0


def versions_before(tx: Transaction, now: StoredResource, before: int) -> Sequence[Change]:
    """The next versions of one resource before a number, newest first; the current one is the first of all."""
    statement: Any = HISTORY.where(history.c.rid == now.rid, history.c.version < before)
    rows = tx.execute(statement.order_by(history.c.version.desc()).limit(BATCH))
    found = [Change(number=row.version, kept=opened(tx, row), now=now) for row in rows]
    if now.version < before:
        found.insert(0, Change(number=now.version, kept=now, now=now))
    return found


def wanted(tx: Transaction, changes: Sequence[Change], period: Period) -> list[Change]:
    """Those of ``changes`` that were made, or current, when asked for."""
    if period.since is None and period.current_in is None:
        return list(changes)
    nexts = _superseded(tx, {change.now.rid for change in changes}) if period.current_in is not None else {}
    return [
        change
        for change in changes
        if period.holds(span_of(change.kept.changed_at), nexts.get((change.now.rid, change.kept.version)))
    ]


def _superseded(tx: Transaction, rids: Iterable[int]) -> dict[tuple[int, int], datetime]:
    """By row and version, when the next version was made."""
    times: dict[int, list[tuple[int, str]]] = {}
    listed = sorted(rids)
    for statement in (_TIMES, _TIMES_NOW):
        for row in rows_among(tx, statement, "rids", listed):
            times.setdefault(row.rid, []).append((row.version, row.changed_at))
    found = {}
    for rid, versions in times.items():
        ordered = sorted(versions)
        for (number, _made), (_next, changed_at) in pairwise(ordered):
            found[rid, number] = span_of(changed_at).start
    return found


def _day_before(at: datetime) -> str:
    """A day before, as text sorts."""
    return (at - timedelta(days=1)).date().isoformat() if at < LATEST else at.date().isoformat()


def _is_permitted(permitted: Permitted) -> ColumnElement[bool]:
    """The caller's rights to what is current, as a condition."""
    texts: dict[frozenset[int], list[str]] = {}
    for consent, numbers in sorted(permitted.classes.items()):
        if numbers:
            texts.setdefault(numbers, []).append(consent)
    return or_(
        false(),
        *(
            and_(subjects.c.consent.in_(consents), resources.c.class_id.in_(sorted(numbers)))
            for numbers, consents in texts.items()
        ),
    )

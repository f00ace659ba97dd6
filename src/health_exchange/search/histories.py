"""Versions of what is kept, newest first: of one resource, of a type, of all.

The order is by when a version was made, then by row and version: a page that goes on behind a place in it repeats and
skips nothing of what there was, whatever is written meanwhile. (Not by the change feed: that tells of a version again
when a consent or an identity changes, which is nobody's business here.) What the current version hides is hidden in
SQL, before anything is cut into pages; whether a former version is more sensitive than the current one is for the
caller of these functions to decide, on what they give.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, Table, and_, false, or_, select, tuple_

from health_exchange.search.finding import Permitted
from health_exchange.search.spans import LATEST, Span, span_of
from health_exchange.store.among import among, rows_among
from health_exchange.store.resources import CURRENT, HISTORY, StoredResource, opened
from health_exchange.store.schema import history, resources, subjects
from health_exchange.store.transaction import Transaction

BATCH = 200
VERSIONS_MAX = 5_000
"""Most changes looked at for one page; beyond, a page may be short."""
_DAY = timedelta(days=1)
_OF_RIDS = CURRENT.where(among(resources.c.rid, "rids"))
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


class Place(NamedTuple):
    """Where a version stands in the order."""

    changed_at: str
    rid: int
    version: int


END = Place(changed_at="~", rid=2**62, version=2**62)
"""Before every version there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One version, and the current one of the same resource."""

    kept: StoredResource
    now: StoredResource

    @property
    def place(self) -> Place:
        """Where it stands in the order."""
        return Place(changed_at=self.kept.changed_at, rid=self.kept.rid, version=self.kept.version)


def changes_before(
    tx: Transaction, resource_type: str | None, permitted: Permitted, period: Period, before: Place, limit: int = BATCH
) -> Sequence[Change]:
    """The next versions behind a place, newest first; none where there are no more.

    Args:
        tx: The transaction.
        resource_type: Of this type only.
        permitted: Which resources the caller may see as they are now.
        period: Which versions are wanted: some that are not are left out already, others are for :func:`wanted`.
        before: Where the page before ended.
        limit: Most versions.
    """
    current = _next(CURRENT, resources, resource_type, permitted, period, before)
    former = _next(
        HISTORY.join(resources, resources.c.rid == history.c.rid), history, resource_type, permitted, period, before
    )
    rows = [row for each in (current, former) for row in tx.execute(each.limit(limit))]
    rows = sorted(rows, key=_place_of, reverse=True)[:limit]
    now = {row.rid: opened(tx, row) for row in rows_among(tx, _OF_RIDS, "rids", {row.rid for row in rows})}
    return [Change(kept=opened(tx, row), now=now[row.rid]) for row in rows]


def _next(  # a query in its parts
    statement: Any,  # noqa: ANN401  # a SELECT over a table or its twin
    table: Table,
    resource_type: str | None,
    permitted: Permitted,
    period: Period,
    before: Place,
) -> Select[Any]:
    """The next rows of a table behind a place."""
    place = tuple_(table.c.changed_at, table.c.rid, table.c.version)
    wanted_rows: Select[Any] = statement.where(place < tuple_(*before), _is_permitted(permitted))
    if resource_type is not None:
        wanted_rows = wanted_rows.where(table.c.type == resource_type)
    if period.since is not None:
        # A guess by the day: what is wanted is decided on the instant.
        wanted_rows = wanted_rows.where(table.c.changed_at >= _day_before(period.since))
    if period.current_in is not None and period.current_in.end < LATEST:
        wanted_rows = wanted_rows.where(table.c.changed_at < _day_before(period.current_in.end + 2 * _DAY))
    newest_first = (table.c.changed_at.desc(), table.c.rid.desc(), table.c.version.desc())
    return wanted_rows.order_by(*newest_first)


def _place_of(row: Row[Any]) -> tuple[str, int, int]:
    return row.changed_at, row.rid, row.version


def versions_before(tx: Transaction, now: StoredResource, before: Place) -> Sequence[Change]:
    """The next versions of one resource behind a place, newest first; the current one is the first of all."""
    statement: Any = HISTORY.where(history.c.rid == now.rid, history.c.version < before.version)
    rows = tx.execute(statement.order_by(history.c.version.desc()).limit(BATCH))
    found = [Change(kept=opened(tx, row), now=now) for row in rows]
    if now.version < before.version:
        found.insert(0, Change(kept=now, now=now))
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
    return (at - _DAY).date().isoformat() if at < LATEST else at.date().isoformat()


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

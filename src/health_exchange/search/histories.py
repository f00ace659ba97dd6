"""Versions of what is kept, newest first: of one resource, of a type, of all.

The order is by when a version was made, then by row and version: a page that goes on behind a place in it repeats and
skips nothing of what there was, whatever is written meanwhile. (Not by the change feed: that tells of a version again
when a consent or an identity changes, which is nobody's business here.) What the current version hides is hidden in
SQL, before anything is cut into pages; whether a former version is more sensitive than the current one is for the
caller of these functions to decide, on what they give.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Row, Select, Table, exists, select, tuple_

from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.spans import LATEST, Span, span_of
from health_exchange.store.among import among, rows_among
from health_exchange.store.resources import StoredResource, stored
from health_exchange.store.schema import classes, history, resources, subjects
from health_exchange.store.transaction import Transaction
from health_exchange.store.versions import BARE_CURRENT, BARE_HISTORY, sealed_versions

BATCH = 200
VERSIONS_MAX = 5_000
"""Most changes looked at for one page; beyond, a page may be short."""
FETCHED_BYTES_MAX = 4 << 20
"""Of bodies as they are kept, fetched together for a page; one alone may have more."""
_DAY = timedelta(days=1)
_TYPES = select(classes.c.type).distinct()
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
    """One version, and the current one of the same resource.

    Attributes:
        kept: The version, without its body: most are looked at and not shown.
        body_bytes: Length of its body as it is kept; 0 for a tombstone.
        now: The current version, without its body.
    """

    kept: StoredResource
    body_bytes: int
    now: StoredResource

    @property
    def place(self) -> Place:
        """Where it stands in the order."""
        return Place(changed_at=self.kept.changed_at, rid=self.kept.rid, version=self.kept.version)


def opened(tx: Transaction, changes: Sequence[Change]) -> Iterator[StoredResource]:
    """The versions with their bodies, which are fetched a few at a time as far as they are taken."""
    for part in _parts(changes):
        current = [change.kept.rid for change in part if change.kept.version == change.now.version]
        former = [
            (change.kept.rid, change.kept.version) for change in part if change.kept.version != change.now.version
        ]
        bodies = sealed_versions(tx, current, former)
        for change in part:
            sealed = bodies.get((change.kept.rid, change.kept.version))
            yield replace(change.kept, body=sealed.open()) if sealed is not None else change.kept


def _parts(changes: Iterable[Change]) -> Iterator[Sequence[Change]]:
    """Changes whose bodies may be in memory together, in order."""
    part: list[Change] = []
    part_bytes = 0
    for change in changes:
        if part and (len(part) == BATCH or part_bytes + change.body_bytes > FETCHED_BYTES_MAX):
            yield part
            part, part_bytes = [], 0
        part.append(change)
        part_bytes += change.body_bytes
    if part:
        yield part


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
    types = [resource_type] if resource_type is not None else tx.execute(_TYPES).scalars().all()
    # A type at a time: each is read along its index, and as far as the page goes.
    found = [
        Place(changed_at=row.changed_at, rid=row.rid, version=row.version)
        for table, statement in ((resources, _allowed_now(permitted)), (history, _allowed_before(permitted)))
        for each in types
        for row in tx.execute(_next(table, statement, each, period, before).limit(limit))
    ]
    places = sorted(found, reverse=True)[:limit]
    of_places = resources.c.rid.in_(sorted({place.rid for place in places}))
    now = {row.rid: row for row in tx.execute(BARE_CURRENT.where(of_places))}
    former = _former(tx, [place for place in places if now[place.rid].version != place.version])
    return [_change(former.get((place.rid, place.version), now[place.rid]), now[place.rid]) for place in places]


def _change(row: Row[Any], now: Row[Any]) -> Change:
    """A version's row beside the current one of the same resource."""
    return Change(kept=stored(row, None), body_bytes=row.body_bytes, now=stored(now, None))


def _next(table: Table, is_seen: ColumnElement[bool], resource_type: str, period: Period, before: Place) -> Select[Any]:
    """Places of the next rows of a table behind one."""
    columns = (table.c.changed_at, table.c.rid, table.c.version)
    statement = select(*columns).where(table.c.type == resource_type, tuple_(*columns) < tuple_(*before), is_seen)
    if period.since is not None:
        # A guess by the day: what is wanted is decided on the instant.
        statement = statement.where(table.c.changed_at >= _day_before(period.since))
    if period.current_in is not None and period.current_in.end < LATEST:
        statement = statement.where(table.c.changed_at < _day_before(period.current_in.end + 2 * _DAY))
    return statement.order_by(*(column.desc() for column in columns))


def _allowed_now(permitted: Permitted) -> ColumnElement[bool]:
    """That the caller may see a current row. A subquery: joined, it would tempt planners to begin with the subjects."""
    return exists().where(subjects.c.sid == resources.c.sid, is_permitted(permitted)).correlate(resources)


def _allowed_before(permitted: Permitted) -> ColumnElement[bool]:
    """That the caller may see what a former row's resource is now."""
    of_now = (resources.c.rid == history.c.rid, subjects.c.sid == resources.c.sid)
    return exists().where(*of_now, is_permitted(permitted)).correlate(history)


def _former(tx: Transaction, places: Sequence[Place]) -> dict[tuple[int, int], Row[Any]]:
    """Rows of former versions by row of the current one and number."""
    asked = {(place.rid, place.version) for place in places}
    if not asked:
        return {}
    statement: Any = BARE_HISTORY.where(
        history.c.rid.in_(sorted({place.rid for place in places})),
        history.c.version.in_(sorted({place.version for place in places})),
    )
    return {(row.rid, row.version): row for row in tx.execute(statement) if (row.rid, row.version) in asked}


def versions_before(tx: Transaction, rid: int, before: Place) -> Sequence[Change]:
    """The next versions of one resource behind a place, newest first; the current one is the first of all."""
    now = tx.execute(BARE_CURRENT.where(resources.c.rid == rid)).one()
    statement: Any = BARE_HISTORY.where(history.c.rid == rid, history.c.version < before.version)
    rows = [*tx.execute(statement.order_by(history.c.version.desc()).limit(BATCH))]
    return [_change(row, now) for row in ([now, *rows] if now.version < before.version else rows)]


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

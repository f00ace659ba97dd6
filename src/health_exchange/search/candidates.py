"""Candidates of a search by index, and the scan that opens them until enough of them match.

Newest row first. Where the index leaves few rows they are asked for at once; where it may leave very many, the newest
rows are walked past first, for a page of them is soon full, and the index is asked where it is not.

Whoever opens bodies does so up to a bound: a search that would open more is refused with what would narrow it, and
never answered short.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select

from health_exchange.fhir.parameters import offered_for
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.search.matching import Matcher
from health_exchange.search.narrowing import FEW_TOKENS, Narrowing, narrowed, reference_tokens, sids_of
from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.terms import SearchQuery
from health_exchange.search.tokens import HASHED
from health_exchange.store.among import among, is_among, rows_among
from health_exchange.store.resources import CURRENT, StoredResource, opened
from health_exchange.store.schema import resources, subjects
from health_exchange.store.token_index import (
    finds_as_many,
    has_token,
    leads_in_order,
    led_by,
    names_few,
    together,
    tokened,
)
from health_exchange.store.transaction import Transaction

BATCH = 200
SCAN_MAX = 5_000
"""Most candidates opened for one page, one total or one step of a chain."""
LOOKED_AT_MAX = 20_000
"""Most resources that all steps of a search's chains together may open or name; and all of what includes others."""
WALK = 10_000
"""Rows that are walked past before the index is asked."""


class TooCostlyError(ExchangeError):
    """The search would have to open too many resources, or would give too many."""

    category = Category.INCORRECT
    code = "too-costly"


class TooWideError(TooCostlyError):
    """There is too much at the far end of a step of a chain to go from there."""


class ScanError(TooCostlyError):
    """More than may be opened for one page, one total or one step would have to be."""


Sieve = Callable[[SearchQuery, Sequence[StoredResource]], Sequence[StoredResource]]


@dataclass(slots=True)
class Budget:
    """What the steps of one search may still look at together: each alone is bounded, but there may be many.

    Attributes:
        left: How many resources may still be opened or named.
    """

    left: int = field(default_factory=lambda: LOOKED_AT_MAX)

    def spend(self, resources_looked_at: int) -> None:
        """Take from what is left.

        Raises:
            TooCostlyError: There is not as much.
        """
        self.left -= resources_looked_at
        if self.left < 0:
            raise TooCostlyError(f"the search looks at more than {LOOKED_AT_MAX} other resources; say more about them")


def matches_of(  # a search with its bounds
    tx: Transaction,
    query: SearchQuery,
    permitted: Permitted | None,
    *,
    after: int | None = None,
    wanted: int = BATCH,
    budget: Budget | None = None,
    sieve: Sieve | None = None,
) -> Iterator[StoredResource]:
    """Everything that a query finds, newest row first.

    Args:
        tx: The transaction.
        query: What is asked; its chains are followed already.
        permitted: What the caller may see; ``None`` for everything.
        after: Row number to begin below.
        wanted: How many the caller will take, by which batches are cut.
        budget: Of the search that this is a step of.
        sieve: Tells of matches what their chains say, where some are told of each candidate.

    Raises:
        TooCostlyError: More than :data:`SCAN_MAX` were opened, and there are more; or the budget is spent.
    """
    sids = sids_of(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    narrowing = narrowed(tx, query, sids, permitted)
    scanned = 0
    # What is guessed takes more candidates than matches; twice as many are tried first, and more at a time later.
    limit = min(BATCH, wanted if narrowing.is_exact else 2 * wanted)
    for batch in _batches(tx, query, narrowing, after, limit):
        if scanned >= SCAN_MAX:
            raise too_costly(query.type)
        if budget is not None:
            budget.spend(len(batch))
        found = [kept for kept in batch if matcher.matches(kept)]
        yield from sieve(query, found) if sieve is not None and found else found
        scanned += len(batch)


def among_rows(
    tx: Transaction, query: SearchQuery, permitted: Permitted, rids: Sequence[int], sieve: Sieve
) -> Iterator[StoredResource]:
    """Those of some rows that a query still finds, in their order; arguments as for :func:`matches_of`."""
    sids = sids_of(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    for start in range(0, len(rids), BATCH):
        part = rids[start : start + BATCH]
        there = {kept.rid: kept for kept in opened_rows(tx, part, permitted)}
        yield from sieve(query, [there[rid] for rid in part if rid in there and matcher.matches(there[rid])])


class Dated(NamedTuple):
    """A candidate with the clinical date that it is ordered by, and whether its body has to say it."""

    rid: int
    instant: str | None
    is_long: bool


def dated_rows(tx: Transaction, narrowing: Narrowing, long: int, *, descending: bool, at_most: int) -> list[Dated]:
    """Candidates in the order of their clinical dates, those without one last, equal ones newest row first.

    Args:
        tx: The transaction.
        narrowing: What the index says.
        long: The token of those that have another date than this (``tokens.long_token``).
        descending: Whether the latest comes first.
        at_most: How many.
    """
    is_long = has_token(tx, [long])
    instant = resources.c.instant.desc() if descending else resources.c.instant.asc()
    statement = select(resources.c.rid, resources.c.instant, is_long.label("is_long"))
    if narrowing.needs_subjects:
        statement = statement.join(subjects, subjects.c.sid == resources.c.sid)
    statement = (
        statement.where(resources.c.deleted.is_(False), *narrowing.found(tx))
        .order_by(resources.c.instant.is_(None), instant, resources.c.rid.desc())
        .limit(at_most)
    )
    return [Dated(row.rid, row.instant, bool(row.is_long)) for row in tx.execute(statement)]


def ids_found(tx: Transaction, query: SearchQuery, permitted: Permitted, at_most: int) -> Sequence[str] | None:
    """Ids of what a query finds; ``None`` where bodies would have to tell.

    Raises:
        TooWideError: There are more than ``at_most``.
    """
    narrowing = narrowed(tx, query, sids_of(tx, query), permitted)
    if not narrowing.is_exact or not (narrowing.tokens or narrowing.is_named):
        return None
    statement = select(resources.c.id).where(resources.c.deleted.is_(False), *narrowing.found(tx))
    if narrowing.needs_subjects:
        statement = statement.join(subjects, subjects.c.sid == resources.c.sid)
    if narrowing.is_long and finds_as_many(tx, statement, at_most + 1):
        raise too_wide(query.type, at_most)
    found = tx.execute(statement.limit(at_most + 1)).scalars().all()
    if len(found) > at_most:
        raise too_wide(query.type, at_most)
    return found


def referred_to(
    tx: Transaction, query: SearchQuery, permitted: Permitted, by: str, names: Sequence[str]
) -> set[str] | None:
    """To which of some resources one that a query finds refers; ``None`` where bodies would have to tell.

    Args:
        tx: The transaction.
        query: What refers to them; its chains are followed already.
        permitted: What the caller may see.
        by: The reference.
        names: Each as ``Type/id``.
    """
    narrowing = narrowed(tx, query, sids_of(tx, query), permitted)
    references = reference_tokens(tx, query.type, by, names)
    if not narrowing.is_exact or narrowing.is_named or references is None:
        return None
    statement = together(tx, references, narrowing.tokens).where(resources.c.deleted.is_(False), *narrowing.others)
    if narrowing.needs_subjects:
        statement = statement.join(subjects, subjects.c.sid == resources.c.sid)
    there = set(tx.execute(statement).scalars())
    return {name for name, token in zip(names, references, strict=True) if token in there}


def counted(tx: Transaction, narrowing: Narrowing, at_most: int | None = None) -> int:
    """How many rows the index leaves; no more than ``at_most`` are counted."""
    if at_most is None and narrowing.tokens and not narrowing.others and not narrowing.type:
        return tokened(tx, narrowing.tokens)
    rows = select(resources.c.rid).where(resources.c.deleted.is_(False), *narrowing.found(tx))
    if narrowing.needs_subjects:
        rows = rows.join(subjects, subjects.c.sid == resources.c.sid)
    if at_most is None:
        count: int = tx.execute(rows.with_only_columns(func.count())).scalar_one()
        return count
    if narrowing.is_long and finds_as_many(tx, rows, at_most):
        return at_most
    found: int = tx.execute(select(func.count()).select_from(rows.limit(at_most).subquery())).scalar_one()
    return found


def too_wide(resource_type: str, at_most: int) -> TooWideError:
    """Says what would help."""
    return TooWideError(f"a step of the chain finds more than {at_most} of {resource_type}; say more about them")


def ids_of_type(tx: Transaction, resource_type: str, permitted: Permitted, at_most: int) -> Sequence[str] | None:
    """Ids of all resources of a type that the caller may see; ``None`` where there are more than ``at_most``."""
    rows = select(resources.c.id).where(resources.c.type == resource_type, resources.c.deleted.is_(False))
    if not permitted.is_whole:
        rows = rows.join(subjects, subjects.c.sid == resources.c.sid).where(is_permitted(permitted))
    found = tx.execute(rows.limit(at_most + 1)).scalars().all()
    return found if len(found) <= at_most else None


def too_costly(resource_type: str) -> ScanError:
    """Says what would help."""
    by = ", ".join(["_id", *sorted(HASHED & offered_for(resource_type) if resource_type else HASHED)])
    what = resource_type or "several types"
    return ScanError(f"more than {SCAN_MAX} of {what} would have to be opened; a search is narrowed by {by}")


def _batches(
    tx: Transaction, query: SearchQuery, narrowing: Narrowing, after: int | None, limit: int
) -> Iterator[Sequence[StoredResource]]:
    """Candidates, newest row first, as many at a time as are opened together."""
    if narrowing.is_rare or narrowing.has_many or leads_in_order(tx, narrowing.tokens):
        yield from _by_index(tx, narrowing, after, limit)
        return
    if after is None:
        after = (tx.execute(select(func.max(resources.c.rid))).scalar_one() or 0) + 1
    # The more tokens are compared with each row, the fewer rows are walked past.
    walk = WALK if sum(map(len, narrowing.tokens)) <= FEW_TOKENS else max(WALK // 10, 1)
    while after > 0:
        floor = max(after - walk, 0)
        above = [resources.c.rid >= floor, resources.c.rid < after]
        batch = _rows(tx, [*narrowing.met(tx), *above], resources.c.rid.desc(), limit)
        if batch:
            yield batch
        is_full = len(batch) == limit
        after, limit = batch[-1].rid if is_full else floor, min(BATCH, 2 * limit)
        if not is_full and (narrowing.tokens or _is_rare(tx, query)):
            yield from _by_index(tx, narrowing, after, limit)
            return


def _by_index(
    tx: Transaction, narrowing: Narrowing, after: int | None, limit: int
) -> Iterator[Sequence[StoredResource]]:
    """Candidates, all of them named by the index and then put in order."""
    walks = leads_in_order(tx, narrowing.tokens) and not narrowing.is_named
    if walks and narrowing.code_and_quarter:
        walks = not names_few(tx, narrowing.code_and_quarter)
    while True:
        if walks:
            named = led_by(tx, narrowing.tokens, after).where(*narrowing.others)
        else:
            below = [] if after is None else [resources.c.rid < after]
            # As an expression, so that no database takes it for cheap to walk past all rows in their order.
            order = (resources.c.rid + 0).desc()
            named = select(resources.c.rid).where(*narrowing.found(tx), *below).order_by(order)
        if narrowing.needs_subjects:
            named = named.join(subjects, subjects.c.sid == resources.c.sid)
        # Within bounds, so that none joins more than is asked for.
        named = named.where(resources.c.deleted.is_(False)).limit(limit).correlate(None)
        batch = _rows(tx, [resources.c.rid.in_(named)], resources.c.rid.desc(), limit)
        if batch:
            yield batch
        if len(batch) < limit:
            return
        after, limit = batch[-1].rid, min(BATCH, 2 * limit)
        if not walks:
            yield from _named_once(tx, narrowing, after)
            return


def _named_once(tx: Transaction, narrowing: Narrowing, after: int) -> Iterator[Sequence[StoredResource]]:
    """The candidates below a row: one statement names as many as may be opened, for naming them is most of the work."""
    named = select(resources.c.rid).where(*narrowing.found(tx), resources.c.rid < after, resources.c.deleted.is_(False))
    if narrowing.needs_subjects:
        named = named.join(subjects, subjects.c.sid == resources.c.sid)
    # One batch more than may be opened, by which whoever opens them learns that there are more.
    ordered = named.order_by((resources.c.rid + 0).desc()).limit(SCAN_MAX + BATCH)
    rids = tx.execute(ordered).scalars().all()
    for start in range(0, len(rids), BATCH):
        yield _rows(tx, [is_among(resources.c.rid, rids[start : start + BATCH])], resources.c.rid.desc(), BATCH)


def _is_rare(tx: Transaction, query: SearchQuery) -> bool:
    """Whether there are few resources of the types that are searched."""
    types = [each.type for each in query.each]
    some = select(resources.c.rid).where(resources.c.type.in_(types)).limit(WALK).subquery()
    number: int = tx.execute(select(func.count()).select_from(some)).scalar_one()
    return number < WALK


def _rows(
    tx: Transaction, where: Sequence[ColumnElement[bool]], order: ColumnElement[Any], limit: int
) -> list[StoredResource]:
    """Rows, opened."""
    statement: Any = CURRENT.where(resources.c.deleted.is_(False), *where).order_by(order).limit(limit)
    return [opened(tx, row) for row in tx.execute(statement)]


def opened_rows(tx: Transaction, rids: Sequence[int], permitted: Permitted) -> list[StoredResource]:
    """Rows by their numbers, those that the caller may see."""
    statement = CURRENT.where(among(resources.c.rid, "rids"), resources.c.deleted.is_(False), is_permitted(permitted))
    return [opened(tx, row) for row in rows_among(tx, statement, "rids", rids)]

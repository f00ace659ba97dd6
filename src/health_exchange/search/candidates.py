"""Candidates of a search by index, and the scan that opens them until enough of them match.

Newest row first. Where the index leaves few rows they are asked for at once; where it may leave very many, the newest
rows are walked past first, for a page of them is soon full, and the index is asked where it is not.

Whoever opens bodies does so up to a bound: a search that would open more is refused with what would narrow it, and
never answered short.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, bindparam, func, select

from health_exchange.fhir.parameters import offered_for
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.search.matching import Matcher
from health_exchange.search.narrowing import FEW_TOKENS, Narrowing, narrowed, reference_tokens, sids_of
from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.terms import SearchQuery
from health_exchange.search.tokens import HASHED
from health_exchange.store.among import among, among_values
from health_exchange.store.resources import CURRENT, StoredResource, opened
from health_exchange.store.schema import resources, subjects, tokens
from health_exchange.store.shapes import rows_of
from health_exchange.store.token_index import (
    LED,
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
_MOST = bindparam("most", type_=BigInteger)
"""How many rows a statement gives."""


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
    conditions = [has_token(tx, [long]), *narrowing.found(tx)]
    rows = rows_of(tx, _dated, conditions, narrowing.needs_subjects, descending, most=at_most)
    return [Dated(row.rid, row.instant, bool(row.is_long)) for row in rows]


def _dated(conditions: Sequence[Any], needs_subjects: bool, descending: bool) -> Select[Any]:  # noqa: FBT001  # a shape
    is_long, *found = conditions
    instant = resources.c.instant.desc() if descending else resources.c.instant.asc()
    statement = select(resources.c.rid, resources.c.instant, is_long.label("is_long"))
    return (
        _with_rights(statement, needs_subjects)
        .where(resources.c.deleted.is_(False), *found)
        .order_by(resources.c.instant.is_(None), instant, resources.c.rid.desc())
        .limit(_MOST)
    )


def ids_found(tx: Transaction, query: SearchQuery, permitted: Permitted, at_most: int) -> Sequence[str] | None:
    """Ids of what a query finds; ``None`` where bodies would have to tell.

    Raises:
        TooWideError: There are more than ``at_most``.
    """
    narrowing = narrowed(tx, query, sids_of(tx, query), permitted)
    if not narrowing.is_exact or not (narrowing.tokens or narrowing.is_named):
        return None
    conditions = narrowing.found(tx)
    if narrowing.is_long and finds_as_many(tx, _ids(conditions, narrowing.needs_subjects), at_most + 1):
        raise too_wide(query.type, at_most)
    rows = rows_of(tx, _ids, conditions, narrowing.needs_subjects, most=at_most + 1)
    if len(rows) > at_most:
        raise too_wide(query.type, at_most)
    return [row.id for row in rows]


def _ids(conditions: Sequence[Any], needs_subjects: bool) -> Select[Any]:  # noqa: FBT001  # a shape
    statement = _with_rights(select(resources.c.id), needs_subjects)
    return statement.where(resources.c.deleted.is_(False), *conditions).limit(_MOST)


def referred_to(  # a search, and what it is asked about
    tx: Transaction, query: SearchQuery, permitted: Permitted, by: str, names: Sequence[str], *, is_wide: bool
) -> set[str] | None:
    """To which of some resources one that a query finds refers; ``None`` where bodies would have to tell.

    Args:
        tx: The transaction.
        query: What refers to them; its chains are followed already.
        permitted: What the caller may see.
        by: The reference.
        names: Each as ``Type/id``.
        is_wide: Whether the query finds more than what refers to these.
    """
    narrowing = narrowed(tx, query, sids_of(tx, query), permitted)
    references = reference_tokens(tx, query.type, by, names)
    if not narrowing.is_exact or narrowing.is_named or references is None:
        return None
    statement = together(tx, references, narrowing.tokens, leads_to_few=is_wide)
    statement = statement.where(resources.c.deleted.is_(False), *narrowing.others)
    if narrowing.needs_subjects:
        statement = statement.join(subjects, subjects.c.sid == resources.c.sid)
    there = set(tx.execute(statement).scalars())
    return {name for name, token in zip(names, references, strict=True) if token in there}


def counted(tx: Transaction, narrowing: Narrowing, at_most: int | None = None) -> int:
    """How many rows the index leaves; no more than ``at_most`` are counted."""
    if at_most is None and narrowing.tokens and not narrowing.others and not narrowing.type:
        return tokened(tx, narrowing.tokens)
    conditions, needs_subjects = narrowing.found(tx), narrowing.needs_subjects
    if at_most is None:
        [row] = rows_of(tx, _number, conditions, needs_subjects, False)
    elif narrowing.is_long and finds_as_many(tx, _numbers(conditions, needs_subjects), at_most):
        return at_most
    else:
        [row] = rows_of(tx, _number, conditions, needs_subjects, True, most=at_most)
    return int(row.number)


def _number(conditions: Sequence[Any], needs_subjects: bool, is_bound: bool) -> Select[Any]:  # noqa: FBT001  # a shape
    rows = _numbers(conditions, needs_subjects)
    number = func.count().label("number")
    if not is_bound:
        return rows.with_only_columns(number)
    return select(number).select_from(rows.limit(_MOST).subquery())


def _numbers(conditions: Sequence[Any], needs_subjects: bool) -> Select[Any]:  # noqa: FBT001  # a shape
    return _with_rights(select(resources.c.rid), needs_subjects).where(resources.c.deleted.is_(False), *conditions)


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
    if narrowing.is_rare or narrowing.is_looked_up or leads_in_order(tx, narrowing.tokens):
        yield from _by_index(tx, narrowing, after, limit)
        return
    if after is None:
        after = (tx.execute(select(func.max(resources.c.rid))).scalar_one() or 0) + 1
    # The more tokens are compared with each row, the fewer rows are walked past.
    number = sum(map(len, narrowing.tokens))
    walk = WALK if number <= FEW_TOKENS else max(min(WALK // 10, WALK * FEW_TOKENS // number), 1)
    while after > 0:
        floor = max(after - walk, 0)
        above = [resources.c.rid >= floor, resources.c.rid < after]
        batch = _opened(tx, rows_of(tx, _walked, [*narrowing.met(tx), *above], most=limit))
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
            led = led_by(tx, narrowing.tokens, after, leads_to_few=narrowing.is_rare)
            found = [*led, *narrowing.others]
        else:
            found = [*narrowing.found(tx), *([] if after is None else [resources.c.rid < after])]
        batch = _opened(tx, rows_of(tx, _named, found, walks, narrowing.needs_subjects, most=limit))
        if batch:
            yield batch
        if len(batch) < limit:
            return
        after, limit = batch[-1].rid, min(BATCH, 2 * limit)
        if not walks:
            yield from _named_once(tx, narrowing, after)
            return


def _named_once(tx: Transaction, narrowing: Narrowing, after: int) -> Iterator[Sequence[StoredResource]]:
    """The candidates below a row: one statement names as many as may be opened, for naming them is most of the work.

    Rights are in that statement alone: whoever reads sees one state in all of a transaction, who writes is alone.
    """
    # One batch more than may be opened, by which whoever opens them learns that there are more.
    found = [*narrowing.found(tx), resources.c.rid < after]
    rids = [row.rid for row in rows_of(tx, _names, found, narrowing.needs_subjects, most=SCAN_MAX + BATCH)]
    for start in range(0, len(rids), BATCH):
        part = [among_values(resources.c.rid, rids[start : start + BATCH])]
        yield _opened(tx, rows_of(tx, _walked, part, most=BATCH))


def _is_rare(tx: Transaction, query: SearchQuery) -> bool:
    """Whether there are few resources of the types that are searched."""
    types = [each.type for each in query.each]
    some = select(resources.c.rid).where(resources.c.type.in_(types)).limit(WALK).subquery()
    number: int = tx.execute(select(func.count()).select_from(some)).scalar_one()
    return number < WALK


def _walked(conditions: Sequence[Any]) -> Select[Any]:
    """Rows that are walked past, newest first."""
    statement: Select[Any] = CURRENT.where(resources.c.deleted.is_(False), *conditions)
    return statement.order_by(resources.c.rid.desc()).limit(_MOST)


def _named(conditions: Sequence[Any], walks: bool, needs_subjects: bool) -> Select[Any]:  # noqa: FBT001  # a shape
    """Rows that the index names, newest first."""
    if not walks:
        named = _names(conditions, needs_subjects)
    else:
        led = select(tokens.c.rid).select_from(LED).where(*conditions, resources.c.deleted.is_(False))
        named = _with_rights(led, needs_subjects).order_by(tokens.c.rid.desc()).limit(_MOST)
    return _walked([resources.c.rid.in_(named.correlate(None))])


def _names(conditions: Sequence[Any], needs_subjects: bool) -> Select[Any]:  # noqa: FBT001  # a shape
    """Their numbers, within bounds, so that none joins more than is asked for."""
    # As an expression, so that no database takes it for cheap to walk past all rows in their order.
    return _numbers(conditions, needs_subjects).order_by((resources.c.rid + 0).desc()).limit(_MOST)


def _with_rights(statement: Select[Any], needs_subjects: bool) -> Select[Any]:  # noqa: FBT001  # of a shape
    """A statement with whose its rows are, where rights ask for it."""
    return statement.join(subjects, subjects.c.sid == resources.c.sid) if needs_subjects else statement


def _opened(tx: Transaction, rows: Sequence[Any]) -> list[StoredResource]:
    return [opened(tx, row) for row in rows]


def opened_rows(tx: Transaction, rids: Sequence[int], permitted: Permitted) -> list[StoredResource]:
    """Rows by their numbers, those that the caller may see."""
    rights = [] if permitted.is_whole else [is_permitted(permitted)]
    return _opened(tx, rows_of(tx, _of_rids, rights, rids=rids)) if rids else []


def _of_rids(conditions: Sequence[Any]) -> Select[Any]:
    statement: Select[Any] = CURRENT.where(among(resources.c.rid, "rids"), resources.c.deleted.is_(False), *conditions)
    return statement

"""Finding resources: candidates by index, under what policy permits, checked again on the opened body.

What policy permits is part of the SQL, before anything is counted, followed or cut into pages, so that neither a total
nor a page tells of resources the caller may not see. Without another order it is by row number, newest first: a row
keeps its number for life, so no page repeats or skips what was there when the first one was read. In another order the
first page decides all of it, and the rest of its rows stands in the link to the next page.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import select

from health_exchange.model.identifiers import Pseudonym
from health_exchange.search.candidates import (
    BATCH,
    SCAN_MAX,
    TooCostlyError,
    among_rows,
    counted,
    matches_of,
    too_costly,
)
from health_exchange.search.chains import followed
from health_exchange.search.including import included
from health_exchange.search.matching import Matcher
from health_exchange.search.narrowing import narrowed, sids_of
from health_exchange.search.ordering import ordered
from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.query import parse_text
from health_exchange.search.terms import SearchQuery, Total
from health_exchange.search.values import BadSearchError
from health_exchange.store import subjects as people
from health_exchange.store.resources import CURRENT, StoredResource, opened
from health_exchange.store.schema import resources, subjects
from health_exchange.store.transaction import Transaction

CONDITIONAL_MAX = 1_000
"""Most candidates a conditional create or reference may have."""
UNASKED_MAX = 1_000
"""Up to how many are counted where nobody insists."""
SORTED_MAX = SCAN_MAX
"""Most resources that follow a first page in an order that is not that of rows: the link to the next holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """One page.

    Attributes:
        resources: What matches, in order.
        included: What comes beside it.
        after: Row number to go on from; ``None`` at the end, and where there are ``rest``.
        rest: Rows of the next pages, in an order of their own.
    """

    resources: Sequence[StoredResource]
    included: Sequence[StoredResource] = ()
    after: int | None = None
    rest: tuple[int, ...] = ()

    @property
    def is_last(self) -> bool:
        """Whether no page follows."""
        return self.after is None and not self.rest


def find(
    tx: Transaction, query: SearchQuery, permitted: Permitted, after: int | None = None, rest: Sequence[int] = ()
) -> FoundPage:
    """The next page of what a query finds.

    Args:
        tx: The transaction.
        query: What is asked.
        permitted: What the caller may see, of every type that the query looks at.
        after: Where the page before ended.
        rest: The rows that the page before left.

    Raises:
        TooCostlyError: Too many resources would have to be opened, followed, sorted or included.
    """
    if query.count == 0:
        return FoundPage(resources=())
    plain = followed(tx, query, permitted)
    if rest:
        page = FoundPage(
            resources=list(among_rows(tx, plain, permitted, rest[: query.count])), rest=tuple(rest[query.count :])
        )
    elif query.sorting:
        page = _sorted_page(tx, plain, permitted)
    else:
        found = list(islice(matches_of(tx, plain, permitted, after=after, wanted=query.count + 1), query.count + 1))
        more = len(found) > query.count
        found = found[: query.count]
        page = FoundPage(resources=found, after=found[-1].rid if more else None)
    beside = included(tx, page.resources, query.inclusions, permitted)
    return FoundPage(resources=page.resources, included=beside, after=page.after, rest=page.rest)


def _sorted_page(tx: Transaction, query: SearchQuery, permitted: Permitted) -> FoundPage:
    """The first page in the order that is asked for, and the rows of all others."""
    found = ordered(matches_of(tx, query, permitted), query.sorting)
    if len(found) > query.count + SORTED_MAX:
        raise TooCostlyError(f"more than {SORTED_MAX} resources would be sorted; ask for fewer, or in no order")
    return FoundPage(resources=found[: query.count], rest=tuple(kept.rid for kept in found[query.count :]))


def total(tx: Transaction, query: SearchQuery, permitted: Permitted) -> int | None:
    """How many resources a query finds; ``None`` where it is not to be counted, or nobody insists and it costs much.

    What the index only guesses is counted on opened bodies, everything else in the index (where two values share a
    token once in 2^64).

    Raises:
        TooCostlyError: Counting would mean opening more than ``SCAN_MAX``, and the total is insisted on.
    """
    if query.total is Total.NONE and query.count:
        return None
    plain = followed(tx, query, permitted)
    narrowing = narrowed(tx, plain, sids_of(tx, plain), permitted)
    insists = query.total is Total.ACCURATE or not query.count
    most = SCAN_MAX if insists else min(SCAN_MAX, UNASKED_MAX)
    if narrowing.is_exact:
        count = counted(tx, narrowing, permitted, None if insists else most + 1)
        return None if count > most and not insists else count
    if not insists:
        most = min(most, BATCH)
    if counted(tx, narrowing, permitted, most + 1) <= most:
        return sum(1 for _kept in matches_of(tx, plain, permitted))
    if insists:
        raise too_costly(query.type)
    return None


def find_ids(tx: Transaction, resource_type: str, query_text: str) -> list[str]:
    """Ids of all resources here that a conditional create or reference means, whoever asks.

    Args:
        tx: The transaction: a snapshot, or the write itself.
        resource_type: What is searched.
        query_text: ``identifier=system|value``, with or without a question mark before it. Untrusted.

    Raises:
        UnknownParameterError: It asks for what this door does not offer.
        BadSearchError: It names no criterion, or so weak a one that too many resources would have to be opened.
    """
    query = parse_text(resource_type, query_text)
    sids = sids_of(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    where = narrowed(tx, query, sids, None).found(tx)
    statement: Any = CURRENT.where(resources.c.deleted.is_(False), *where).order_by((resources.c.rid + 0).desc())
    rows = tx.execute(statement.limit(CONDITIONAL_MAX + 1)).all()
    if len(rows) > CONDITIONAL_MAX:
        raise BadSearchError("the condition is too broad to be decided")
    return [kept.id for kept in (opened(tx, row) for row in rows) if matcher.matches(kept)]


def candidate_versions(tx: Transaction, resource_type: str, query_text: str) -> tuple[tuple[int, int], ...]:
    """Row and version of every candidate of :func:`find_ids`, without opening any.

    While it is the same, so is the answer of ``find_ids``: the write compares it with what the snapshot gave.

    Raises:
        UnknownParameterError: As :func:`find_ids`.
        BadSearchError: As :func:`find_ids`.
    """
    query = parse_text(resource_type, query_text)
    rows = tx.execute(
        select(resources.c.rid, resources.c.version)
        .join(subjects, subjects.c.sid == resources.c.sid)
        .where(resources.c.deleted.is_(False), *narrowed(tx, query, sids_of(tx, query), None).found(tx))
        .order_by((resources.c.rid + 0).desc())
        .limit(CONDITIONAL_MAX + 1)
    )
    return tuple((row.rid, row.version) for row in rows)


def of_subjects(tx: Transaction, sids: Iterable[int], permitted: Permitted, limit: int) -> list[StoredResource]:
    """Everything of these subjects that the caller may see, latest clinical date first; at most ``limit``."""
    statement: Any = CURRENT.where(
        resources.c.sid.in_(sorted(set(sids))), resources.c.deleted.is_(False), is_permitted(permitted)
    )
    ordered = statement.order_by(resources.c.instant.desc(), resources.c.rid.desc()).limit(limit)
    return [opened(tx, row) for row in tx.execute(ordered)]


def pseudonyms_of(tx: Transaction, sids: Iterable[int]) -> tuple[Pseudonym, ...]:
    """Who these subjects are, as far as that is known, in order."""
    living = people.by_sids(tx, {sid for sid in sids if sid != people.DIRECTORY_SID})
    return tuple(sorted({found.pseudonym for found in living.values() if found.pseudonym is not None}))

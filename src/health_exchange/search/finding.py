"""Finding resources: candidates by index, under what policy permits, checked again on the opened body.

What policy permits is part of the SQL, before anything is counted, followed or cut into pages, so that neither a total
nor a page tells of resources the caller may not see. Without another order it is by row number, newest first: a row
keeps its number for life, so no page repeats or skips what was there when the first one was read. In another order the
first page decides all of it, and the rest of its rows stands in the link to the next page.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Select, select

from health_exchange.fhir.parameters import instant_text, is_dated
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.search.candidates import (
    BATCH,
    SCAN_MAX,
    TooCostlyError,
    among_rows,
    counted,
    dated_rows,
    matches_of,
    opened_rows,
    too_costly,
)
from health_exchange.search.chains import followed, sieve_of
from health_exchange.search.including import included
from health_exchange.search.matching import Matcher, decoded
from health_exchange.search.narrowing import narrowed, sids_of
from health_exchange.search.ordering import key_of, ordered
from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.query import parse_text
from health_exchange.search.terms import SearchQuery, Total
from health_exchange.search.tokens import long_token
from health_exchange.search.values import BadSearchError
from health_exchange.store import generations
from health_exchange.store import subjects as people
from health_exchange.store.resources import CURRENT, StoredResource, opened
from health_exchange.store.schema import resources, subjects
from health_exchange.store.shapes import rows_of
from health_exchange.store.transaction import Transaction

CONDITIONAL_MAX = 1_000
"""Most candidates a conditional create or reference may have."""
_UNDECIDED = ResourceClass(
    type="", sensitivity=Sensitivity.RESTRICTED, category=SensitiveCategory.GENERAL, jurisdiction=""
)
"""Of what is not kept yet: conditions find it whoever asks."""
UNASKED_MAX = 1_000
"""Up to how many are counted where nobody insists."""
PAGE_BYTES_MAX = 32 << 20
"""Most bytes of what is found on one page; of more, the rest is on the next page. One resource is always on it."""
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
        page = _taken(tx, plain, permitted, rest)
    elif query.sorting:
        page = _sorted_page(tx, plain, permitted)
    else:
        wanted = query.count + 1
        matches = matches_of(tx, plain, permitted, after=after, wanted=wanted, sieve=sieve_of(tx, permitted))
        found, more = page_of(matches, query.count)
        page = FoundPage(resources=found, after=found[-1].rid if more else None)
    beside = included(tx, page.resources, query.inclusions, permitted)
    return FoundPage(resources=page.resources, included=beside, after=page.after, rest=page.rest)


def page_of(found: Iterable[StoredResource], count: int) -> tuple[list[StoredResource], bool]:
    """As many of these as a page holds, in count and in bytes, and whether there are more."""
    page: list[StoredResource] = []
    page_bytes = 0
    for kept in found:
        page_bytes += len(kept.body or b"")
        if len(page) == count or (page and page_bytes > PAGE_BYTES_MAX):
            return page, True
        page.append(kept)
    return page, False


def _taken(tx: Transaction, query: SearchQuery, permitted: Permitted, rids: Sequence[int]) -> FoundPage:
    """A page of rows that are in order already, as far as they still match; the others are left for the next."""
    found: list[StoredResource] = []
    found_bytes = 0
    for start in range(0, len(rids), query.count):
        part = rids[start : start + query.count]
        for kept in among_rows(tx, query, permitted, part, sieve_of(tx, permitted)):
            found_bytes += len(kept.body or b"")
            if found and found_bytes > PAGE_BYTES_MAX:
                return FoundPage(resources=found, rest=tuple(rids[start + part.index(kept.rid) :]))
            found.append(kept)
            if len(found) == query.count:
                return FoundPage(resources=found, rest=tuple(rids[start + part.index(kept.rid) + 1 :]))
    return FoundPage(resources=found)


def _sorted_page(tx: Transaction, query: SearchQuery, permitted: Permitted) -> FoundPage:
    """The first page in the order that is asked for, and the rows of all others."""
    rids = _dated(tx, query, permitted)
    if rids is not None:
        return _taken(tx, query, permitted, rids)
    found = ordered(matches_of(tx, query, permitted, sieve=sieve_of(tx, permitted)), query.sorting)
    if len(found) > query.count + SORTED_MAX:
        raise _unsorted()
    page, _more = page_of(found, query.count)
    return FoundPage(resources=page, rest=tuple(kept.rid for kept in found[len(page) :]))


def _dated(tx: Transaction, query: SearchQuery, permitted: Permitted) -> list[int] | None:
    """Candidates in the order of their date as rows keep it; ``None`` where that is not the order asked for."""
    rank, *others = query.sorting
    if others or rank.name != "date" or not query.type or not is_dated(query.type):
        return None
    if not generations.has(tx, generations.TEXTS):
        return None
    long = long_token(tx.keys.tokens, query.type)
    narrowing = narrowed(tx, query, sids_of(tx, query), permitted)
    most = query.count + SORTED_MAX
    rows = dated_rows(tx, narrowing, long, descending=rank.descending, at_most=most + 1)
    if len(rows) > most:
        raise _unsorted()
    apart = [row.rid for row in rows if row.is_long]
    if not apart:
        return [row.rid for row in rows]
    if len(apart) > BATCH:
        return None
    said = {kept.rid: key_of(kept, decoded(kept), rank) for kept in opened_rows(tx, apart, permitted)}
    keyed = [
        (row.rid, instant_text(key[1]) if (key := said.get(row.rid)) and isinstance(key[1], datetime) else None)
        if row.is_long
        else (row.rid, row.instant)
        for row in sorted(rows, key=lambda row: -row.rid)
    ]
    present = sorted((each for each in keyed if each[1] is not None), key=itemgetter(1), reverse=rank.descending)
    return [rid for rid, _key in [*present, *(each for each in keyed if each[1] is None)]]


def _unsorted() -> TooCostlyError:
    return TooCostlyError(f"more than {SORTED_MAX} resources would be sorted; ask for fewer, or in no order")


def total(tx: Transaction, query: SearchQuery, permitted: Permitted, page: FoundPage | None = None) -> int | None:
    """How many resources a query finds; ``None`` where it is not to be counted, or nobody insists and it costs much.

    What the index only guesses is counted on opened bodies, everything else in the index (where two values share a
    token once in 2^64). Where nobody insists, more than some are not counted.

    Args:
        tx: The transaction.
        query: What is asked.
        permitted: What the caller may see.
        page: The first one, where it was looked for already: unless somebody insists, no body is opened beyond it.

    Raises:
        TooCostlyError: Counting would mean opening more than ``SCAN_MAX``, and the total is insisted on.
    """
    if query.total is Total.NONE and query.count:
        return None
    if page is not None and query.count and page.is_last:
        return len(page.resources)
    plain = followed(tx, query, permitted)
    narrowing = narrowed(tx, plain, sids_of(tx, plain), permitted)
    insists = query.total is Total.ACCURATE or not query.count
    most = SCAN_MAX if insists else min(SCAN_MAX, UNASKED_MAX)
    if narrowing.is_exact and (insists or not narrowing.has_many):
        count = counted(tx, narrowing, None if insists else most + 1)
        return None if count > most and not insists else count
    if not insists:
        if page is not None:
            return None
        most = min(most, BATCH)
    if counted(tx, narrowing, most + 1) <= most:
        return sum(1 for _kept in matches_of(tx, plain, permitted, sieve=sieve_of(tx, permitted)))
    if insists:
        raise too_costly(query.type)
    return None


def find_bare(tx: Transaction, resource_type: str, query_text: str) -> list[StoredResource]:
    """All resources here that a conditional create or reference means, whoever asks, without their bodies.

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
    rows = rows_of(tx, _conditional, narrowed(tx, query, sids, None).found(tx))
    if len(rows) > CONDITIONAL_MAX:
        raise BadSearchError("the condition is too broad to be decided")
    return [replace(kept, body=None) for kept in (opened(tx, row) for row in rows) if matcher.matches(kept)]


def find_among(
    tx: Transaction, conditions: Iterable[tuple[str, str]], bodies: Mapping[tuple[str, str], bytes | None]
) -> dict[tuple[str, str], list[str]]:
    """Ids of those of ``bodies``, which are about to be kept, that each condition means.

    Each body is read once, however many conditions there are.

    Args:
        tx: The transaction.
        conditions: Resource type and query text of each. Untrusted.
        bodies: By type and id; ``None`` for what is about to be deleted.

    Raises:
        ExchangeError: As :func:`find_bare`.
    """
    found: dict[tuple[str, str], list[str]] = {condition: [] for condition in conditions}
    matchers: dict[str, list[tuple[list[str], Matcher]]] = {}
    for condition, ids in found.items():
        query = parse_text(*condition)
        matchers.setdefault(query.type, []).append((ids, Matcher(query, sids_of(tx, query), tx.keys.tokens)))
    now = tx.clock.now().isoformat()
    for (resource_type, resource_id), body in bodies.items():
        if body is not None and resource_type in matchers:
            kept = _to_be_kept(resource_type, resource_id, body, now)
            inside = decoded(kept)
            for ids, matcher in matchers[resource_type]:
                if matcher.matches(kept, inside):
                    ids.append(resource_id)
    return found


def _to_be_kept(resource_type: str, resource_id: str, body: bytes, now: str) -> StoredResource:
    """What is about to be kept, as if it were."""
    return StoredResource(
        rid=0,
        type=resource_type,
        id=resource_id,
        sid=people.DIRECTORY_SID,
        origin="",
        version=0,
        resource_class=_UNDECIDED,
        changed_at=now,
        instant=None,
        deleted=False,
        body=body,
    )


def candidate_versions(tx: Transaction, resource_type: str, query_text: str) -> tuple[tuple[int, int], ...]:
    """Row and version of every candidate of :func:`find_bare`, without opening any.

    While it is the same, so is the answer of ``find_bare``: the write compares it with what the snapshot gave.

    Raises:
        UnknownParameterError: As :func:`find_bare`.
        BadSearchError: As :func:`find_bare`.
    """
    query = parse_text(resource_type, query_text)
    rows = rows_of(tx, _conditional_versions, narrowed(tx, query, sids_of(tx, query), None).found(tx))
    return tuple((row.rid, row.version) for row in rows)


def _conditional(conditions: Sequence[Any], statement: Any = CURRENT) -> Select[Any]:  # noqa: ANN401  # a SELECT
    found: Select[Any] = statement.where(resources.c.deleted.is_(False), *conditions)
    return found.order_by((resources.c.rid + 0).desc()).limit(CONDITIONAL_MAX + 1)


def _conditional_versions(conditions: Sequence[Any]) -> Select[Any]:
    versions = select(resources.c.rid, resources.c.version).join(subjects, subjects.c.sid == resources.c.sid)
    return _conditional(conditions, versions)


def of_subjects(tx: Transaction, sids: Iterable[int], permitted: Permitted, limit: int) -> list[StoredResource]:
    """Everything of these subjects that the caller may see, latest clinical date first; at most ``limit``."""
    statement: Any = CURRENT.where(
        resources.c.sid.in_(sorted(set(sids))), resources.c.deleted.is_(False), is_permitted(permitted)
    )
    ordered = statement.order_by(resources.c.instant.desc(), resources.c.rid.desc()).limit(limit)
    return [opened(tx, row) for row in tx.execute(ordered)]


def pseudonyms_of(found: Iterable[StoredResource]) -> tuple[Pseudonym, ...]:
    """Whose these resources are, as far as that is known, in order."""
    return tuple(sorted({kept.pseudonym for kept in found if kept.pseudonym is not None}))

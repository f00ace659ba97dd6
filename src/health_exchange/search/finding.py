"""Finding resources: candidates by index, under what policy permits, checked again on the opened body.

What policy permits is part of the SQL, before anything is counted or cut into pages, so that neither a total nor a page
tells of resources the caller may not see. The order is by row number, newest first: a row keeps its number for life, so
no page repeats or skips what was there when the first one was read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select

from health_exchange.fhir.parameters import offered_for
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.search.matching import Matcher
from health_exchange.search.query import (
    BadSearchError,
    Criterion,
    DateTerm,
    IdTerm,
    KeyedTerm,
    PersonTerm,
    ReferenceTerm,
    SearchQuery,
    Term,
    TokenTerm,
    parse_text,
)
from health_exchange.search.spans import LATEST, Comparator
from health_exchange.search.tokens import is_found_exactly, tokens_asked
from health_exchange.store import subjects as people
from health_exchange.store.resources import CURRENT, StoredResource, opened
from health_exchange.store.schema import classes, resources, subjects
from health_exchange.store.token_index import has_token
from health_exchange.store.transaction import Transaction

BATCH = 200
SCAN_MAX = 5_000
"""Most candidates opened for one page or one total; beyond, a page may be short and a total is left out."""
CONDITIONAL_MAX = 1_000
"""Most candidates a conditional create or reference may have."""
_HASHED = (TokenTerm, ReferenceTerm, KeyedTerm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """Which resources the caller may see: class numbers by the consent class of their subject.

    A consent class that is not named permits nothing.
    """

    classes: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is permitted."""
        return not any(self.classes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """One page.

    Attributes:
        resources: Newest row first.
        after: Row number to go on from; ``None`` at the end.
    """

    resources: Sequence[StoredResource]
    after: int | None


def classes_of(tx: Transaction, resource_type: str | None = None) -> dict[int, ResourceClass]:
    """Every class that this node has met, or those of one type, by number."""
    statement = select(classes)
    if resource_type is not None:
        statement = statement.where(classes.c.type == resource_type)
    return {
        row.class_id: ResourceClass(
            type=row.type,
            sensitivity=Sensitivity(row.sensitivity),
            category=SensitiveCategory(row.category),
            jurisdiction=row.jurisdiction,
        )
        for row in tx.execute(statement)
    }


def consents_of(tx: Transaction, sids: Iterable[int] | None = None) -> list[str]:
    """Every consent class that a subject here has, or that one of ``sids`` has."""
    statement = select(subjects.c.consent).distinct()
    if sids is not None:
        statement = statement.where(subjects.c.sid.in_(list(sids)))
    return sorted(tx.execute(statement).scalars())


def find(tx: Transaction, query: SearchQuery, permitted: Permitted, after: int | None = None) -> FoundPage:
    """The next page of what a query finds.

    Args:
        tx: The transaction.
        query: What is asked.
        permitted: What the caller may see.
        after: Where the page before ended.
    """
    if query.count == 0:
        return FoundPage(resources=(), after=None)
    sids = _sids(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    where = [*_criteria(tx, query, sids), _is_permitted(permitted)]
    limit = BATCH if _is_guessed(query) else min(BATCH, query.count + 1)
    found: list[StoredResource] = []
    scanned = 0
    while scanned < SCAN_MAX:
        batch = _batch(tx, where, after, limit)
        for kept in batch:
            if matcher.matches(kept):
                if len(found) == query.count:
                    return FoundPage(resources=found, after=found[-1].rid)
                found.append(kept)
        if len(batch) < limit:
            return FoundPage(resources=found, after=None)
        after, scanned = batch[-1].rid, scanned + len(batch)
    return FoundPage(resources=found, after=after)


def total(tx: Transaction, query: SearchQuery, permitted: Permitted) -> int | None:
    """How many resources a query finds; ``None`` where counting would mean opening more than ``SCAN_MAX``.

    What the index only guesses is counted on opened bodies, everything else in the index (where two values share a
    token once in 2^64).
    """
    sids = _sids(tx, query)
    where = [*_criteria(tx, query, sids), _is_permitted(permitted)]
    count: int = tx.execute(
        select(func.count())
        .select_from(resources)
        .join(subjects, subjects.c.sid == resources.c.sid)
        .where(resources.c.deleted.is_(False), *where)
    ).scalar_one()
    if not _is_guessed(query):
        return count
    if count > SCAN_MAX:
        return None
    matcher = Matcher(query, sids, tx.keys.tokens)
    return sum(matcher.matches(kept) for kept in _all(tx, where))


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
    query = parse_text(resource_type, query_text, offered_for(resource_type))
    sids = _sids(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    candidates = _batch(tx, _criteria(tx, query, sids), None, CONDITIONAL_MAX + 1)
    if len(candidates) > CONDITIONAL_MAX:
        raise BadSearchError("the condition is too broad to be decided")
    return [kept.id for kept in candidates if matcher.matches(kept)]


def candidate_versions(tx: Transaction, resource_type: str, query_text: str) -> tuple[tuple[int, int], ...]:
    """Row and version of every candidate of :func:`find_ids`, without opening any.

    While it is the same, so is the answer of ``find_ids``: the write compares it with what the snapshot gave.

    Raises:
        UnknownParameterError: As :func:`find_ids`.
        BadSearchError: As :func:`find_ids`.
    """
    query = parse_text(resource_type, query_text, offered_for(resource_type))
    rows = tx.execute(
        select(resources.c.rid, resources.c.version)
        .join(subjects, subjects.c.sid == resources.c.sid)
        .where(resources.c.deleted.is_(False), *_criteria(tx, query, _sids(tx, query)))
        .order_by(resources.c.rid.desc())
        .limit(CONDITIONAL_MAX + 1)
    )
    return tuple((row.rid, row.version) for row in rows)


def _is_guessed(query: SearchQuery) -> bool:
    """Whether candidates may be many more than matches: dates, and codes in no system, are told by opened bodies."""
    return any(
        isinstance(term, DateTerm) or (isinstance(term, TokenTerm) and not is_found_exactly(term))
        for criterion in query.criteria
        for term in criterion.terms
    )


def _batch(
    tx: Transaction, where: Sequence[ColumnElement[bool]], after: int | None, limit: int
) -> list[StoredResource]:
    """The next candidates, opened."""
    statement: Any = CURRENT.where(resources.c.deleted.is_(False), *where)
    if after is not None:
        statement = statement.where(resources.c.rid < after)
    return [opened(tx, row) for row in tx.execute(statement.order_by(resources.c.rid.desc()).limit(limit))]


def _all(tx: Transaction, where: Sequence[ColumnElement[bool]]) -> Iterable[StoredResource]:
    """Every candidate, a batch at a time."""
    after: int | None = None
    while batch := _batch(tx, where, after, BATCH):
        yield from batch
        after = batch[-1].rid


def _sids(tx: Transaction, query: SearchQuery) -> dict[str, frozenset[int]]:
    """Subjects of every person the query names."""
    named = {term.pseudonym for criterion in query.criteria for term in criterion.terms if isinstance(term, PersonTerm)}
    return {name: frozenset(found.sid for found in people.subjects_of(tx, Pseudonym(name))) for name in named}


def _is_permitted(permitted: Permitted) -> ColumnElement[bool]:
    """The caller's rights as a condition; texts that permit the same are one, for there may be as many as persons."""
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


def _criteria(tx: Transaction, query: SearchQuery, sids: Mapping[str, frozenset[int]]) -> list[ColumnElement[bool]]:
    """The query as conditions that no match fails; some that hold for more are checked again on the body."""
    conditions: list[ColumnElement[bool]] = []
    # A token's hash holds the type. Said again, it leads SQLite to walk all of the type instead of the token's rows.
    if not any(all(isinstance(term, _HASHED) for term in criterion.terms) for criterion in query.criteria):
        conditions.append(resources.c.type == query.type)
    for criterion in query.criteria:
        alternatives = [_condition(tx, query.type, criterion, term, sids) for term in criterion.terms]
        narrowing = [condition for condition in alternatives if condition is not None]
        if len(narrowing) == len(alternatives):
            conditions.append(or_(*narrowing))
    return conditions


def _condition(
    tx: Transaction, resource_type: str, criterion: Criterion, term: Term, sids: Mapping[str, frozenset[int]]
) -> ColumnElement[bool] | None:
    """One alternative as a condition; ``None`` where the index does not help."""
    match term:
        case IdTerm():
            return resources.c.id == term.id
        case PersonTerm():
            return resources.c.sid.in_(sorted(sids[term.pseudonym]))
        case KeyedTerm():
            return has_token(tx, [term.token])
        case TokenTerm() | ReferenceTerm():
            return has_token(tx, tokens_asked(tx.keys.tokens, resource_type, criterion.name, term))
        case DateTerm():
            return _changed(term) if criterion.name == "_lastUpdated" else None


def _changed(term: DateTerm) -> ColumnElement[bool] | None:
    """A wide guess at ``changed_at`` by the day: its text may be in any zone, a day wide at most."""
    day = timedelta(days=1)
    from_day = (term.start - day).date().isoformat()
    # The calendar ends: a span up to its edge has no two days after it.
    to_day = (min(term.end, LATEST - day) + 2 * day).date().isoformat()
    match term.comparator:
        case Comparator.GT | Comparator.GE:
            return resources.c.changed_at >= from_day
        case Comparator.LT | Comparator.LE:
            return resources.c.changed_at < to_day
        case Comparator.EQ:
            return and_(resources.c.changed_at >= from_day, resources.c.changed_at < to_day)
        case Comparator.NE:
            return None


def of_subjects(tx: Transaction, sids: Iterable[int], permitted: Permitted, limit: int) -> list[StoredResource]:
    """Everything of these subjects that the caller may see, latest clinical date first; at most ``limit``."""
    statement: Any = CURRENT.where(
        resources.c.sid.in_(sorted(set(sids))), resources.c.deleted.is_(False), _is_permitted(permitted)
    )
    ordered = statement.order_by(resources.c.instant.desc(), resources.c.rid.desc()).limit(limit)
    return [opened(tx, row) for row in tx.execute(ordered)]


def pseudonyms_of(tx: Transaction, sids: Iterable[int]) -> tuple[Pseudonym, ...]:
    """Who these subjects are, as far as that is known, in order."""
    living = people.by_sids(tx, {sid for sid in sids if sid != people.DIRECTORY_SID})
    return tuple(sorted({found.pseudonym for found in living.values() if found.pseudonym is not None}))

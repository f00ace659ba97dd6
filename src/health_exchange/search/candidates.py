"""Candidates of a search by index, and the scan that opens them until enough of them match.

An index may hold more than what matches, never less. Whoever opens bodies does so up to a bound: a search that would
open more is refused with what would narrow it, and never answered short.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_

from health_exchange.fhir.parameter_table import compartment_of
from health_exchange.fhir.parameters import offered_for
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.search.matching import Matcher
from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.spans import LATEST, Comparator
from health_exchange.search.terms import (
    AmongTerm,
    CompartmentTerm,
    Criterion,
    DateTerm,
    IdsTerm,
    IdTerm,
    KeyedTerm,
    PersonTerm,
    ReferenceTerm,
    SearchQuery,
    Term,
)
from health_exchange.search.tokens import (
    HASHED,
    is_found_exactly,
    is_hashed,
    named_tokens,
    tokens_asked,
)
from health_exchange.store import subjects as people
from health_exchange.store.resources import CURRENT, StoredResource, opened
from health_exchange.store.schema import resources
from health_exchange.store.token_index import has_token
from health_exchange.store.transaction import Transaction

BATCH = 200
SCAN_MAX = 5_000
"""Most candidates opened for one page, one total or one step of a chain."""
LOOKED_AT_MAX = 20_000
"""Most resources that all steps of a search's chains together may open or name; and all of what includes others."""


class TooCostlyError(ExchangeError):
    """The search would have to open too many resources, or would give too many."""

    category = Category.INCORRECT
    code = "too-costly"


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
) -> Iterator[StoredResource]:
    """Everything that a query finds, newest row first.

    Args:
        tx: The transaction.
        query: What is asked; its chains are followed already.
        permitted: What the caller may see; ``None`` for everything.
        after: Row number to begin below.
        wanted: How many the caller will take, by which batches are cut.
        budget: Of the search that this is a step of.

    Raises:
        TooCostlyError: More than :data:`SCAN_MAX` were opened, and there are more; or the budget is spent.
    """
    sids = sids_of(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    where = conditions(tx, query, sids, permitted)
    limit = BATCH if is_guessed(query) else min(BATCH, wanted)
    scanned = 0
    while batch := _batch(tx, where, after, limit):
        if scanned >= SCAN_MAX:
            raise too_costly(query.type)
        if budget is not None:
            budget.spend(len(batch))
        yield from (kept for kept in batch if matcher.matches(kept))
        if len(batch) < limit:
            return
        after, scanned = batch[-1].rid, scanned + len(batch)


def among_rows(
    tx: Transaction, query: SearchQuery, permitted: Permitted, rids: Sequence[int]
) -> Iterator[StoredResource]:
    """Those of some rows that a query still finds, in their order."""
    sids = sids_of(tx, query)
    matcher = Matcher(query, sids, tx.keys.tokens)
    statement = CURRENT.where(resources.c.rid.in_(rids), resources.c.deleted.is_(False), is_permitted(permitted))
    found = {row.rid: opened(tx, row) for row in tx.execute(statement)}
    yield from (found[rid] for rid in rids if rid in found and matcher.matches(found[rid]))


def conditions(
    tx: Transaction, query: SearchQuery, sids: Mapping[str, frozenset[int]], permitted: Permitted | None
) -> list[ColumnElement[bool]]:
    """The query as conditions that no match fails; some that hold for more are checked again on the body."""
    found: list[ColumnElement[bool]] = [] if permitted is None else [is_permitted(permitted)]
    if query.branches:
        return [*found, or_(*(and_(*conditions(tx, branch, sids, None)) for branch in query.branches))]
    # A token's hash holds the type. Said again, it leads SQLite to walk all of the type instead of the token's rows.
    if not any(_has_tokens_only(query.type, criterion) for criterion in query.criteria):
        found.append(resources.c.type == query.type)
    narrowing = [_condition(tx, query.type, criterion, sids) for criterion in query.criteria]
    return [*found, *(condition for condition in narrowing if condition is not None)]


def is_guessed(query: SearchQuery) -> bool:
    """Whether candidates may be more than matches."""
    return any(
        criterion.modifier or not _is_exact(branch.type, criterion.name, term)
        for branch in query.each
        for criterion in branch.criteria
        for term in criterion.terms
    )


def sids_of(tx: Transaction, query: SearchQuery) -> dict[str, frozenset[int]]:
    """Subjects of every person the query names."""
    terms = [term for branch in query.each for criterion in branch.criteria for term in criterion.terms]
    named = {term.pseudonym for term in terms if isinstance(term, PersonTerm)}
    return {name: frozenset(found.sid for found in people.subjects_of(tx, Pseudonym(name))) for name in named}


def too_costly(resource_type: str) -> TooCostlyError:
    """Says what would help."""
    by = ", ".join(["_id", *sorted(HASHED & offered_for(resource_type) if resource_type else HASHED)])
    what = resource_type or "several types"
    return TooCostlyError(f"more than {SCAN_MAX} of {what} would have to be opened; a search is narrowed by {by}")


def _batch(
    tx: Transaction, where: Sequence[ColumnElement[bool]], after: int | None, limit: int
) -> list[StoredResource]:
    """The next candidates, opened."""
    statement: Any = CURRENT.where(resources.c.deleted.is_(False), *where)
    if after is not None:
        statement = statement.where(resources.c.rid < after)
    return [opened(tx, row) for row in tx.execute(statement.order_by(resources.c.rid.desc()).limit(limit))]


def _has_tokens_only(resource_type: str, criterion: Criterion) -> bool:
    """Whether whatever meets a criterion has one of its tokens."""
    return not criterion.modifier and all(
        isinstance(term, KeyedTerm) or _is_tokened(resource_type, criterion.name, term) for term in criterion.terms
    )


def _is_tokened(resource_type: str, name: str, term: Term) -> bool:
    """Whether a term becomes tokens."""
    match term:
        case AmongTerm():
            return is_hashed(ReferenceTerm(None, ""), resource_type, name)
        case CompartmentTerm():
            by_tokens = all(
                is_hashed(ReferenceTerm("Patient", term.id), resource_type, by) for by in compartment_of(resource_type)
            )
            return by_tokens and resource_type != "Patient"
        case _:
            return is_hashed(term, resource_type, name)


def _is_exact(resource_type: str, name: str, term: Term) -> bool:
    """Whether the index tells a term by itself."""
    if isinstance(term, IdTerm | IdsTerm | PersonTerm | KeyedTerm):
        return True
    if not _is_tokened(resource_type, name, term):
        return False
    return isinstance(term, AmongTerm | CompartmentTerm) or (
        is_hashed(term, resource_type, name) and is_found_exactly(term, resource_type, name)
    )


def _condition(
    tx: Transaction, resource_type: str, criterion: Criterion, sids: Mapping[str, frozenset[int]]
) -> ColumnElement[bool] | None:
    """One criterion as a condition; ``None`` where the index does not help."""
    tokens: list[int] = []
    ids: list[str] = []
    owners: set[int] = set()
    dates: list[ColumnElement[bool]] = []
    if criterion.modifier:
        return None
    for term in criterion.terms:
        match term:
            case IdTerm():
                ids.append(term.id)
            case IdsTerm():
                ids.extend(sorted(term.ids))
            case PersonTerm():
                owners |= sids[term.pseudonym]
            case KeyedTerm():
                tokens.append(term.token)
            case DateTerm() if criterion.name == "_lastUpdated" and (changed := _changed(term)) is not None:
                dates.append(changed)
            case _ if _is_tokened(resource_type, criterion.name, term):
                tokens += _tokens(tx, resource_type, criterion.name, term)
            case _:
                return None
    alternatives = [has_token(tx, tokens)] if tokens else []
    alternatives += [resources.c.id.in_(ids)] if ids else []
    alternatives += [resources.c.sid.in_(sorted(owners))] if owners else []
    return or_(false(), *alternatives, *dates)


def _tokens(tx: Transaction, resource_type: str, name: str, term: Term) -> Iterable[int]:
    """The tokens of which whatever a term finds has one."""
    key = tx.keys.tokens
    match term:
        case AmongTerm():
            return named_tokens(key, resource_type, name, sorted(term.names))
        case CompartmentTerm():
            names, by = [f"Patient/{term.id}"], compartment_of(resource_type)
            return [token for each in by for token in named_tokens(key, resource_type, each, names)]
        case _:
            return tokens_asked(key, resource_type, name, term) if is_hashed(term, resource_type, name) else []


def _changed(term: DateTerm) -> ColumnElement[bool] | None:
    """A wide guess at ``changed_at`` by the day: its text may be in any zone, a day wide at most."""
    day = timedelta(days=1)
    from_day = (term.start - day).date().isoformat()
    # The calendar ends: a span up to its edge has no two days after it.
    to_day = (min(term.end, LATEST - day) + 2 * day).date().isoformat()
    match term.comparator:
        case Comparator.GT | Comparator.GE | Comparator.SA:
            return resources.c.changed_at >= from_day
        case Comparator.LT | Comparator.LE | Comparator.EB:
            return resources.c.changed_at < to_day
        case Comparator.EQ:
            return and_(resources.c.changed_at >= from_day, resources.c.changed_at < to_day)
        case Comparator.NE | Comparator.AP:
            return None

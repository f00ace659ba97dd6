"""What a search hands out beside what it finds: what that refers to, and what refers to it, under the caller's rights.

Source: FHIR R4, section 3.1.1.5.4 "Including other resources in result".
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from health_exchange.fhir.parameter_table import located, parameters_of
from health_exchange.search.candidates import Budget, TooCostlyError, matches_of
from health_exchange.search.comparing import named_by
from health_exchange.search.matching import decoded
from health_exchange.search.permission import Permitted, classes_of
from health_exchange.search.query import followed_of
from health_exchange.search.terms import (
    ANY_REFERENCE,
    AmongTerm,
    Criterion,
    IdsTerm,
    Inclusion,
    ReferringTerm,
    SearchQuery,
)
from health_exchange.store.resources import StoredResource
from health_exchange.store.transaction import Transaction

INCLUDED_MAX = 1_000
"""Most resources beside one page."""
INCLUDED_BYTES_MAX = 32 << 20
"""Most bytes of all of them, where they are several."""


def included(
    tx: Transaction, matches: Sequence[StoredResource], inclusions: Iterable[Inclusion], permitted: Permitted
) -> list[StoredResource]:
    """Everything that comes beside a page, each resource once and none that is on the page.

    Raises:
        TooCostlyError: There is more than :data:`INCLUDED_MAX` of it or :data:`INCLUDED_BYTES_MAX`, or too much has to
            be opened to find it.
    """
    budget = Budget()
    there = {kept.rid for kept in matches}
    found_bytes = 0
    found: list[StoredResource] = []
    asked, frontier = tuple(inclusions), list(matches)
    while frontier and asked:
        added: dict[int, StoredResource] = {}
        for inclusion in asked:
            for kept in _included(tx, frontier, inclusion, permitted, budget):
                if kept.rid not in there and kept.rid not in added:
                    added[kept.rid] = kept
                    found_bytes += len(kept.body or b"")
                number = len(found) + len(added)
                if number > INCLUDED_MAX or (number > 1 and found_bytes > INCLUDED_BYTES_MAX):
                    raise _too_many()
        there |= added.keys()
        frontier = list(added.values())
        found += frontier
        asked = tuple(inclusion for inclusion in asked if inclusion.again)
    return found


def _included(
    tx: Transaction, around: Sequence[StoredResource], inclusion: Inclusion, permitted: Permitted, budget: Budget
) -> Iterator[StoredResource]:
    """What one inclusion adds to some resources."""
    if inclusion.reverse:
        names = {f"{kept.type}/{kept.id}" for kept in around if inclusion.target in {"", kept.type}}
        for source, criterion in _referring(tx, inclusion, frozenset(names), permitted) if names else ():
            yield from _found(tx, source, criterion, permitted, budget)
        return
    ids: dict[str, set[str]] = {}
    for kept in around:
        if inclusion.source in {"", kept.type}:
            for name in _named(kept, inclusion.by):
                resource_type, _, resource_id = name.partition("/")
                if resource_id and inclusion.target in {"", resource_type}:
                    ids.setdefault(resource_type, set()).add(resource_id)
    # One resource may refer to more than a database takes in one question.
    if sum(map(len, ids.values())) > INCLUDED_MAX:
        raise _too_many()
    for resource_type, wanted in sorted(ids.items()):
        criterion = Criterion(name="_id", terms=(IdsTerm(frozenset(wanted)),))
        yield from _found(tx, resource_type, criterion, permitted, budget)


def _named(kept: StoredResource, by: str) -> Iterator[str]:
    """What a resource refers to by a parameter or by any, as ``Type/id``."""
    body, parameters = decoded(kept), parameters_of(kept.type)
    for name in followed_of(kept.type) if by == ANY_REFERENCE else (by,):
        yield from (named_by(value.value) for value in located(body, parameters[name]))


def _referring(
    tx: Transaction, inclusion: Inclusion, names: frozenset[str], permitted: Permitted
) -> Iterator[tuple[str, Criterion]]:
    """What the resources that refer to others are found by, type by type."""
    if inclusion.by != ANY_REFERENCE:
        yield inclusion.source, Criterion(name=inclusion.by, terms=(AmongTerm(names),))
        return
    targets = {name.partition("/")[0] for name in names}
    seen = frozenset[int]().union(*permitted.classes.values())
    sources = {known.type for number, known in classes_of(tx).items() if number in seen}
    for source in sorted(sources & {inclusion.source or each for each in sources}):
        by = tuple(
            name for name in followed_of(source) if targets & set(parameters_of(source)[name].targets or targets)
        )
        if by:
            yield source, Criterion(name=ANY_REFERENCE, terms=(ReferringTerm(names, by),))


def _found(
    tx: Transaction, resource_type: str, criterion: Criterion, permitted: Permitted, budget: Budget
) -> Iterable[StoredResource]:
    """What one criterion finds, up to one more than may be included."""
    query = SearchQuery(type=resource_type, criteria=(criterion,))
    return islice(matches_of(tx, query, permitted, budget=budget), INCLUDED_MAX + 1)


def _too_many() -> TooCostlyError:
    """Says what would help."""
    return TooCostlyError(
        f"a page would include more than {INCLUDED_MAX} resources, or than {INCLUDED_BYTES_MAX >> 20} MiB of them; ask "
        "for smaller pages"
    )

"""Chains and ``_has``: conditions on other resources, followed one reference at a time under the caller's rights.

What the caller may not see does not match, at whatever end of a chain it is. Each step gives at most
:data:`STEP_MAX` resources; a search that would give more is refused, for it would cost more than it tells.

Source: FHIR R4, sections 3.1.1.4.12 "Chained parameters" and 3.1.1.4.13 "Reverse chaining".
"""

from itertools import islice

import msgspec

from health_exchange.fhir.parameter_table import located, parameters_of
from health_exchange.search.candidates import TooCostlyError, matches_of
from health_exchange.search.comparing import named_by
from health_exchange.search.matching import decoded
from health_exchange.search.permission import Permitted
from health_exchange.search.terms import AmongTerm, ChainTerm, Criterion, HasTerm, IdsTerm, SearchQuery
from health_exchange.store.resources import StoredResource
from health_exchange.store.transaction import Transaction

STEP_MAX = 1_000


def followed(tx: Transaction, query: SearchQuery, permitted: Permitted) -> SearchQuery:
    """The query with every chain replaced by the references, and every ``_has`` by the ids, that it comes to.

    Raises:
        TooCostlyError: A step would give, or open, too many resources.
    """
    if not is_chained(query):
        return query
    criteria = tuple(_followed(tx, query.type, criterion, permitted) for criterion in query.criteria)
    branches = tuple(followed(tx, branch, permitted) for branch in query.branches)
    return msgspec.structs.replace(query, criteria=criteria, branches=branches)


def is_chained(query: SearchQuery) -> bool:
    """Whether a query looks at other resources."""
    criteria = [criterion for branch in query.each for criterion in branch.criteria]
    return any(isinstance(term, ChainTerm | HasTerm) for criterion in criteria for term in criterion.terms)


def _followed(tx: Transaction, resource_type: str, criterion: Criterion, permitted: Permitted) -> Criterion:
    """One criterion without chains: all its terms are of one kind."""
    chains = [term for term in criterion.terms if isinstance(term, ChainTerm)]
    if chains:
        names = {f"{chain.type}/{kept.id}" for chain in chains for kept in _step(tx, chain, permitted)}
        return Criterion(name=criterion.name, terms=(AmongTerm(frozenset(names)),))
    reverse = [term for term in criterion.terms if isinstance(term, HasTerm)]
    if reverse:
        prefix = f"{resource_type}/"
        ids = {
            name.removeprefix(prefix)
            for has in reverse
            for kept in _step(tx, has, permitted)
            for found in located(decoded(kept), parameters_of(has.type)[has.by])
            if (name := named_by(found.value)).startswith(prefix)
        }
        return Criterion(name="_id", terms=(IdsTerm(frozenset(ids)),))
    return criterion


def _step(tx: Transaction, term: ChainTerm | HasTerm, permitted: Permitted) -> list[StoredResource]:
    """What meets the criterion at the far end of one reference."""
    query = followed(tx, SearchQuery(type=term.type, criteria=(term.criterion,)), permitted)
    found = list(islice(matches_of(tx, query, permitted), STEP_MAX + 1))
    if len(found) > STEP_MAX:
        raise TooCostlyError(f"a step of the chain finds more than {STEP_MAX} of {term.type}; say more about them")
    return found

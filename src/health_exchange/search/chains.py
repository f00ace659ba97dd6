"""Chains and ``_has``: conditions on other resources, followed one reference at a time under the caller's rights.

What the caller may not see does not match, at whatever end of a chain it is. Each step gives at most
:data:`STEP_MAX` resources, and all steps of a search have one budget; one that would need more is refused, for it
would cost more than it tells.

Source: FHIR R4, sections 3.1.1.4.12 "Chained parameters" and 3.1.1.4.13 "Reverse chaining".
"""

from itertools import islice

import msgspec

from health_exchange.fhir.parameter_table import located, parameters_of
from health_exchange.search.candidates import Budget, TooCostlyError, matches_of
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
        TooCostlyError: A step would give, or open, too many resources, or all of them together would.
    """
    return _Walk(tx, permitted).followed(query)


def is_chained(query: SearchQuery) -> bool:
    """Whether a query looks at other resources."""
    criteria = [criterion for branch in query.each for criterion in branch.criteria]
    return any(isinstance(term, ChainTerm | HasTerm) for criterion in criteria for term in criterion.terms)


class _Walk:
    """The way through all chains of one query: each step is taken once, and all of them on one budget."""

    def __init__(self, tx: Transaction, permitted: Permitted) -> None:
        self._tx = tx
        self._permitted = permitted
        self._budget = Budget()
        self._taken: dict[bytes, frozenset[str]] = {}

    def followed(self, query: SearchQuery) -> SearchQuery:
        """A query without chains."""
        if not is_chained(query):
            return query
        criteria = tuple(self._followed(query.type, criterion) for criterion in query.criteria)
        branches = tuple(self.followed(branch) for branch in query.branches)
        return msgspec.structs.replace(query, criteria=criteria, branches=branches)

    def _followed(self, resource_type: str, criterion: Criterion) -> Criterion:
        """One criterion without chains: all its terms are of one kind."""
        steps = [term for term in criterion.terms if isinstance(term, ChainTerm | HasTerm)]
        if not steps:
            return criterion
        names = frozenset[str]().union(*map(self._names, steps))
        if isinstance(steps[0], ChainTerm):
            self._budget.spend(len(names))
            return Criterion(name=criterion.name, terms=(AmongTerm(names),))
        prefix = f"{resource_type}/"
        ids = frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))
        self._budget.spend(len(ids))
        return Criterion(name="_id", terms=(IdsTerm(ids),))

    def _names(self, term: ChainTerm | HasTerm) -> frozenset[str]:
        """What one step comes to, each as ``Type/id``."""
        # As it is written: decimals that are equal may mean different spans.
        step = msgspec.msgpack.encode(term)
        if step not in self._taken:
            names: set[str] = set()
            for kept in self._step(term):
                found = {f"{term.type}/{kept.id}"} if isinstance(term, ChainTerm) else _referred(kept, term)
                self._budget.spend(len(found))
                names |= found
            self._taken[step] = frozenset(names)
        return self._taken[step]

    def _step(self, term: ChainTerm | HasTerm) -> list[StoredResource]:
        """What meets the criterion at the far end of one reference."""
        query = self.followed(SearchQuery(type=term.type, criteria=(term.criterion,)))
        found = list(islice(matches_of(self._tx, query, self._permitted, budget=self._budget), STEP_MAX + 1))
        if len(found) > STEP_MAX:
            raise TooCostlyError(f"a step of the chain finds more than {STEP_MAX} of {term.type}; say more about them")
        return found


def _referred(kept: StoredResource, term: HasTerm) -> set[str]:
    """What a resource refers to by the reference that a step goes along."""
    return {named_by(found.value) for found in located(decoded(kept), parameters_of(term.type)[term.by])}

"""Chains and ``_has``: conditions on other resources, followed one reference at a time under the caller's rights.

What the caller may not see does not match, at whatever end of a chain it is. A step is taken from its far end, where it
gives at most :data:`STEP_MAX` resources; a wider one is told of each candidate at the near end. All steps of a search
have one budget, and a search that would need more is refused.

Source: FHIR R4, sections 3.1.1.4.12 "Chained parameters" and 3.1.1.4.13 "Reverse chaining".
"""

from collections.abc import Iterator, Sequence

import msgspec

from health_exchange.fhir.parameter_table import located, parameters_of
from health_exchange.search.candidates import (
    Budget,
    ScanError,
    Sieve,
    TooWideError,
    ids_found,
    ids_of_type,
    matches_of,
    referred_to,
    too_wide,
)
from health_exchange.search.comparing import named_by
from health_exchange.search.matching import decoded
from health_exchange.search.permission import Permitted
from health_exchange.search.terms import AmongTerm, ChainTerm, Criterion, HasTerm, IdsTerm, SearchQuery, WideTerm
from health_exchange.store.resources import StoredResource
from health_exchange.store.transaction import Transaction

STEP_MAX = 1_000
TOLD_MAX = 5_000
"""As many a step may give where the index names them without one being opened."""


def followed(tx: Transaction, query: SearchQuery, permitted: Permitted) -> SearchQuery:
    """The query with every chain replaced by the references, and every ``_has`` by the ids, that it comes to.

    Where that is too many, the step stays in it to be told of each candidate (:func:`sieve_of`).

    Raises:
        TooCostlyError: All steps together look at too much.
    """
    return _Walk(tx, permitted).followed(query)


def sieve_of(tx: Transaction, permitted: Permitted) -> Sieve:
    """Leaves of matches those that meet the steps which are told of each candidate, all of them on one budget."""
    return _Walk(tx, permitted).sifted


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
        try:
            names = frozenset[str]().union(*(self._names(resource_type, step) for step in steps))
        except TooWideError:
            return Criterion(name=criterion.name, terms=tuple(map(WideTerm, steps)))
        if isinstance(steps[0], ChainTerm):
            self._budget.spend(len(names))
            return Criterion(name=criterion.name, terms=(AmongTerm(names),))
        prefix = f"{resource_type}/"
        ids = frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))
        self._budget.spend(len(ids))
        return Criterion(name="_id", terms=(IdsTerm(ids),))

    def _names(self, resource_type: str, term: ChainTerm | HasTerm) -> frozenset[str]:
        """What one step from a type comes to, each as ``Type/id``."""
        # As it is written: decimals that are equal may mean different spans.
        step = msgspec.msgpack.encode((resource_type, term))
        if step not in self._taken:
            self._taken[step] = frozenset(self._found(resource_type, term))
        return self._taken[step]

    def _found(self, resource_type: str, term: ChainTerm | HasTerm) -> set[str]:
        """What meets the criterion at the far end of one step, or what that refers to, each as ``Type/id``.

        Raises:
            TooWideError: There, too much does, or would have to be opened.
            TooCostlyError: The budget is spent.
        """
        query = self.followed(SearchQuery(type=term.type, criteria=(term.criterion,)))
        is_chain = isinstance(term, ChainTerm)
        told = ids_found(self._tx, query, self._permitted, TOLD_MAX if is_chain else STEP_MAX)
        if told is not None and is_chain:
            self._budget.spend(len(told))
            return {f"{term.type}/{each}" for each in told}
        if told and isinstance(term, HasTerm):
            # Where fewer are at the near end, it is cheaper to ask of each of these whether it is referred to.
            near = ids_of_type(self._tx, resource_type, self._permitted, len(told))
            if near is not None:
                by_tokens = self._told(term, query, [f"{resource_type}/{each}" for each in near], is_wide=False)
                if by_tokens is not None:
                    return by_tokens
        names: set[str] = set()
        for number, kept in enumerate(self._matches(query)):
            if number == STEP_MAX:
                raise too_wide(term.type, STEP_MAX)
            found = {f"{term.type}/{kept.id}"} if isinstance(term, ChainTerm) else _referred(kept, term)
            self._budget.spend(len(found))
            names |= found
        return names

    def _matches(self, query: SearchQuery) -> Iterator[StoredResource]:
        """What a query without chains finds; raises ``TooWideError`` where too much has to be opened."""
        found = self._all(query)
        problem = None
        try:
            yield from found
        except ScanError as error:
            problem = TooWideError(error.detail)
        if problem is not None:
            raise problem

    def sifted(self, query: SearchQuery, found: Sequence[StoredResource]) -> Sequence[StoredResource]:
        """Those of some matches that meet the steps which are told of each."""
        for branch in query.each:
            for criterion in branch.criteria:
                steps = [term.step for term in criterion.terms if isinstance(term, WideTerm)]
                of_type = [kept for kept in found if kept.type == branch.type]
                if steps and of_type:
                    meeting = set().union(*(self._meeting(step, criterion.name, of_type) for step in steps))
                    found = [kept for kept in found if kept.type != branch.type or kept.rid in meeting]
        return found

    def _meeting(self, step: ChainTerm | HasTerm, name: str, kept: Sequence[StoredResource]) -> set[int]:
        """Rows of those that meet one step."""
        if isinstance(step, ChainTerm):
            parameter = parameters_of(kept[0].type)[name]
            named = {each.rid: {named_by(value.value) for value in located(decoded(each), parameter)} for each in kept}
            there = self._there(step, frozenset[str]().union(*named.values()))
        else:
            named = {each.rid: {f"{each.type}/{each.id}"} for each in kept}
            there = self._referred(step, frozenset[str]().union(*named.values()))
        return {rid for rid, names in named.items() if names & there}

    def _there(self, step: ChainTerm, names: frozenset[str]) -> set[str]:
        """Those of some names that are of what meets the criterion of a step."""
        prefix = f"{step.type}/"
        ids = frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))
        near = Criterion(name="_id", terms=(IdsTerm(ids),))
        query = self.followed(SearchQuery(type=step.type, criteria=(near, step.criterion)))
        found = ids_found(self._tx, query, self._permitted, len(ids))
        if found is None:
            found = [kept.id for kept in self._all(query)]
        else:
            self._budget.spend(len(ids))
        return {f"{prefix}{each}" for each in found}

    def _referred(self, step: HasTerm, names: frozenset[str]) -> set[str]:
        """Those of some names that something which meets the criterion of a step refers to."""
        far = self.followed(SearchQuery(type=step.type, criteria=(step.criterion,)))
        found = self._told(step, far, sorted(names), is_wide=True)
        if found is not None:
            return found
        near = Criterion(name=step.by, terms=(AmongTerm(names),))
        query = msgspec.structs.replace(far, criteria=(near, *far.criteria))
        return set[str]().union(*(_referred(kept, step) for kept in self._all(query)))

    def _told(self, step: HasTerm, far: SearchQuery, names: Sequence[str], *, is_wide: bool) -> set[str] | None:
        """Those of some names that what is found at the far end of a step refers to; ``None`` where bodies tell."""
        found = referred_to(self._tx, far, self._permitted, step.by, names, is_wide=is_wide)
        if found is not None:
            self._budget.spend(len(names))
        return found

    def _all(self, query: SearchQuery) -> Iterator[StoredResource]:
        """What a query without chains finds."""
        return matches_of(self._tx, query, self._permitted, budget=self._budget, sieve=self.sifted)


def _referred(kept: StoredResource, term: HasTerm) -> set[str]:
    """What a resource refers to by the reference that a step goes along."""
    return {named_by(found.value) for found in located(decoded(kept), parameters_of(term.type)[term.by])}

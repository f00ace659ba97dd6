"""Whether an opened resource is what a query asks for: the check behind the index, exact where the index only guesses."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from health_exchange.fhir.parameters import SearchValue, extract
from health_exchange.model.secrecy import Secret
from health_exchange.search.query import (
    Criterion,
    DateTerm,
    IdTerm,
    KeyedTerm,
    PersonTerm,
    ReferenceTerm,
    SearchQuery,
    TokenTerm,
)
from health_exchange.search.spans import Span, compare, span_of
from health_exchange.search.tokens import dates_of, form_of, forms_of, token_of
from health_exchange.store.resources import StoredResource


class Matcher:
    """Checks opened resources against one query.

    Args:
        query: What is asked.
        sids: Subjects of each person the query names, as the store knows them.
        key: The node's token key.
    """

    def __init__(self, query: SearchQuery, sids: Mapping[str, frozenset[int]], key: Secret) -> None:
        self._query = query
        self._sids = sids
        self._key = key
        self._looks_inside = any(
            not isinstance(term, IdTerm | PersonTerm) and criterion.name != "_lastUpdated"
            for criterion in query.criteria
            for term in criterion.terms
        )

    def matches(self, kept: StoredResource) -> bool:
        """Whether ``kept`` meets every criterion."""
        values: Sequence[SearchValue] = ()
        if self._looks_inside and kept.body is not None:
            values = extract(msgspec.json.decode(kept.body))
        return all(self._meets(criterion, kept, values) for criterion in self._query.criteria)

    def _meets(self, criterion: Criterion, kept: StoredResource, values: Sequence[SearchValue]) -> bool:
        """Whether any alternative holds."""
        ours = [value for value in values if value.param == criterion.name]
        forms = frozenset(form for value in ours for form in forms_of(value))
        spans = _once(lambda: _spans(criterion, kept, ours))
        for term in criterion.terms:
            match term:
                case IdTerm():
                    met = kept.id == term.id
                case PersonTerm():
                    met = kept.sid in self._sids[term.pseudonym]
                case TokenTerm() | ReferenceTerm():
                    met = form_of(term) in forms
                case KeyedTerm():
                    met = any(token_of(self._key, kept.type, criterion.name, form) == term.token for form in forms)
                case DateTerm():
                    met = any(compare(term.comparator, term.span, span) for span in spans())
            if met:
                return True
        return False


def _spans(criterion: Criterion, kept: StoredResource, values: Sequence[SearchValue]) -> list[Span]:
    """The resource's dates that a criterion is about."""
    if criterion.name == "_lastUpdated":
        return [span_of(kept.changed_at)]
    return [span for value in values for span in dates_of(value)]


def _once(make: Callable[[], list[Span]]) -> Callable[[], list[Span]]:
    """``make``, called at most once and only where it is needed."""
    made: list[list[Span]] = []

    def get() -> list[Span]:
        if not made:
            made.append(make())
        return made[0]

    return get

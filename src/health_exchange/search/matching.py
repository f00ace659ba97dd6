"""Whether an opened resource is what a query asks for: exact, where the index only guesses."""

from collections.abc import Mapping, Sequence

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
    Term,
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
        """Whether ``kept`` is of the type and meets every criterion."""
        if kept.type != self._query.type:
            return False
        values: Sequence[SearchValue] = ()
        if self._looks_inside and kept.body is not None:
            values = extract(msgspec.json.decode(kept.body))
        return all(self._meets(criterion, kept, values) for criterion in self._query.criteria)

    def _meets(self, criterion: Criterion, kept: StoredResource, values: Sequence[SearchValue]) -> bool:
        """Whether any alternative holds."""
        ours = [value for value in values if value.param == criterion.name]
        forms = frozenset(form for value in ours for form in forms_of(value))
        spans = _spans(criterion, kept, ours)
        return any(self._holds(term, criterion.name, kept, forms, spans) for term in criterion.terms)

    def _holds(self, term: Term, name: str, kept: StoredResource, forms: frozenset[str], spans: Sequence[Span]) -> bool:
        """Whether one alternative does."""
        match term:
            case IdTerm():
                return kept.id == term.id
            case PersonTerm():
                return kept.sid in self._sids[term.pseudonym]
            case TokenTerm() | ReferenceTerm():
                return form_of(term) in forms
            case KeyedTerm():
                return any(token_of(self._key, kept.type, name, form) == term.token for form in forms)
            case DateTerm():
                return any(compare(term.comparator, term.span, span) for span in spans)


def _spans(criterion: Criterion, kept: StoredResource, values: Sequence[SearchValue]) -> list[Span]:
    """The resource's dates that a criterion is about; none where it is about something else."""
    if criterion.name == "_lastUpdated":
        return [span_of(kept.changed_at)]
    return [span for value in values for span in dates_of(value)]

"""Whether an opened resource is what a query asks for: exact, where the index only guesses."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from health_exchange.fhir.parameter_table import compartment_of, located, parameters_of
from health_exchange.model.secrecy import Secret
from health_exchange.search.comparing import coded, is_met_by
from health_exchange.search.spans import compare, span_of
from health_exchange.search.terms import (
    AmongTerm,
    CompartmentTerm,
    Criterion,
    DateTerm,
    IdsTerm,
    IdTerm,
    KeyedTerm,
    MissingTerm,
    Modifier,
    PersonTerm,
    ReferenceTerm,
    ReferringTerm,
    SearchQuery,
    Term,
    WideTerm,
)
from health_exchange.search.tokens import code_form, token_of
from health_exchange.store.resources import StoredResource


def _number(written: str) -> Decimal | str:
    """A number as precise as it is written; its text, which is no number, where no decimal has such an exponent."""
    try:
        return Decimal(written)
    except InvalidOperation:
        return written


_NEGATING = frozenset({Modifier.NOT, Modifier.NOT_IN})
_DECODER = msgspec.json.Decoder(float_hook=_number)


def decoded(kept: StoredResource) -> Mapping[str, Any]:
    """An opened resource, its decimals as they are written."""
    found: Mapping[str, Any] = _DECODER.decode(kept.body) if kept.body is not None else {}
    return found


class Matcher:
    """Checks opened resources against one query, whose chains have been followed already.

    Args:
        query: What is asked.
        sids: Subjects of each person the query names, as the store knows them.
        key: The node's token key.
    """

    def __init__(self, query: SearchQuery, sids: Mapping[str, frozenset[int]], key: Secret) -> None:
        self._query = query
        self._sids = sids
        self._key = key
        self._branches = {branch.type: Matcher(branch, sids, key) for branch in query.branches}
        self._looks_inside = any(
            not isinstance(term, IdTerm | IdsTerm | PersonTerm | WideTerm) and criterion.name != "_lastUpdated"
            for criterion in query.criteria
            for term in criterion.terms
        )

    def matches(self, kept: StoredResource, opened: Mapping[str, Any] | None = None) -> bool:
        """Whether ``kept`` is of the type and meets every criterion; ``opened`` is what is in it, if known."""
        if self._branches:
            branch = self._branches.get(kept.type)
            return branch is not None and branch.matches(kept, opened)
        if kept.type != self._query.type:
            return False
        inside = opened or (decoded(kept) if self._looks_inside else {})
        return all(self._meets(criterion, kept, inside) for criterion in self._query.criteria)

    def _meets(self, criterion: Criterion, kept: StoredResource, inside: Mapping[str, Any]) -> bool:
        """Whether any alternative holds, or none where that is asked for."""
        holds = any(self._holds(term, criterion, kept, inside) for term in criterion.terms)
        return holds != (criterion.modifier in _NEGATING)

    def _holds(self, term: Term, criterion: Criterion, kept: StoredResource, inside: Mapping[str, Any]) -> bool:
        """Whether one alternative does."""
        name = criterion.name
        match term:
            case WideTerm():
                # Whoever asks for candidates sifts them by it (``search.chains``).
                holds = True
            case IdTerm():
                holds = kept.id == term.id
            case IdsTerm():
                holds = kept.id in term.ids
            case PersonTerm():
                holds = kept.sid in self._sids[term.pseudonym]
            case CompartmentTerm():
                patient = ReferenceTerm("Patient", term.id)
                is_it = (kept.type, kept.id) == ("Patient", term.id)
                holds = is_it or any(
                    is_met_by(patient, "", parameters_of(kept.type)[by], inside) for by in compartment_of(kept.type)
                )
            case ReferringTerm():
                among = AmongTerm(term.names)
                holds = any(is_met_by(among, "", parameters_of(kept.type)[by], inside) for by in term.by)
            case DateTerm() if name == "_lastUpdated":
                holds = compare(term.comparator, term.span, span_of(kept.changed_at))
            case MissingTerm():
                holds = term.missing != bool(located(inside, parameters_of(kept.type)[name]))
            case KeyedTerm():
                holds = self._has_token(term.token, name, kept.type, inside)
            case _:
                holds = is_met_by(term, criterion.modifier, parameters_of(kept.type)[name], inside)
        return holds

    def _has_token(self, token: int, name: str, resource_type: str, inside: Mapping[str, Any]) -> bool:
        """Whether a coded value of a parameter has this token."""
        return any(
            token_of(self._key, resource_type, name, form) == token
            for found in located(inside, parameters_of(resource_type)[name])
            for system, code in coded(found)
            if code
            for form in (code_form(None, code), code_form(system or "", code))
        )

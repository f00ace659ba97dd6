"""Searches as callers send them, made into what may be searched: identities become pseudonyms before anything else.

A national ID is in memory only here, between the form it came in and the pseudonym it becomes. A node without the power
to see national IDs refuses it; an identity that no key holder can be asked about is looked for by its local tokens.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import compartment_types
from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.powers import Power
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.pseudonym.identities import (
    NATIONAL_ID_SYSTEMS,
    Identity,
    holds_national_id,
    looks_like_national_id,
    read_identity,
)
from health_exchange.search.query import check_size, last_of, parse_over_types, sifted
from health_exchange.search.terms import (
    ChainTerm,
    Criterion,
    HasTerm,
    KeyedTerm,
    PersonTerm,
    SearchQuery,
    Term,
    TokenTerm,
)
from health_exchange.search.tokens import code_form, token_of
from health_exchange.search.values import BadSearchError

_IDENTIFIER = "identifier"
_BY_IDENTIFIER = "a national ID is asked for by the parameter identifier only"
NOBODY = Pseudonym("0" * 26)
"""Stands where a person would stand who is not known here: no pseudonym has this digit. So a search for somebody
unknown looks, sealed into the link to a page, as long as one for somebody known."""


class Asked(NamedTuple):
    """A search, and the names and values that it was made of, in their order."""

    query: SearchQuery
    pairs: Sequence[tuple[str, str]]


class IdentityNotSeenHereError(ExchangeError):
    """This node has no power to see national IDs."""

    category = Category.FORBIDDEN
    code = "identity-not-seen-here"


async def asked_query(  # a search with its parts
    resource_type: str, pairs: Sequence[tuple[str, str]], *, patient: str, base: str, lenient: bool
) -> Asked:
    """As :func:`read_query`; what every type is searched by takes too long to read where others wait."""
    if resource_type:
        return read_query(resource_type, pairs, patient=patient, base=base, lenient=lenient)
    return await asyncio.to_thread(read_query, resource_type, pairs, patient=patient, base=base, lenient=lenient)


def read_query(  # a search with its parts
    resource_type: str, pairs: Sequence[tuple[str, str]], *, patient: str = "", base: str = "", lenient: bool = False
) -> Asked:
    """The search as asked, checked, and what it was made of.

    Args:
        resource_type: What is searched; empty for all types, or those that ``_type`` names.
        pairs: Names and values. Untrusted.
        patient: Id of the Patient whose compartment is searched; empty for no compartment.
        base: URL of this node's FHIR door, that its own resources may be referred to by.
        lenient: Whether what is not offered is named in the answer instead of refused.

    Raises:
        NotFoundError: There is no such resource type.
        UnknownParameterError: It asks for what this door does not offer.
        BadSearchError: A value is none, there are too many, or a national ID stands where it does not belong.
    """
    if resource_type and resource_type not in resource_types():
        raise NotFoundError("there is no such resource type")
    # What _type names is a type of resource, or refused.
    wanted = [(name, value) for name, value in pairs if resource_type or name != "_type"]
    check_size(wanted)
    for name, value in wanted:
        if last_of(name) != _IDENTIFIER and holds_national_id(value):
            raise BadSearchError(_BY_IDENTIFIER)
    types: Sequence[str] = [resource_type]
    if not resource_type:
        named = [value for name, value in pairs if name == "_type"]
        types = sorted({each for text in named for each in text.split(",")} if named else resource_types())
        if patient and not named:
            types = compartment_types()
    if not set(types) <= (set(compartment_types()) if patient else resource_types()):
        raise BadSearchError("there is no such type of resource, or none that belongs to a Patient", where="_type")
    offered, ignored = sifted(types, wanted, base=base) if lenient else (wanted, ())
    query = parse_over_types(types, offered, patient=patient, base=base)
    taken = [pair for pair in pairs if pair in offered or pair not in wanted] if ignored else pairs
    return Asked(structs.replace(query, ignored=ignored), taken)


async def without_identities(parts: NodeParts, pseudonyms: PseudonymClient | None, query: SearchQuery) -> SearchQuery:
    """The search with every exchange-wide identity replaced by the person or, failing that, by its tokens.

    Raises:
        IdentityNotSeenHereError: It asks by an identity, and this node may see none.
        InvalidIdentityError: An identity cannot be right.
        BadSearchError: It asks by an identity otherwise than by a plain parameter ``identifier``.
    """
    named = dict(each for branch in query.each for each in _named(branch.type, branch.criteria))
    if not named:
        return query
    if pseudonyms is None or not parts.card.may(Power.SEES_NATIONAL_IDS):
        raise IdentityNotSeenHereError(f"{parts.address} sees no national IDs; ask a node that admits facilities")
    of_patients = [identity for (resource_type, _term), identity in named.items() if resource_type == "Patient"]
    known = await pseudonyms.resolve(list(dict.fromkeys(of_patients))) if of_patients else {}

    def replaced(resource_type: str, criterion: Criterion) -> Criterion:
        terms: list[Term] = []
        for term in criterion.terms:
            if isinstance(term, ChainTerm | HasTerm):
                terms.append(structs.replace(term, criterion=replaced(term.type, term.criterion)))
            elif isinstance(term, TokenTerm) and criterion.name == _IDENTIFIER and (resource_type, term) in named:
                terms += _replaced(parts, resource_type, term, named[resource_type, term], known)
            else:
                terms.append(term)
        return structs.replace(criterion, terms=tuple(terms))

    def plain(branch: SearchQuery) -> SearchQuery:
        return structs.replace(branch, criteria=tuple(replaced(branch.type, each) for each in branch.criteria))

    return structs.replace(plain(query), branches=tuple(plain(branch) for branch in query.branches))


def _named(resource_type: str, criteria: Iterable[Criterion]) -> Iterator[tuple[tuple[str, TokenTerm], Identity]]:
    """Every exchange-wide identity that a search asks by, under the type it is asked of and the term that names it."""
    for criterion in criteria:
        for term in criterion.terms:
            if isinstance(term, ChainTerm | HasTerm):
                yield from _named(term.type, [term.criterion])
            elif isinstance(term, TokenTerm) and _IDENTIFIER in {criterion.name, criterion.modifier}:
                identity = _identity(term)
                if identity is None:
                    continue
                if criterion.modifier:
                    raise BadSearchError(_BY_IDENTIFIER)
                yield (resource_type, term), identity


def _identity(term: TokenTerm) -> Identity | None:
    """The exchange-wide identity that a term names, if it names one."""
    if term.system:
        return read_identity(term.system, term.code)
    if looks_like_national_id(term.code):
        return read_identity(min(NATIONAL_ID_SYSTEMS), term.code)
    return None


def _replaced(
    parts: NodeParts, resource_type: str, term: TokenTerm, identity: Identity, known: Mapping[Identity, Pseudonym]
) -> Sequence[Term]:
    """What stands for an identity: its person, and the tokens of the forms that a record here may have it in."""
    systems = NATIONAL_ID_SYSTEMS if not term.system or term.system in NATIONAL_ID_SYSTEMS else {term.system}
    written = {term.code, term.code.strip().upper()}
    forms = sorted(code_form(system, code) for system in systems for code in written)
    tokens = [KeyedTerm(token_of(parts.keys.tokens, resource_type, _IDENTIFIER, form)) for form in forms]
    return [PersonTerm(known.get(identity, NOBODY)), *tokens]

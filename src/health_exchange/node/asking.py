"""Searches as callers send them, made into what may be searched: identities become pseudonyms before anything else.

A national ID is in memory only here, between the form it came in and the pseudonym it becomes. A node without the power
to see national IDs refuses it; an identity that no key holder can be asked about is looked for by its local tokens.
"""

from collections.abc import Mapping, Sequence

from health_exchange.fhir.parameters import offered_for, resource_types
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.powers import Power
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.pseudonym.identities import (
    NATIONAL_ID_SYSTEMS,
    Identity,
    is_identity_system,
    looks_like_national_id,
    read_identity,
)
from health_exchange.search.query import (
    BadSearchError,
    Criterion,
    KeyedTerm,
    PersonTerm,
    SearchQuery,
    Term,
    TokenTerm,
    parse_pairs,
)
from health_exchange.search.tokens import code_form, token_of

_IDENTIFIER = "identifier"
NOBODY = Pseudonym("0" * 26)
"""Stands where a person would stand who is not known here: no pseudonym has this digit. So a search for somebody
unknown looks, sealed into the link to a page, as long as one for somebody known."""


class IdentityNotSeenHereError(ExchangeError):
    """This node has no power to see national IDs."""

    category = Category.FORBIDDEN
    code = "identity-not-seen-here"


def read_query(resource_type: str, pairs: Sequence[tuple[str, str]]) -> SearchQuery:
    """The search as asked, checked.

    Raises:
        NotFoundError: There is no such resource type.
        UnknownParameterError: It asks for what this door does not offer.
        BadSearchError: A value is none, or a national ID stands where it does not belong.
    """
    if resource_type not in resource_types():
        raise NotFoundError("there is no such resource type")
    for name, value in pairs:
        if name != _IDENTIFIER and looks_like_national_id(value):
            raise BadSearchError("a national ID is asked for by the parameter identifier only")
    return parse_pairs(resource_type, pairs, offered_for(resource_type))


def may_name_identity(card: NodeCard, value: str) -> bool:
    """Whether an ``identifier`` that is searched for may be an exchange-wide identity, which no URL may carry.

    At a node of the exchange any may. One that takes anything serves people who search by GET; there it is one where
    its system or its check digit says so.
    """
    if not card.may(Power.TAKES_ANYTHING):
        return True
    pairs = (each.rpartition("|") for each in value.split(","))
    return any(is_identity_system(system) or looks_like_national_id(code) for system, _bar, code in pairs)


async def without_identities(parts: NodeParts, pseudonyms: PseudonymClient | None, query: SearchQuery) -> SearchQuery:
    """The search with every exchange-wide identity replaced by the person or, failing that, by its tokens.

    Raises:
        IdentityNotSeenHereError: It asks by an identity, and this node may see none.
        InvalidIdentityError: An identity cannot be right.
    """
    named = {
        term: identity
        for criterion in query.criteria
        if criterion.name == _IDENTIFIER
        for term in criterion.terms
        if isinstance(term, TokenTerm) and (identity := _identity(term)) is not None
    }
    if not named:
        return query
    if pseudonyms is None or not parts.card.may(Power.SEES_NATIONAL_IDS):
        raise IdentityNotSeenHereError(f"{parts.address} sees no national IDs; ask a node that admits facilities")
    known = await pseudonyms.resolve(list(dict.fromkeys(named.values()))) if query.type == "Patient" else {}
    criteria = tuple(
        Criterion(
            name=criterion.name,
            terms=tuple(
                replaced
                for term in criterion.terms
                for replaced in (
                    _replaced(parts, query.type, term, named[term], known)
                    if isinstance(term, TokenTerm) and criterion.name == _IDENTIFIER and term in named
                    else (term,)
                )
            ),
        )
        for criterion in query.criteria
    )
    return SearchQuery(type=query.type, criteria=criteria, count=query.count)


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

"""Search tokens: what a resource can be found by, as keyed hashes that tell nothing without the key.

A value has one or two *forms* (``code`` alone, ``system`` and ``code``), and a query names one. The token is the hash
of type, parameter and form, so equal codes of different types or parameters share nothing. Tokens find candidates; the
forms are compared again on the opened body (``search.matching``).

Every token is paid for in each row and its index, so no form has one that another's finds as well (ADR 31): a reference
has its typed form only, a code without a system the one without regard to systems, and who is found as ``subject`` is
found as ``patient`` by the same token.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TypeGuard

from health_exchange.fhir.parameter_table import parameters_of
from health_exchange.fhir.parameters import SearchValue, offered_for, resource_types
from health_exchange.model.secrecy import Secret
from health_exchange.search.terms import ReferenceTerm, Term, TokenTerm

TOKEN_BYTES = 8
HASHED = frozenset({"patient", "subject", "code", "category", "status", "identifier"})
"""The parameters whose values have tokens, where a type has them: tokens or references, all of them."""
_IDENTIFIER = "identifier"
"""The one parameter whose values hardly come again and may name a person: their hashes are not remembered."""
_PATIENT, _SUBJECT = "patient", "subject"


def code_form(system: str | None, code: str) -> str:
    """A coded value as hashed: without regard to its system, or in that system (empty: in none)."""
    return f"={code}" if system is None else f"{system}\n{code}"


def reference_form(resource_type: str | None, resource_id: str) -> str:
    """A reference as hashed: with its type, or without regard to it."""
    return f"={resource_id}" if resource_type is None else f"{resource_type}/{resource_id}"


def token_of(key: Secret, resource_type: str, parameter: str, form: str) -> int:
    """The token of one form: 64 bits, signed as databases keep them."""
    text = f"{resource_type}\n{parameter}\n{form}".encode()
    return int.from_bytes(blake2b(text, digest_size=TOKEN_BYTES, key=key.raw).digest(), "big", signed=True)


def tokens_asked(key: Secret, resource_type: str, parameter: str, term: TokenTerm | ReferenceTerm) -> list[int]:
    """The tokens of which whatever a query's term finds has one."""
    if isinstance(term, TokenTerm):
        forms = [code_form((term.system or None) if _names_systems(resource_type, parameter) else None, term.code)]
    else:
        forms = [reference_form(each, term.id) for each in ([term.type] if term.type else sorted(resource_types()))]
    return [token_of(key, resource_type, _indexed(resource_type, parameter), form) for form in forms]


def named_tokens(key: Secret, resource_type: str, parameter: str, names: Iterable[str]) -> list[int]:
    """The tokens of references to these, each written ``Type/id``."""
    return [token_of(key, resource_type, _indexed(resource_type, parameter), name) for name in names]


def is_hashed(term: Term, resource_type: str, parameter: str) -> TypeGuard[TokenTerm | ReferenceTerm]:
    """Whether whatever a term finds has a token by which it is found."""
    if parameter not in HASHED or parameter not in offered_for(resource_type):
        return False
    return isinstance(term, ReferenceTerm) or (isinstance(term, TokenTerm) and bool(term.code))


def is_found_exactly(term: TokenTerm | ReferenceTerm, resource_type: str, parameter: str) -> bool:
    """Whether its tokens find nothing else; a code in no system has that of the code in whatever system."""
    if isinstance(term, ReferenceTerm):
        return not term.version
    return term.system is None or (term.system != "" and _names_systems(resource_type, parameter))


def tokens_of(key: Secret, resource_type: str, values: Iterable[SearchValue]) -> list[int]:
    """All tokens of one resource, without repetition.

    Args:
        key: The node's token key.
        resource_type: Its type.
        values: As ``fhir.parameters.extract`` gives them.
    """
    found: set[int] = set()
    wanted = hashed_for(resource_type)
    for value in values:
        if value.param in wanted:
            make = _tokens if value.param == _IDENTIFIER else _remembered
            found.update(make(key.raw, resource_type, value))
    return sorted(found)


@cache
def hashed_for(resource_type: str) -> frozenset[str]:
    """The parameters of a type whose values are hashed."""
    names = HASHED & offered_for(resource_type)
    return frozenset(name for name in names if _indexed(resource_type, name) == name)


@cache
def _names_systems(resource_type: str, parameter: str) -> bool:
    """Whether all values of a parameter name the systems that they are of; plain codes do not, and are hashed alone."""
    return not any(path.type == "code" for path in parameters_of(resource_type)[parameter].paths)


@cache
def _indexed(resource_type: str, parameter: str) -> str:
    """Under which name a parameter's values are hashed: of the subjects that are patients, as of all."""
    return _SUBJECT if parameter == _PATIENT and _SUBJECT in offered_for(resource_type) else parameter


def _tokens(key: bytes, resource_type: str, value: SearchValue) -> tuple[int, ...]:
    """The tokens of one value."""
    if value.reference:
        forms = [value.reference]
    elif value.code:
        forms = [code_form(None, value.code)]
        forms += [code_form(value.system, value.code)] if value.system else []
    else:
        forms = []
    return tuple(token_of(Secret(key), resource_type, value.param, form) for form in forms)


_remembered = lru_cache(maxsize=1 << 16)(_tokens)

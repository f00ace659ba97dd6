"""Search tokens: what a resource can be found by, as keyed hashes that tell nothing without the key.

A value has one or two *forms* (``code`` alone, ``system`` and ``code``), and a query names one. The token is the hash
of type, parameter and form, so equal codes of different types or parameters share nothing. Tokens find candidates; the
forms are compared again on the opened body (``search.matching``).

Every token is paid for in each row and its index, so no form has one that another's finds as well (ADR 31): a reference
has its typed form only, a code without a system the one without regard to systems, who is found as ``subject`` is found
as ``patient`` by the same token, and a family name as a name. Texts have tokens of how they begin. Who belongs to a
Patient as whose record it is has no second token for it; a date that lasts a day at most has none at all (ADR 38), but
what has a code besides has one of both: of the code and the quarter, or of the code and a long date (ADR 49).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, TypeGuard

from health_exchange.fhir.parameter_table import compartment_of, parameters_of
from health_exchange.fhir.parameters import (
    SearchValue,
    is_dated,
    is_read,
    offered_for,
    resource_types,
    settle,
    short_instant,
    written_values,
)
from health_exchange.model.secrecy import Secret
from health_exchange.search.comparing import begun
from health_exchange.search.terms import Modifier, ReferenceTerm, Term, TextTerm, TokenTerm

TOKEN_BYTES = 8
ANEW = frozenset({"encounter"})
"""Of :data:`HASHED`, those that rows of the first generation lack; texts, compartments and long dates besides."""
HASHED = frozenset({"patient", "subject", "code", "category", "status", "identifier"}) | ANEW
"""The parameters whose values have tokens, where a type has them: tokens or references, all of them."""
TEXTS = MappingProxyType(
    dict.fromkeys(("name", "family", "given"), "name")
    | dict.fromkeys((f"address{part}" for part in ("", "-city", "-country", "-postalcode", "-state")), "address")
)
"""The texts that have tokens, and as whose beginnings they are found."""
FREQUENT = frozenset({"code", "category", "status"})
"""The parameters one value of which very many resources may have."""
_IDENTIFIER = "identifier"
"""The one parameter whose values hardly come again and may name a person: their hashes are not remembered."""
_REMEMBERED_MAX = 200
"""Characters of a value whose hashes are remembered; a code has fewer, and whatever is longer would fill the memory."""
_PATIENT, _SUBJECT = "patient", "subject"
_MEMBER, _LONG = "_compartment", "date"
_CODE, _CODE_AND_QUARTER = "code", "code-date"
_LONG_QUARTER = "long"
"""Stands for the quarter of a date that is long."""
FIRST_YEAR, LAST_YEAR = 1970, 2049
QUARTERS = range(4 * FIRST_YEAR, 4 * LAST_YEAR + 4)
"""The quarters of years that have tokens of their own, counted through; what was before or comes after counts as of the
first or the last."""
_BEGINNINGS, _WIDE_BEGINNINGS = (8, 5, 3, 2), (8, 5, 3, 2, 1)
"""Lengths of the beginnings of a text that have tokens. One character says much where words are one or two long."""
_WIDE = "\u2e80"
"""The first character of Chinese, Japanese and Korean writing."""


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


def text_token_asked(key: Secret, resource_type: str, parameter: str, modifier: str, term: TextTerm) -> int | None:
    """The token that whatever a text finds has; ``None`` where it has none, or is not asked for by its beginning."""
    name = TEXTS.get(parameter)
    if modifier not in {"", Modifier.EXACT} or name is None or name not in _texts_for(resource_type):
        return None
    longest = next(_beginnings(term.text), None)
    return None if longest is None else token_of(key, resource_type, name, longest)


def member_tokens(key: Secret, resource_type: str, patient: str) -> list[int]:
    """The tokens of which whatever of a type belongs to a Patient has one; none where some of it may have none."""
    by = compartment_of(resource_type)
    if not by or not all(is_read(resource_type, each) for each in by):
        return []
    own = [token_of(key, resource_type, _MEMBER, patient)]
    return own + ([token_of(key, resource_type, name, patient)] if (name := _owner(resource_type)) else [])


def long_token(key: Secret, resource_type: str) -> int:
    """The token of what has a ``date`` that is not one short span from its clinical date on."""
    return token_of(key, resource_type, _LONG, "")


def quarter_tokens_asked(key: Secret, resource_type: str, codes: Iterable[str], quarters: Iterable[int]) -> list[int]:
    """The tokens of which whatever has one of some codes and began in one of some quarters has one.

    Whatever has a long date has one, too, whenever it began.

    Args:
        key: The node's token key.
        resource_type: One that :func:`has_quarters`.
        codes: Without regard to their systems.
        quarters: As :func:`quarters_between` gives them.
    """
    named = [*map(str, quarters), _LONG_QUARTER]
    return [_quarter_token(key.raw, resource_type, code, each) for code in codes for each in named]


def quarters_between(first: datetime, last: datetime) -> range:
    """As of which quarters what began between two instants may count."""
    one, other = (each.astimezone(UTC) for each in (first, last))
    return range(_quarter(one.year, one.month), _quarter(other.year, other.month) + 1)


@cache
def has_quarters(resource_type: str) -> bool:
    """Whether what is of a type has tokens of its codes and the quarter that it began in."""
    # Definitions have a date and a code, too, but are nobody's record: few are looked for by when they were made.
    return bool(_owner(resource_type)) and is_dated(resource_type) and _CODE in hashed_for(resource_type)


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


def tokens_in(key: Secret, resource_type: str, decoded: Mapping[str, Any]) -> list[int]:
    """All tokens of a resource as it is kept."""
    return tokens_of(key, resource_type, settle(written_values(decoded, indexed_for(resource_type))))


def tokens_of(key: Secret, resource_type: str, values: Iterable[SearchValue]) -> list[int]:
    """All tokens of one resource, without repetition.

    Args:
        key: The node's token key.
        resource_type: Its type.
        values: As ``fhir.parameters.settle`` gives them.
    """
    found: set[int] = set()
    hashed, texts, members = hashed_for(resource_type), _texts_for(resource_type), compartment_of(resource_type)
    owner = _owner(resource_type)
    dates: list[SearchValue] = []
    codes: set[str] = set()
    owners: set[str] = set()
    patients: set[str] = set()
    for value in values:
        if value.param in hashed:
            is_known = value.param != _IDENTIFIER and _characters(value) <= _REMEMBERED_MAX
            make = _remembered if is_known else _tokens
            found.update(make(key.raw, resource_type, value))
            if value.param == _CODE and value.code:
                codes.add(value.code)
            if value.param == owner and value.reference:
                owners.add(value.reference)
        elif value.param in texts and value.code:
            begins = _beginnings(value.code)
            found.update(token_of(key, resource_type, value.param, each) for each in begins)
        elif value.param == _LONG:
            dates.append(value)
        if value.reference and value.param in members and value.reference.startswith("Patient/"):
            patients.add(value.reference)
    found.update(token_of(key, resource_type, _MEMBER, patient) for patient in patients - owners)
    if dates and is_dated(resource_type):
        found.update(_dated(key, resource_type, dates, codes if has_quarters(resource_type) else ()))
    return sorted(found)


@cache
def indexed_for(resource_type: str) -> frozenset[str]:
    """The parameters of a type whose values its tokens are made of."""
    dates = {_LONG} if is_dated(resource_type) else set()
    return hashed_for(resource_type) | _texts_for(resource_type) | frozenset(compartment_of(resource_type)) | dates


@cache
def hashed_for(resource_type: str) -> frozenset[str]:
    """The parameters of a type whose values are hashed."""
    names = HASHED & offered_for(resource_type)
    return frozenset(name for name in names if _indexed(resource_type, name) == name)


@cache
def _texts_for(resource_type: str) -> frozenset[str]:
    """The parameters of a type whose texts have tokens of how they begin."""
    names = frozenset(TEXTS.values()) & offered_for(resource_type)
    return frozenset(
        name for name in names if parameters_of(resource_type)[name].kind == "string" and is_read(resource_type, name)
    )


@cache
def _owner(resource_type: str) -> str:
    """The hashed parameter that says whose record a resource is; empty where none does."""
    return next((name for name in (_SUBJECT, _PATIENT) if name in hashed_for(resource_type)), "")


def _dated(key: Secret, resource_type: str, dates: Sequence[SearchValue], codes: Iterable[str]) -> Iterator[int]:
    """The tokens that a resource has for its ``date``, alone and with each of its codes."""
    instant = short_instant(dates)
    quarter = _LONG_QUARTER if instant is None else str(_quarter(int(instant[:4]), int(instant[5:7])))
    if instant is None:
        yield long_token(key, resource_type)
    for code in codes:
        make = _remembered_quarter_token if len(code) <= _REMEMBERED_MAX else _quarter_token
        yield make(key.raw, resource_type, code, quarter)


def _quarter_token(key: bytes, resource_type: str, code: str, quarter: str) -> int:
    """The token of a code, whatever its system, and a quarter."""
    return token_of(Secret(key), resource_type, _CODE_AND_QUARTER, f"{quarter}\n{code}")


_remembered_quarter_token = lru_cache(maxsize=1 << 16)(_quarter_token)


def _quarter(year: int, month: int) -> int:
    """As of which quarter a month counts."""
    return min(max(4 * year + (month - 1) // 3, QUARTERS[0]), QUARTERS[-1])


def _beginnings(text: str) -> Iterator[str]:
    """The beginnings of a text, folded, that have tokens, the longest first."""
    plain = begun(text, _BEGINNINGS[0])
    lengths = _WIDE_BEGINNINGS if plain >= _WIDE else _BEGINNINGS
    return (plain[:length] for length in lengths if len(plain) >= length)


def _characters(value: SearchValue) -> int:
    """How long the texts of a value are."""
    return len(value.system or "") + len(value.code or "") + len(value.reference or "")


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

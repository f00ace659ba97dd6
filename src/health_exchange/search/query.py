"""A FHIR search as asked: parsed strictly, checked against what this door offers, never silently narrowed or widened.

A comma separates alternatives, a repeated parameter is a further condition. Whatever is not in the table below (another
parameter, a modifier, a prefix, a chain) is refused by name, so that nobody mistakes a wider answer for his own.

Source: FHIR R4, section 3.1.1 "Search" (search.html).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import parse_qsl

import msgspec

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.search.spans import BadDateError, Comparator, Span, span_of

COUNT_DEFAULT = 20
COUNT_MAX = 200
CRITERIA_MAX = 20
ALTERNATIVES_MAX = 100
TEXT_MAX = 2_000
"""Most characters of all values together: they come back inside the link to the next page."""


class UnknownParameterError(ExchangeError):
    """A parameter or modifier that this door does not offer."""

    category = Category.INCORRECT
    code = "unknown-parameter"


class BadSearchError(ExchangeError):
    """A value that its parameter cannot have."""

    category = Category.INCORRECT
    code = "bad-search"


class Kind(StrEnum):
    """What the values of a parameter are."""

    ID = "id"
    INSTANT = "instant"
    REFERENCE = "reference"
    DATE = "date"
    TOKEN = "token"  # noqa: S105  # FHIR's word for a coded value


PARAMETERS: Mapping[str, Kind] = MappingProxyType(
    {
        "_id": Kind.ID,
        "_lastUpdated": Kind.INSTANT,
        "patient": Kind.REFERENCE,
        "subject": Kind.REFERENCE,
        "date": Kind.DATE,
        "code": Kind.TOKEN,
        "category": Kind.TOKEN,
        "status": Kind.TOKEN,
        "identifier": Kind.TOKEN,
    }
)
ALWAYS = frozenset({"_id", "_lastUpdated"})
"""Offered for every type; the others where FHIR defines them."""


class IdTerm(msgspec.Struct, frozen=True, tag_field="term", tag="id"):
    """The resource has this id."""

    id: str


class DateTerm(msgspec.Struct, frozen=True, tag_field="term", tag="date"):
    """A date of the resource lies so to the span from ``start`` to ``end``."""

    comparator: Comparator
    start: datetime
    end: datetime

    @property
    def span(self) -> Span:
        """What was asked for."""
        return Span(self.start, self.end)


class TokenTerm(msgspec.Struct, frozen=True, tag_field="term", tag="token"):
    """A coded value: of any system where that is ``None``, of none where it is empty."""

    system: str | None
    code: str


class ReferenceTerm(msgspec.Struct, frozen=True, tag_field="term", tag="reference"):
    """A reference to ``type/id``, or to that id of any type."""

    type: str | None
    id: str


class PersonTerm(msgspec.Struct, frozen=True, tag_field="term", tag="person"):
    """The resource is of the person with this pseudonym; what a national ID becomes before anything is searched."""

    pseudonym: str


class KeyedTerm(msgspec.Struct, frozen=True, tag_field="term", tag="keyed"):
    """The resource has this search token; what a value becomes that must not be kept as text."""

    token: int


Term: TypeAlias = IdTerm | DateTerm | TokenTerm | ReferenceTerm | PersonTerm | KeyedTerm


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One condition: any of its alternatives."""

    name: str
    terms: tuple[Term, ...]


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One search: all of its criteria.

    Attributes:
        type: Resource type.
        criteria: Empty for all resources of the type.
        count: Most resources on one page; 0 asks for the total alone.
    """

    type: str
    criteria: tuple[Criterion, ...] = ()
    count: int = COUNT_DEFAULT


_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(r"(?:([A-Z][A-Za-z]{1,63})/)?([A-Za-z0-9\-.]{1,64})")
_SHOWABLE = re.compile(r"[A-Za-z_:.\-]{1,40}")
_BEFORE_QUERY = re.compile(r"^[A-Za-z/]*\?")
_PREFIX = re.compile(r"[a-z]{2}(?=[0-9])")


def parse_pairs(resource_type: str, pairs: Iterable[tuple[str, str]], offered: Iterable[str]) -> SearchQuery:
    """The search that decoded names and values ask for.

    Args:
        resource_type: What is searched.
        pairs: As in the URL or form, in order. Untrusted.
        offered: Parameters that FHIR defines for the type.

    Raises:
        UnknownParameterError: A parameter, modifier or chain that is not offered for the type.
        BadSearchError: A value that its parameter cannot have, or too many of them.
    """
    known = ALWAYS | (set(offered) & PARAMETERS.keys())
    criteria: list[Criterion] = []
    count: int | None = None
    text = 0
    for name, value in pairs:
        if name == "_count":
            if count is not None:
                raise BadSearchError("_count is given more than once", where="_count")
            count = _count(value)
            continue
        if name not in known:
            raise UnknownParameterError(_refusal(resource_type, name))
        text += len(value)
        criteria.append(_criterion(name, value))
    if len(criteria) > CRITERIA_MAX or text > TEXT_MAX:
        raise BadSearchError(f"a search has at most {CRITERIA_MAX} parameters and {TEXT_MAX} characters of values")
    return SearchQuery(type=resource_type, criteria=tuple(criteria), count=COUNT_DEFAULT if count is None else count)


def parse_text(resource_type: str, text: str, offered: Iterable[str]) -> SearchQuery:
    """As :func:`parse_pairs` for the text behind a question mark, as in ``ifNoneExist`` and conditional references.

    Raises:
        BadSearchError: As :func:`parse_pairs`; or the text names no criterion, which would match anything.
    """
    try:
        asked = _BEFORE_QUERY.sub("", text)
        pairs = parse_qsl(asked, keep_blank_values=True, strict_parsing=True, max_num_fields=50)
    except ValueError:
        pairs = []
    query = parse_pairs(resource_type, pairs, offered)
    if not query.criteria:
        raise BadSearchError("a conditional search names at least one parameter")
    return query


def _criterion(name: str, value: str) -> Criterion:
    """One parameter's alternatives."""
    values = split_escaped(value, ",")
    if len(values) > ALTERNATIVES_MAX:
        raise BadSearchError(f"a parameter has at most {ALTERNATIVES_MAX} alternatives", where=name)
    terms = tuple(_term(name, one) for one in values)
    if PARAMETERS[name] in {Kind.DATE, Kind.INSTANT} and len(terms) > 1:
        negated = [term for term in terms if isinstance(term, DateTerm) and term.comparator is Comparator.NE]
        if negated:
            raise BadSearchError("ne among alternatives would match everything", where=name)
    return Criterion(name=name, terms=terms)


def _term(name: str, value: str) -> Term:
    """One alternative."""
    if not value:
        raise BadSearchError("the parameter has an empty value", where=name)
    kind = PARAMETERS[name]
    if kind is Kind.ID:
        if not _ID.fullmatch(value):
            raise BadSearchError("an id has 1 to 64 letters, digits, hyphens and dots", where=name)
        return IdTerm(value)
    if kind is Kind.REFERENCE:
        return _reference(name, value)
    if kind is Kind.TOKEN:
        return _token(name, value)
    return _date(name, value)


def _reference(name: str, value: str) -> ReferenceTerm:
    match = _REFERENCE.fullmatch(value)
    if match is None:
        raise BadSearchError("a reference is written Type/id or id", where=name)
    if name == "patient" and match[1] not in {None, "Patient"}:
        raise BadSearchError("patient refers to a Patient", where=name)
    return ReferenceTerm("Patient" if name == "patient" else match[1], match[2])


def _token(name: str, value: str) -> TokenTerm:
    parts = split_escaped(value, "|")
    if len(parts) == 1:
        return TokenTerm(None, unescape(parts[0]))
    system, code = unescape(parts[0]), unescape(parts[1])
    if len(parts) > 2 or not code:  # noqa: PLR2004  # system and code
        raise BadSearchError("a token is written code, system|code or |code", where=name)
    return TokenTerm(system, code)


def _date(name: str, value: str) -> DateTerm:
    prefix = _PREFIX.match(value)
    comparator = Comparator.EQ
    if prefix is not None:
        if prefix[0] not in {one.value for one in Comparator}:
            raise BadSearchError("the date prefixes offered are eq, ne, gt, ge, lt, le", where=name)
        comparator, value = Comparator(prefix[0]), value[2:]
    try:
        span = span_of(value)
    except BadDateError as error:
        raise BadSearchError(error.detail, where=name) from None
    return DateTerm(comparator, span.start, span.end)


def _count(value: str) -> int:
    """A page size; more than the maximum means the maximum, as FHIR lets a server decide."""
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise BadSearchError("_count is a whole number", where="_count")
    return min(int(value), COUNT_MAX)


def _refusal(resource_type: str, name: str) -> str:
    """Why a parameter is refused; a name that may carry more than a name is not repeated."""
    shown = name if _SHOWABLE.fullmatch(name) else "a parameter"
    if ":" in name:
        return f"{shown}: modifiers are not offered"
    if "." in name:
        return f"{shown}: chained parameters are not offered"
    return f"{shown} is not offered in a search for {resource_type}" if name.isidentifier() else f"{shown} is unknown"


def split_escaped(text: str, separator: str) -> Sequence[str]:
    r"""``text`` cut at each separator that has no backslash before it; escapes stay as they are."""
    parts, start, index = [], 0, 0
    while index < len(text):
        if text[index] == "\\":
            index += 2
            continue
        if text[index] == separator:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    r"""``text`` with ``\,``, ``\|``, ``\$`` and ``\\`` as the characters they stand for."""
    return re.sub(r"\\([,|$\\])", r"\1", text)

"""Values of search parameters, read from what callers write. Pure; every value is untrusted.

Source: FHIR R4, section 3.1.1.4 "Search Parameter Types".
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import Parameter
from health_exchange.fhir.units import converted
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.search.comparing import folded
from health_exchange.search.numbers import number_of
from health_exchange.search.spans import BadDateError, Comparator, span_of
from health_exchange.search.terms import (
    CompositeTerm,
    DateTerm,
    IdTerm,
    MissingTerm,
    Modifier,
    NearTerm,
    NumberTerm,
    QuantityTerm,
    ReferenceTerm,
    SetTerm,
    Term,
    TextTerm,
    TokenTerm,
    TypedTerm,
    UrlTerm,
)

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(r"(?:([A-Z][A-Za-z]{1,63})/)?([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?")
_PREFIX = re.compile(r"[a-z]{2}(?=[0-9+.-])")
_WITHOUT_SYSTEM = frozenset({"code", "boolean", "flag", "string", "id", "uri", "ContactPoint"})
_PAIR, _TRIPLE, _PLACE = 2, 3, 4
_NORTH_MAX, _EAST_MAX = 90, 180
_FAR_M_MAX = 10**12
"""No place of the earth is as far, however small somebody's unit; and what is larger may be no floating number."""
NEAR_KM = "10"
"""How far is near where nobody says it."""


class BadSearchError(ExchangeError):
    """A value that its parameter cannot have."""

    category = Category.INCORRECT
    code = "bad-search"


def read_value(parameter: Parameter, modifier: str, value: str, base: str = "") -> Term:
    """One alternative.

    Args:
        parameter: What it is a value of.
        modifier: As it stands behind the parameter's name; one that the parameter has, or a type of resource.
        value: As written, with its escapes.
        base: URL that this node's own resources stand under.

    Raises:
        BadSearchError: The parameter cannot have it; the value is not repeated.
    """
    name = parameter.name
    if not value:
        raise BadSearchError("the parameter has an empty value", where=name)
    if modifier == Modifier.MISSING:
        if value not in {"true", "false"}:
            raise BadSearchError("missing is true or false", where=name)
        return MissingTerm(value == "true")
    if name == "_id":
        return _id(name, value)
    if modifier in {Modifier.IN, Modifier.NOT_IN}:
        return SetTerm(unescape(value))
    if modifier == Modifier.OF_TYPE:
        return _typed(name, value)
    if parameter.kind == "reference" and modifier != Modifier.IDENTIFIER:
        return _reference(parameter, modifier, value, base)
    kind = {"identifier": "token", "text": "text"}.get(modifier, parameter.kind)
    if kind in {"string", "text"} and modifier != Modifier.EXACT and not folded(unescape(value)):
        # Whatever there is begins with nothing: it would find everybody.
        raise BadSearchError("a text has more than spaces and accents", where=name)
    return _plain(parameter, kind, value, base)


def _plain(parameter: Parameter, kind: str, value: str, base: str) -> Term:
    """One alternative as its kind is written."""
    term: Term
    match kind:
        case "composite":
            term = _composite(parameter, value, base)
        case "token":
            term = _token(parameter, value)
        case "date":
            term = _date(parameter.name, value)
        case "number":
            term = NumberTerm(*_number(parameter.name, value))
        case "quantity":
            term = _quantity(parameter.name, value)
        case "special":
            term = _near(parameter.name, value)
        case _:
            term = TextTerm(unescape(value))
    return term


def _id(name: str, value: str) -> IdTerm:
    if not _ID.fullmatch(value):
        raise BadSearchError("an id has 1 to 64 letters, digits, hyphens and dots", where=name)
    return IdTerm(value)


def _composite(parameter: Parameter, value: str, base: str) -> CompositeTerm:
    """The values of all components."""
    parts = split_escaped(value, "$")
    if len(parts) != len(parameter.components):
        raise BadSearchError(
            f"the value has {len(parameter.components)} parts, with $ between them", where=parameter.name
        )
    read = zip(parameter.components, parts, strict=True)
    return CompositeTerm(tuple(read_value(component, "", part, base) for component, part in read))


def _reference(parameter: Parameter, modifier: str, value: str, base: str) -> ReferenceTerm | UrlTerm:
    """What is referred to: kept here, or elsewhere under a URL."""
    name, text = parameter.name, unescape(value)
    if base and text.startswith(f"{base}/"):
        text = text[len(base) + 1 :]
    match = _REFERENCE.fullmatch(text)
    if match is None:
        if ":" in text and not modifier:
            return UrlTerm(text)
        raise BadSearchError("a reference is written Type/id, id or as a URL", where=name)
    only = parameter.targets[0] if len(parameter.targets) == 1 else None
    wanted = match[1] or modifier or only
    if modifier and wanted != modifier:
        raise BadSearchError("the value is of another type than the modifier", where=name)
    if wanted and (wanted not in resource_types() or (parameter.targets and wanted not in parameter.targets)):
        raise BadSearchError(f"{name} does not refer to that type", where=name)
    return ReferenceTerm(wanted, match[2], match[3] or "")


def _token(parameter: Parameter, value: str) -> TokenTerm:
    """A code, with or without its system."""
    parts = split_escaped(value, "|")
    if len(parts) == 1:
        return TokenTerm(None, unescape(parts[0]))
    system, code = unescape(parts[0]), unescape(parts[1])
    if len(parts) > _PAIR or not (code or system):
        raise BadSearchError("a token is written code, system|code, system| or |code", where=parameter.name)
    paths = [path for path in parameter.paths if path.type not in _WITHOUT_SYSTEM or path.system]
    if system and parameter.paths and not paths:
        raise BadSearchError("these values are kept without a system: ask for the code alone", where=parameter.name)
    return TokenTerm(system, code)


def _typed(name: str, value: str) -> TypedTerm:
    """An identifier with its type."""
    parts = [unescape(part) for part in split_escaped(value, "|")]
    if len(parts) != _TRIPLE or not all(parts):
        raise BadSearchError("an identifier of a type is written system|code|value", where=name)
    return TypedTerm(*parts)


def _date(name: str, value: str) -> DateTerm:
    comparator, text = _prefixed(name, value)
    try:
        span = span_of(text)
    except BadDateError as error:
        raise BadSearchError(error.detail, where=name) from None
    return DateTerm(comparator, span.start, span.end)


def _quantity(name: str, value: str) -> QuantityTerm:
    parts = split_escaped(value, "|")
    if len(parts) not in {1, _TRIPLE} or (len(parts) == _TRIPLE and not parts[2]):
        raise BadSearchError("a quantity is written number, number|system|code or number||code", where=name)
    comparator, number = _number(name, parts[0])
    system, code = (unescape(parts[1]) or None, unescape(parts[2])) if len(parts) == _TRIPLE else (None, "")
    return QuantityTerm(comparator, number, system, code)


def _near(name: str, value: str) -> NearTerm:
    """A place, and how far from it."""
    latitude, longitude, distance, unit = [*map(unescape, split_escaped(value, "|")), "", "", "", ""][:4]
    north, east, far = (number_of(part) for part in (latitude, longitude, distance or NEAR_KM))
    far_m = None if far is None else converted(far, unit if distance and unit else "km", "m")
    if value.count("|") >= _PLACE or north is None or east is None or far_m is None:
        raise BadSearchError("a place is written latitude|longitude|distance|unit, with a unit of length", where=name)
    if abs(north) > _NORTH_MAX or abs(east) > _EAST_MAX or not 0 <= far_m <= _FAR_M_MAX:
        raise BadSearchError("there is no such place, or no such distance", where=name)
    return NearTerm(float(north), float(east), float(far_m))


def _number(name: str, value: str) -> tuple[Comparator, Decimal]:
    comparator, text = _prefixed(name, value)
    number = number_of(text)
    if number is None:
        raise BadSearchError("a number has at most 18 digits before and behind its point", where=name)
    return comparator, number


def _prefixed(name: str, value: str) -> tuple[Comparator, str]:
    """A comparison's prefix and what stands behind it."""
    prefix = _PREFIX.match(value)
    if prefix is None:
        return Comparator.EQ, value
    if prefix[0] not in {one.value for one in Comparator}:
        raise BadSearchError("the prefixes are eq, ne, gt, ge, lt, le, sa, eb, ap", where=name)
    return Comparator(prefix[0]), value[2:]


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

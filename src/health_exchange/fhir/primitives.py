"""The forms of FHIR's primitive types: which JSON value is a ``date``, a ``positiveInt``, a ``code``.

Dates are those of the calendar: the 30th of February has the right form and is none.

Whitespace is space, tab and line ends, as in XML Schema, whose patterns FHIR's are: an ideographic space is text.

Source: FHIR R4, section 2.24.0.1 "Primitive Types".
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType

CHARACTERS_MAX = 1024 * 1024
"""Of a string."""
_YEAR = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_MONTH = r"(0[1-9]|1[0-2])"
_DAY = r"(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_BASE64 = re.compile(r"[0-9A-Za-z+/]*={0,2}")
_INT_MAX = 2**31 - 1
_BASE64_GROUP = 4

_FORMS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "string": re.compile(rf"[^\x00-\x08\x0b\x0c\x0e-\x1f]{{1,{CHARACTERS_MAX}}}"),
        "markdown": re.compile(rf"[^\x00-\x08\x0b\x0c\x0e-\x1f]{{1,{CHARACTERS_MAX}}}"),
        "xhtml": re.compile(r"\s*<div[\s>].*", re.DOTALL),
        "code": re.compile(r"[^ \t\r\n]+([ \t\r\n][^ \t\r\n]+)*"),
        "id": re.compile(r"[A-Za-z0-9\-.]{1,64}"),
        "uri": re.compile(r"[^ \t\r\n]+"),
        "url": re.compile(r"[^ \t\r\n]+"),
        "canonical": re.compile(r"[^ \t\r\n]+"),
        "oid": re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
        "uuid": re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        "time": re.compile(_CLOCK),
        "date": re.compile(f"{_YEAR}(-{_MONTH}(-{_DAY})?)?"),
        "dateTime": re.compile(f"{_YEAR}(-{_MONTH}(-{_DAY}(T{_CLOCK}{_ZONE})?)?)?"),
        "instant": re.compile(f"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}"),
    }
)
_WITH_CALENDAR = frozenset({"date", "dateTime", "instant"})
_DAY_CHARACTERS = 10


def fault_of(type_name: str, value: object) -> str:
    """What is wrong with a value of a primitive type, as a sentence without the value; empty where nothing is."""
    judge = _JUDGES.get(type_name)
    if judge is not None:
        return "" if judge(value) else f"this must be a {type_name}: {_NEEDS[type_name]}"
    if not isinstance(value, str) or not value:
        return "this must be a string that is not empty"
    if type_name == "base64Binary" and not _is_base64(value):
        return "this must be base64"
    form = _FORMS.get(type_name)
    if form is not None and form.fullmatch(value) is None:
        return f"this does not have the form of a {type_name}"
    if type_name in _WITH_CALENDAR and not _is_in_calendar(value):
        return "the calendar has no such day"
    return ""


def _is_integer(value: object, low: int = -_INT_MAX - 1) -> bool:
    """Whether a value is a whole number of 32 bits, at least ``low``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= _INT_MAX


def _is_base64(value: str) -> bool:
    """Whether a string is base64; whitespace may stand anywhere."""
    packed = "".join(value.split())
    return bool(packed) and len(packed) % _BASE64_GROUP == 0 and _BASE64.fullmatch(packed) is not None


def _is_in_calendar(value: str) -> bool:
    """Whether a date's day exists; partial dates always do."""
    if len(value) < _DAY_CHARACTERS:
        return True
    try:
        date.fromisoformat(value[:_DAY_CHARACTERS])
    except ValueError:
        return False
    return True


_JUDGES: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "boolean": lambda value: isinstance(value, bool),
        "decimal": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
        "integer": _is_integer,
        "unsignedInt": lambda value: _is_integer(value, 0),
        "positiveInt": lambda value: _is_integer(value, 1),
    }
)
_NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "boolean": "true or false",
        "decimal": "a JSON number",
        "integer": "a whole JSON number",
        "unsignedInt": "a whole JSON number from 0",
        "positiveInt": "a whole JSON number from 1",
    }
)

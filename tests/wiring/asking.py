"""What a server must be asked for to find a resource by a value, read from the shapes of FHIR's types alone.

Source: FHIR R4, section 3.1.1.4 "Search Parameter Types".
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

from tests.fhir.expressions import Together

UCUM = "http://unitsofmeasure.org"
METRIC = re.compile(r"([kmu]?)(g|L|l|mol|Pa|cal|U|Cel|m\[Hg\])((?:/.+)?)")
"""A unit that takes prefixes, of those in which the examples measure, and what it is divided by."""
THOUSANDTHS = {"k": "", "": "m", "m": "u", "u": "n"}
"""For each prefix the one of a thousandth."""
CONTACTS = frozenset({"phone", "fax", "email", "pager", "url", "sms", "other"})
"""A system that is none: of a ContactPoint."""
NAMES = ("text", "family", "given", "prefix", "suffix")
ADDRESSES = ("text", "line", "city", "district", "state", "postalCode", "country")
TEXT_CHARACTERS = 60
"""So much of a text is asked for: a URL has its bounds."""
TYPED = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")


class Asked(NamedTuple):
    """A value that must find a resource; where it is exact, it finds nothing but what has the same."""

    value: str
    is_exact: bool = False
    modifier: str = ""


NOWHERE = {
    "token": "none-has-this",
    "string": "none begins so",
    "date": "1066-10-14",
    "number": "987654321",
    "quantity": "987654321",
    "uri": "urn:none:has-this",
}
"""Values that no example has, by kind of parameter; a reference's is made of a type."""


def asked(kind: str, value: Any) -> Iterator[Asked]:  # noqa: ANN401  # any JSON value
    """Values that a resource with ``value`` has to be found by."""
    match kind:
        case "token":
            yield from _tokens(value)
        case "string":
            for text in _texts(value):
                if text.strip():
                    yield Asked(escaped(text[:TEXT_CHARACTERS]))
                    if len(text) <= TEXT_CHARACTERS:
                        yield Asked(escaped(text), modifier="exact")
        case "reference":
            text = value.get("reference", "") if isinstance(value, dict) else value
            if text and not text.startswith("#"):
                yield Asked(escaped(text), is_exact=not TYPED.fullmatch(text))
        case "date":
            yield from _dates(value)
        case "uri":
            yield Asked(escaped(value), is_exact=True)
        case "quantity" | "number":
            yield from _numbers(value)
        case _:
            yield Asked(f"{value['latitude']}|{value['longitude']}|1|km")


def asked_together(found: Together) -> Iterator[Asked]:
    """Values of a composite, of the first two of each component."""
    parts = [
        [each for value in values for each in asked(kind, value) if not each.modifier][:2]
        for kind, values in found.components
    ]
    for together in product(*parts):
        yield Asked("$".join(each.value for each in together))


def escaped(text: str) -> str:
    """``text`` as a value of a parameter."""
    return re.sub(r"([\\|,$])", r"\\\1", text)


def _tokens(value: Any) -> Iterator[Asked]:  # noqa: ANN401  # any JSON value
    """By code, by system and code, by no system and code, and by system alone."""
    if isinstance(value, bool):
        yield Asked(str(value).lower(), is_exact=True)
    elif isinstance(value, str):
        yield Asked(escaped(value), is_exact=True)
    elif "coding" in value:
        for coding in value["coding"]:
            yield from _tokens(coding)
    elif code := value.get("code", "") or value.get("value", ""):
        system = value.get("system", "")
        yield Asked(escaped(code), is_exact=True)
        if system not in CONTACTS:
            yield Asked(f"{escaped(system)}|{escaped(code)}", is_exact=True)
        if system and system not in CONTACTS:
            yield Asked(f"{escaped(system)}|", is_exact=True)


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401  # any JSON value
    """A text, or those of a name or an address."""
    if isinstance(value, str):
        yield value
        return
    for part in {*NAMES, *ADDRESSES} & value.keys():
        yield from value[part] if isinstance(value[part], list) else [value[part]]


def _dates(value: Any) -> Iterator[Asked]:  # noqa: ANN401  # any JSON value
    """The very date; of what has a beginning and an end, both."""
    if isinstance(value, str):
        yield from (Asked(value), Asked(f"ge{value}"), Asked(f"le{value}"))
        return
    bounds = value.get("repeat", {}).get("boundsPeriod", {})
    starts = [*value.get("event", []), *filter(None, (value.get("start"), bounds.get("start")))]
    ends = [*value.get("event", []), *filter(None, (value.get("end"), bounds.get("end")))]
    yield from (Asked(f"ge{start}") for start in starts)
    yield from (Asked(f"le{end}") for end in ends)


def _numbers(value: Any) -> Iterator[Asked]:  # noqa: ANN401  # any JSON value
    """The number, and that of a quantity with its unit; of a range, both ends."""
    if not isinstance(value, dict):
        yield Asked(str(value))
        return
    for end, prefix in (("low", "ge"), ("high", "le")):
        if "value" in value.get(end, {}):
            yield Asked(f"{prefix}{value[end]['value']}")
    if "value" in value:
        prefix = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}.get(value.get("comparator", ""), "")
        number, unit = f"{prefix}{value['value']}", value.get("code") or value.get("unit")
        yield Asked(number)
        if unit:
            yield Asked(f"{number}||{escaped(unit)}")
        if value.get("code") and value.get("system"):
            yield Asked(f"{number}|{escaped(value['system'])}|{escaped(value['code'])}")
        if value.get("system") == UCUM and (smaller := _smaller(value.get("code", ""))):
            many, code = smaller
            yield Asked(f"{prefix}{Decimal(str(value['value'])) * many}|{UCUM}|{code}")


def _smaller(code: str) -> tuple[int, str] | None:
    """How many of a smaller unit make one."""
    if code == "min":
        return 60, "s"
    unit = METRIC.fullmatch(code)
    return (1000, f"{THOUSANDTHS[unit[1]]}{unit[2]}{unit[3]}") if unit else None

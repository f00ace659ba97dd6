"""One function per kind of value: what may leave of it, as bytes.

A cleaner takes the bytes of a value and the journey it is on, and returns the bytes that may leave, or ``None`` where
nothing may. It never turns a number or an instant into a Python value and back: what leaves is what arrived. Strings
leave only where they match a closed list or a form that has no room for a name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from msgspec import Raw

from health_exchange.fhir.splicing import JsonBytes, fields, items, join_array, join_object, quote, text
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import ExchangeId
from health_exchange.pseudonym.rules.rows import Disposition, read_code_systems, read_rules

Rewrite = Callable[[str, str], ExchangeId | None]


@dataclass(slots=True)
class Journey:
    """One resource on its way out."""

    rewrite: Rewrite
    subject: str | None
    directory: bool
    changed_at: str
    contained: dict[str, str] = field(default_factory=dict)  # local id as it arrived -> local id as it leaves
    wanted: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


Cleaner = Callable[[Raw, Journey], bytes | None]

ABSENT_URL = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
MASKED = b'{"extension":[{"url":"' + ABSENT_URL.encode() + b'","valueCode":"masked"}]}'
"""Stands where something was that may not leave; also a primitive's sibling (``_title``)."""

_ABSENT_REASONS = frozenset(
    {"unknown", "asked-unknown", "temp-unknown", "not-asked", "asked-declined", "masked", "not-applicable"}
    | {"unsupported", "as-text", "error", "not-a-number", "negative-infinity", "positive-infinity"}
    | {"not-performed", "not-permitted"}
)
_CHILD_MAX_YEARS = 6
REMEMBERED_BYTES_MAX = 1024
_UCUM = b'"http://unitsofmeasure.org"'
# Symbols, digits, operators and square-bracketed units; annotations in braces are free text and are matched apart.
_UCUM_CODE = re.compile(rb'"(?:[A-Za-z0-9%\'*./^()+-]|\[[A-Za-z0-9_/\'.-]{1,12}\]){1,24}"')
_UCUM_ANNOTATED = re.compile(
    rb'"[A-Za-z0-9%*./^()\[\]_-]{0,12}\{(?:score|count|tablet|tbl|capsule|dose|puff|drop|beats|breaths|cells|copies'
    rb"|index|nominal|number|ratio|counts|RBC|WBC|HPF|INR|steps|events|pack|vial|bag|SCORE|T-score|Z-score)s?\}"
    rb'[A-Za-z0-9%*./^()\[\]_-]{0,12}"'
)
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{2,40})/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?")
_DATE = re.compile(rb'"(\d{4})(-(\d\d))?(-(\d\d))?[^"]*"')


class HeldResourceError(ExchangeError):
    """This resource may not leave; the original stays at its origin and an operator sees why."""

    category = Category.INCORRECT

    def __init__(self, code: str, detail: str, *, where: str = "") -> None:
        super().__init__(detail, where=where)
        self.code = code  # type: ignore[misc]  # each reason to hold has its own stable code


def _matching(pattern: bytes) -> Cleaner:
    fullmatch = re.compile(pattern).fullmatch

    def clean(raw: Raw, _journey: Journey) -> bytes | None:
        value = bytes(raw)
        return value if fullmatch(value) else None

    return clean


_INSTANT = _matching(rb'"\d{4}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?)?)?"')
_NUMBER = _matching(rb"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,4})?")


def _masked(_raw: Raw, _journey: Journey) -> bytes | None:
    return MASKED


def clean_year(raw: Raw, journey: Journey) -> bytes | None:
    """A birth date as its year; as year and month below six years of age when the resource changed."""
    match = _DATE.fullmatch(bytes(raw))
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[3] or 1), int(match[5] or 1)
    at = tuple(int(part) for part in journey.changed_at[:10].split("-"))
    if match[3] and at < (year + _CHILD_MAX_YEARS, month, day):
        return b'"' + match[1] + b"-" + match[3] + b'"'
    return b'"' + match[1] + b'"'


def clean_month(raw: Raw, _journey: Journey) -> bytes | None:
    """A date of death as year and month: deaths are published by day elsewhere, outcomes are counted by month."""
    match = _DATE.fullmatch(bytes(raw))
    return None if match is None else b'"' + match[1] + (match[2] or b"") + b'"'


def clean_name(raw: Raw, journey: Journey) -> bytes | None:
    """A public name of an institution or professional, as it stands."""
    journey.names.append(text(raw))
    return bytes(raw)


def absent_reason(raw: JsonBytes) -> bytes | None:
    """The data-absent-reason among the extensions of an element, written anew; ``None`` where it gives none."""
    extensions = fields(raw).get("extension")
    for extension in items(extensions) if extensions is not None else ():
        members = fields(extension)
        if members.keys() >= {"url", "valueCode"} and text(members["url"]) == ABSENT_URL:
            reason = text(members["valueCode"])
            if reason in _ABSENT_REASONS:
                return MASKED.replace(b"masked", reason.encode())
    return None


def _forms(table: dict[str, str]) -> dict[bytes, Callable[[bytes], object]]:
    return {quote(uri): re.compile(f'"(?:{form})"'.encode()).fullmatch for uri, form in table.items()}


_CODES = _forms(dict(read_code_systems().codes))
_LICENCES = _forms(dict(read_code_systems().licences))


def clean_coding(raw: Raw, _journey: Journey | None = None) -> bytes | None:
    """System and code, where the system is listed and the code has its form. Displays stay."""
    members = fields(raw)
    hold_modifiers(members)
    if "system" not in members or "code" not in members:
        return None
    system, code = bytes(members["system"]), bytes(members["code"])
    form = _CODES.get(system)
    if form is None or form(code) is None or (system == _UCUM and clean_unit(code) is None):
        return None
    return b'{"system":' + system + b',"code":' + code + b"}"


def clean_concept(raw: Raw, _journey: Journey) -> bytes | None:
    """The codings that may leave; a concept left with none says that it is masked."""
    given = bytes(raw)
    return _remembered_concept(given) if len(given) <= REMEMBERED_BYTES_MAX else _concept(given)


def _concept(raw: bytes) -> bytes:
    """What may leave of a concept depends on nothing else, and concepts come again and again."""
    codings = fields(raw).get("coding")
    if codings is not None:
        kept = [coding for item in items(codings) if (coding := clean_coding(item)) is not None]
        if kept:
            return b'{"coding":' + join_array(kept) + b"}"
    return absent_reason(raw) or MASKED


_remembered_concept = lru_cache(maxsize=1 << 14)(_concept)


def clean_unit(code: bytes) -> bytes | None:
    """A quoted UCUM code without free annotations."""
    return code if _UCUM_CODE.fullmatch(code) or _UCUM_ANNOTATED.fullmatch(code) else None


def clean_quantity(raw: Raw, journey: Journey) -> bytes | None:
    """Value with its UCUM unit, or a bare number; a number whose unit may not leave would mislead and is masked."""
    members = fields(raw)
    hold_modifiers(members)
    value = _NUMBER(members["value"], journey) if "value" in members else None
    if value is None:
        return absent_reason(raw) or MASKED
    kept = [("value", value)]
    if "comparator" in members:
        comparator = bytes(members["comparator"])
        if comparator not in {b'"<"', b'"<="', b'">="', b'">"'}:
            return MASKED
        kept.append(("comparator", comparator))
    if members.keys() & {"unit", "system", "code"}:
        code = bytes(members.get("code", Raw(b"")))
        if bytes(members.get("system", Raw(b""))) != _UCUM or clean_unit(code) is None:
            return MASKED
        kept += [("unit", code), ("system", _UCUM), ("code", code)]
    return join_object(kept)


def clean_reference(raw: Raw, journey: Journey) -> bytes | None:
    """A reference to a resource that leaves as well; one that names another person, or nothing of ours, stays."""
    members = fields(raw)
    hold_modifiers(members)
    target = text(members["reference"]) if "reference" in members else ""
    rewritten = rewrite_target(target, journey)
    return None if rewritten is None else b'{"reference":"' + rewritten.encode() + b'"}'


def rewrite_target(target: str, journey: Journey) -> str | None:
    """Where ``target`` points above the origin; ``None`` if it may not leave."""
    if target.startswith("#"):
        local = journey.contained.get(target[1:])
        if local is not None and target[1:] not in journey.wanted:
            journey.wanted.append(target[1:])
        return None if local is None else f"#{local}"
    match = _REFERENCE.fullmatch(target)
    rule = read_rules().get(match[1]) if match else None
    if match is None or rule is None or (journey.directory and rule.disposition is not Disposition.DIRECTORY):
        return None
    if match[1] == "Patient" and f"Patient/{match[2]}" != journey.subject:
        return None
    exchange_id = journey.rewrite(match[1], match[2])
    return None if exchange_id is None else f"{match[1]}/{exchange_id}"


def clean_licence(raw: Raw, journey: Journey) -> bytes | None:
    """A licence or institution number of a listed system."""
    members = fields(raw)
    hold_modifiers(members)
    if not members.keys() >= {"system", "value"}:
        return None
    system, value = bytes(members["system"]), bytes(members["value"])
    form = _LICENCES.get(system)
    if form is None or form(value) is None:
        return None
    journey.names.append(text(members["value"]))
    return b'{"system":' + system + b',"value":' + value + b"}"


def hold_modifiers(members: Mapping[str, Raw]) -> None:
    """Raise for what changes the meaning of the element in a way we do not know."""
    if "modifierExtension" in members:
        raise HeldResourceError("unknown-modifier", "a modifier extension we do not know changes the meaning")


PRIMITIVES: dict[str, Cleaner] = {
    "boolean": _matching(rb"true|false"),
    "decimal": _NUMBER,
    "integer": _NUMBER,
    "positiveInt": _NUMBER,
    "unsignedInt": _NUMBER,
    "date": _INSTANT,
    "dateTime": _INSTANT,
    "instant": _INSTANT,
    "time": _matching(rb'"\d\d:\d\d:\d\d(?:\.\d{1,9})?"'),
    "currency": _matching(rb'"[A-Z]{3}"'),
    "samples": _matching(rb'"(?:-?[0-9]+(?:\.[0-9]+)?|[EUL])(?: (?:-?[0-9]+(?:\.[0-9]+)?|[EUL]))*"'),
    "year": clean_year,
    "month": clean_month,
    "name": clean_name,
    "string": _masked,
}
COMPLEX: dict[str, Cleaner] = {
    "Coding": clean_coding,
    "CodeableConcept": clean_concept,
    "Quantity": clean_quantity,
    "Age": clean_quantity,
    "Duration": clean_quantity,
    "Reference": clean_reference,
    "licence": clean_licence,
}


def clean_codes(codes: tuple[str, ...]) -> Cleaner:
    """A cleaner that lets exactly these codes through."""
    allowed = frozenset(quote(code) for code in codes)

    def clean(raw: Raw, _journey: Journey) -> bytes | None:
        value = bytes(raw)
        return value if value in allowed else None

    return clean

"""Whether one value in an opened resource is what one alternative of a search asks for. Pure.

Source: FHIR R4, section 3.1.1.4 "Search Parameter Types".
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from health_exchange.fhir.parameter_table import Located, Parameter, located, places_of
from health_exchange.fhir.parameters import ADDRESS_PARTS, NAME_PARTS
from health_exchange.fhir.value_sets import holds as set_holds
from health_exchange.search.numbers import compare_number, interval_of
from health_exchange.search.spans import BadDateError, Span, compare, period_of
from health_exchange.search.terms import (
    AmongTerm,
    CompositeTerm,
    DateTerm,
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

_RELATIVE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?")
_EARTH_M, _DEGREES_MAX = 6_371_008.8, 180
_SPACES = re.compile(r"\s+")


def is_met_by(term: Term, modifier: str, parameter: Parameter, decoded: Mapping[str, Any]) -> bool:
    """Whether any value of a parameter in a resource is what ``term`` asks for.

    Args:
        term: One alternative, of a kind that looks into resources.
        modifier: How it is compared.
        parameter: What it is about.
        decoded: The resource; decimals as they are written.
    """
    if isinstance(term, CompositeTerm):
        return any(
            all(
                any(_holds(part, "", component.kind, found) for found in located(place, component))
                for part, component in zip(term.parts, parameter.components, strict=True)
            )
            for place in places_of(decoded, parameter)
        )
    return any(_holds(term, modifier, parameter.kind, found) for found in located(decoded, parameter))


def spans_of(found: Located) -> Iterator[Span]:
    """When a kept date was; of a Timing, from its first moment to its last. None where no calendar has it."""
    value = found.value
    try:
        if found.type == "Period":
            if value.get("start") or value.get("end"):
                yield period_of(value.get("start"), value.get("end"))
        elif found.type == "Timing":
            spans = [period_of(event, event) for event in value.get("event", ()) if event is not None]
            bounds = value.get("repeat", {}).get("boundsPeriod", {})
            if bounds.get("start") or bounds.get("end"):
                spans.append(period_of(bounds.get("start"), bounds.get("end")))
            if spans:
                yield Span(min(span.start for span in spans), max(span.end for span in spans))
        else:
            yield period_of(value, value)
    except BadDateError:
        return


def coded(found: Located) -> Iterator[tuple[str | None, str | None]]:
    """System and code of each coded value in an element."""
    value = found.value
    match found.type:
        case "CodeableConcept":
            for coding in value.get("coding", ()):
                yield coding.get("system"), coding.get("code")
        case "Coding":
            yield value.get("system"), value.get("code")
        case "Identifier":
            yield value.get("system"), value.get("value")
        case "ContactPoint":
            yield None, value.get("value")
        case "boolean" | "flag":
            yield None, "true" if value else "false"
        case _:
            yield None, value


def texts_of(found: Located) -> Iterator[str]:
    """The texts that a kept string, name or address has."""
    parts = {"HumanName": NAME_PARTS, "Address": ADDRESS_PARTS}.get(found.type)
    if parts is None:
        yield found.value
        return
    for part in parts:
        inner = found.value.get(part)
        yield from (each for each in (inner if isinstance(inner, list) else [inner]) if isinstance(each, str))


def folded(text: str) -> str:
    """A text without regard to case, accents, width of characters and number of spaces; syllables of Korean are whole.

    Nothing is remembered of it, for it may name a person.
    """
    # Twice, for what one character stands for (as in TEL) may have a case again.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.casefold()).casefold())
    bare = "".join(each for each in plain if not unicodedata.combining(each))
    return _SPACES.sub(" ", unicodedata.normalize("NFC", bare)).strip()


def begun(text: str, length: int) -> str:
    """A folded text, or one that has the same first characters, more than ``length`` of them: little of it is read."""
    size = 8 * length
    while size < len(text):
        # Whatever follows changes the last character at most: marks are gone, and Korean syllables are composed.
        if len(head := folded(text[:size])) > length:
            return head
        size *= 8
    return folded(text)


def _holds(term: Term, modifier: str, kind: str, found: Located) -> bool:
    """Whether one value is what is asked for."""
    holds = False
    match term:
        case DateTerm():
            holds = any(compare(term.comparator, term.span, span) for span in spans_of(found))
        case NumberTerm() | QuantityTerm():
            interval = interval_of(found, term if isinstance(term, QuantityTerm) else None)
            holds = interval is not None and compare_number(term.comparator, term.number, interval)
        case NearTerm():
            holds = _is_near(term, found.value)
        case TokenTerm():
            holds = _has_code(term, modifier, found)
        case SetTerm():
            codes = coded(found)
            holds = any(code and set_holds(term.url, system or found.system, code) for system, code in codes)
        case TypedTerm():
            types = coded(Located("CodeableConcept", found.value.get("type", {})))
            holds = found.value.get("value") == term.value and (term.system, term.code) in types
        case ReferenceTerm() | UrlTerm() | AmongTerm():
            text = found.value.get("reference") if found.type == "Reference" else found.value
            holds = isinstance(text, str) and (_refers(term, text) or _is_canonical(term, text, found.type))
        case TextTerm() if kind == "uri":
            holds = _is_uri(term.text, modifier, found.value)
        case TextTerm():
            texts = _labels(found) if modifier == Modifier.TEXT else texts_of(found)
            holds = any(_is_text(term.text, modifier, text) for text in texts)
        case _:
            raise TypeError(f"{type(term).__name__} is not told by one value")
    return holds


def _has_code(term: TokenTerm, modifier: str, found: Located) -> bool:
    """Whether an element has the code that is asked for."""
    if modifier == Modifier.IDENTIFIER:
        identifier = found.value.get("identifier") if found.type == "Reference" else None
        if identifier is None:
            return False
        found = Located("Identifier", identifier)
    return any(
        (code == term.code if term.code else bool(code))
        and term.system in ((None, system) if system else (None, "", found.system))
        for system, code in coded(found)
    )


def _is_near(term: NearTerm, position: Mapping[str, Any]) -> bool:
    """Whether a place is near enough, on a sphere: half a percent off at most."""
    said = [position.get("latitude"), position.get("longitude")]
    # Without arithmetic: a decimal of JSON may be too large for any.
    place = [each for each in said if isinstance(each, int | Decimal) and -_DEGREES_MAX <= each <= _DEGREES_MAX]
    if len(place) != len(said):
        return False
    north, east = (math.radians(each) for each in place)
    asked_north, asked_east = math.radians(term.latitude), math.radians(term.longitude)
    sine = math.sin((north - asked_north) / 2) ** 2
    sine += math.cos(north) * math.cos(asked_north) * math.sin((east - asked_east) / 2) ** 2
    return 2 * _EARTH_M * math.asin(math.sqrt(min(1.0, sine))) <= term.distance_m


def _labels(found: Located) -> Iterator[str]:
    """The texts that say what a coded value means."""
    value = found.value.get("type", {}) if found.type == "Identifier" else found.value
    codings = [value] if found.type == "Coding" else value.get("coding", ()) if isinstance(value, dict) else ()
    labels = [coding.get("display") for coding in codings]
    labels += [value.get("text")] if isinstance(value, dict) else []
    yield from (label for label in labels if isinstance(label, str))


def _is_text(asked: str, modifier: str, kept: str) -> bool:
    """Whether a text is, holds or begins with what is asked for."""
    if modifier == Modifier.EXACT:
        return kept == asked
    if modifier == Modifier.CONTAINS:
        return folded(asked) in folded(kept)
    return folded(kept).startswith(folded(asked))


def _is_uri(asked: str, modifier: str, kept: str) -> bool:
    """Whether a URI is what is asked for, or stands above or below it in its path."""
    if modifier == Modifier.BELOW:
        return kept == asked or kept.startswith(asked.rstrip("/") + "/")
    if modifier == Modifier.ABOVE:
        return kept == asked or asked.startswith(kept.rstrip("/") + "/")
    return kept == asked


def named_by(reference: Any) -> str:  # noqa: ANN401  # any JSON value
    """What a Reference is to, as ``Type/id``; empty where that is nothing that may be kept here."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    match = _RELATIVE.fullmatch(text) if isinstance(text, str) else None
    return f"{match[1]}/{match[2]}" if match is not None else ""


def _refers(term: ReferenceTerm | UrlTerm | AmongTerm, kept: str) -> bool:
    """Whether a reference is to what is asked for; one that names no version asks for any."""
    if isinstance(term, UrlTerm):
        return term.url in {kept, kept.partition("|")[0], kept.partition("/_history/")[0]}
    match = _RELATIVE.fullmatch(kept)
    if match is None:
        return False
    if isinstance(term, AmongTerm):
        return f"{match[1]}/{match[2]}" in term.names
    return term.id == match[2] and term.type in {None, match[1]} and term.version in {"", match[3]}


def _is_canonical(term: ReferenceTerm | UrlTerm | AmongTerm, kept: str, kind: str) -> bool:
    """Whether a canonical, which need be neither a reference nor a URL, is the text that is asked for."""
    is_text = kind in {"canonical", "uri"}
    return is_text and isinstance(term, ReferenceTerm) and term.type is None and kept == term.id

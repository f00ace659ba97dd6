"""What a resource is found by before anybody opens it: values of its tokens and references, and its clinical date.

Source: FHIR R4, section 3.1.1.4 "Search Parameter Types".
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from health_exchange.fhir.elements import resource_types
from health_exchange.fhir.parameter_table import parameters_of

__all__ = ["SearchValue", "instant_of", "offered_for", "resource_types", "settle", "written_values"]


_KINDS = frozenset({"token", "reference", "date", "string"})
_NOTHING: Mapping[str, str] = MappingProxyType({})
_FIRST_YEAR, _LAST_YEAR = "0001", "9999"
"""Stand for since ever and for ever (``search.spans``)."""
NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")
"""The texts that a name and an address are searched by."""
LOCAL_OFFSET = "+08:00"
"""Of a date without a zone: local time of the country."""

_RELATIVE = re.compile(r"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_TIME = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9:]{8})(\.[0-9]+)?(Z|[+-][0-9:]{5}))?)?)?")
_INSTANT_CHARACTERS = 40
"""Of an instant down to nanoseconds, with room."""
_INSTANTS: Mapping[str, str] = MappingProxyType(
    {
        "Claim": "billablePeriod created",
        "Condition": "onsetDateTime onsetPeriod recordedDate",
        "Coverage": "period",
        "Device": "manufactureDate",
        "DeviceRequest": "occurrenceDateTime occurrencePeriod authoredOn",
        "DocumentManifest": "created",
        "ExplanationOfBenefit": "billablePeriod created",
        "Goal": "startDate",
        "ImagingStudy": "started",
        "MedicationAdministration": "effectiveDateTime effectivePeriod",
        "MedicationDispense": "whenHandedOver whenPrepared",
        "MedicationRequest": "authoredOn",
        "MedicationStatement": "effectiveDateTime effectivePeriod dateAsserted",
        "Media": "createdDateTime createdPeriod issued",
        "NutritionOrder": "dateTime",
        "Provenance": "occurredDateTime occurredPeriod recorded",
        "QuestionnaireResponse": "authored",
        "ServiceRequest": "occurrenceDateTime occurrencePeriod authoredOn",
        "Specimen": "collection.collectedDateTime collection.collectedPeriod receivedTime",
        "SupplyDelivery": "occurrenceDateTime occurrencePeriod",
        "Task": "executionPeriod authoredOn",
        "VisionPrescription": "dateWritten created",
    }
)
"""The date of a record by which a person's records are read, where no parameter ``date`` says it."""


class SearchValue(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One value by which a resource can be found.

    Attributes:
        param: Name of the search parameter.
        kind: ``token``, ``reference``, ``date`` or ``string``.
        system: Of a token; ``None`` where it has none.
        code: Of a token: code or identifier value. Of a string: the text.
        reference: ``Type/id``, once it is settled; as written before.
        start: Text of a date, or of a period's beginning; ``None`` where it is open.
        end: Text of the same date, or of a period's end; ``None`` where it is open.
    """

    param: str
    kind: str
    system: str | None = None
    code: str | None = None
    reference: str | None = None
    start: str | None = None
    end: str | None = None


class _Row(NamedTuple):
    """One path of one parameter."""

    param: str
    kind: str
    steps: tuple[str, ...]
    type: str


def offered_for(resource_type: str) -> frozenset[str]:
    """Names of the parameters that a type can be searched by."""
    return frozenset(parameters_of(resource_type))


@functools.cache
def is_read(resource_type: str, name: str) -> bool:
    """Whether every value that a parameter can have in a type is read here."""
    parameter = parameters_of(resource_type)[name]
    readers = _TEXT_READERS if parameter.kind == "string" else _READERS
    return parameter.kind in _KINDS and all(
        path.type in readers and not any(step.key for step in path.steps) for path in parameter.paths
    )


@functools.cache
def is_dated(resource_type: str) -> bool:
    """Whether the clinical date of a type is what its parameter ``date`` says."""
    return resource_type not in _INSTANTS and "date" in offered_for(resource_type) and is_read(resource_type, "date")


def short_instant(values: Sequence[SearchValue]) -> str | None:
    """When a resource began whose dates are one that lasts a day at most: its clinical date; ``None`` of all others.

    Args:
        values: Those of its parameter ``date``.
    """
    if len(values) != 1 or not values[0].start or not values[0].end:
        return None
    start, end = _TIME.fullmatch(values[0].start), _TIME.fullmatch(values[0].end)
    if start is None or end is None or start[3] is None or not _FIRST_YEAR < start[1] < _LAST_YEAR:
        return None
    # The zone is compared too: the same day in two zones may be two days long.
    is_one_day = start.group(1, 2, 3, 6) == end.group(1, 2, 3, 6)
    return _instant(values[0].start) if is_one_day else None


def written_values(decoded: Mapping[str, Any], wanted: frozenset[str]) -> list[SearchValue]:
    """The values of some parameters with references as they are written: of any kind, and not yet rewritten.

    Args:
        decoded: A validated resource.
        wanted: Names of the parameters; ``_id`` and ``_lastUpdated`` are none of an element.
    """
    found: list[SearchValue] = []
    for row in _wanted_rows(str(decoded.get("resourceType")), wanted):
        if row.steps[0] in decoded:
            read = _TEXT_READERS[row.type] if row.kind == "string" else _READERS[row.type]
            for element in _at(decoded, row.steps):
                found += read(row, element)
    return found


def settle(values: Iterable[SearchValue], rewriting: Mapping[str, str] = _NOTHING) -> list[SearchValue]:
    """Values with references as resources are found by them; those to elsewhere and conditional ones are none.

    Args:
        values: As :func:`written_values` gives them.
        rewriting: What texts of references have become.
    """
    found: list[SearchValue] = []
    for value in values:
        if value.reference is None:
            found.append(value)
            continue
        match = _RELATIVE.fullmatch(rewriting.get(value.reference, value.reference))
        if match is not None and (value.param != "patient" or match[1].startswith("Patient/")):
            found.append(SearchValue(param=value.param, kind=value.kind, reference=match[1]))
    return found


def instant_of(decoded: Mapping[str, Any]) -> str | None:
    """The clinical date of a resource as an instant in UTC whose texts sort by time; ``None`` where it has none.

    A partial date is its beginning, a period its beginning or else its end.
    """
    resource_type = str(decoded.get("resourceType"))
    for path in _INSTANTS.get(resource_type, "").split():
        for element in _at(decoded, path.split(".")):
            texts = (element.get("start"), element.get("end")) if isinstance(element, dict) else (element,)
            for text in texts:
                if isinstance(text, str) and (instant := _instant(text)) is not None:
                    return instant
    for row in _rows(resource_type):
        for element in _at(decoded, row.steps) if row.param == "date" else ():
            for value in _READERS[row.type](row, element):
                instant = _instant(value.start or value.end or "")
                if instant is not None:
                    return instant
    return None


@functools.cache
def _rows(resource_type: str) -> tuple[_Row, ...]:
    """The paths whose values are read here: of tokens, references, dates and texts."""
    return tuple(
        _Row(parameter.name, parameter.kind, tuple(step.name for step in path.steps), path.type)
        for parameter in parameters_of(resource_type).values()
        for path in parameter.paths
        if parameter.kind in _KINDS
        and path.type in (_TEXT_READERS if parameter.kind == "string" else _READERS)
        and not any(step.key for step in path.steps)
    )


@functools.cache
def _wanted_rows(resource_type: str, wanted: frozenset[str]) -> tuple[_Row, ...]:
    """Those of some parameters."""
    return tuple(row for row in _rows(resource_type) if row.param in wanted)


def _at(value: Any, steps: Sequence[str]) -> list[Any]:  # noqa: ANN401  # any JSON value
    """Every value at a path, through any arrays."""
    here: list[Any] = [value]
    for step in steps:
        below: list[Any] = []
        for one in here:
            inner = one.get(step) if isinstance(one, dict) else None
            if isinstance(inner, list):
                below += inner
            elif inner is not None:
                below.append(inner)
        here = below
    return here


def _token(row: _Row, system: object, code: object) -> list[SearchValue]:
    """One token, where there is a code."""
    if not isinstance(code, str) or not code:
        return []
    return [SearchValue(param=row.param, kind=row.kind, system=system if isinstance(system, str) else None, code=code)]


def _code(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A primitive code."""
    return _token(row, None, element)


def _coding(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A Coding."""
    return _token(row, element.get("system"), element.get("code"))


def _concept(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A CodeableConcept: each of its codings; its text is not searched."""
    return [value for coding in element.get("coding", ()) for value in _coding(row, coding)]


def _identifier(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """An Identifier."""
    return _token(row, element.get("system"), element.get("value"))


def _reference(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A Reference, as it is written."""
    text = element.get("reference")
    return [SearchValue(param=row.param, kind=row.kind, reference=text)] if isinstance(text, str) else []


def _date(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A date, dateTime or instant."""
    if not isinstance(element, str):
        return []
    return [SearchValue(param=row.param, kind=row.kind, start=element, end=element)]


def _period(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A Period with at least one end."""
    start, end = element.get("start"), element.get("end")
    return [SearchValue(param=row.param, kind=row.kind, start=start, end=end)] if start or end else []


def _timing(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A Timing: its events, and the bounds of its repetition."""
    events = [value for event in element.get("event", ()) for value in _date(row, event)]
    bounds = _at(element, ("repeat", "boundsPeriod"))
    return events + [value for each in bounds for value in _period(row, each)]


_READERS: Mapping[str, Callable[[_Row, Any], list[SearchValue]]] = MappingProxyType(
    {
        "code": _code,
        "Coding": _coding,
        "CodeableConcept": _concept,
        "Identifier": _identifier,
        "Reference": _reference,
        "date": _date,
        "dateTime": _date,
        "instant": _date,
        "Period": _period,
        "Timing": _timing,
    }
)


def _text(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
    """A text."""
    return [SearchValue(param=row.param, kind=row.kind, code=element)] if isinstance(element, str) else []


def _texts(parts: Sequence[str]) -> Callable[[_Row, Any], list[SearchValue]]:
    """Reads the texts in the parts of a name or an address."""

    def read(row: _Row, element: Any) -> list[SearchValue]:  # noqa: ANN401  # any JSON value
        found = [text for part in parts for text in _at(element, (part,))]
        return [value for text in found for value in _text(row, text)]

    return read


_TEXT_READERS: Mapping[str, Callable[[_Row, Any], list[SearchValue]]] = MappingProxyType(
    {"string": _text, "HumanName": _texts(NAME_PARTS), "Address": _texts(ADDRESS_PARTS)}
)


def _instant(text: str) -> str | None:
    """A FHIR date as an instant in UTC with microseconds; ``None`` where the calendar has no such date."""
    # The fractions of a second have no end, and would fill the memory.
    return _remembered_instant(text) if len(text) <= _INSTANT_CHARACTERS else _read_instant(text)


def _read_instant(text: str) -> str | None:
    """As :func:`_instant`."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, clock, fraction, zone = match.groups()
    # A leap second counts as the second before it; fractions beyond microseconds are cut off.
    clock = (clock or "00:00:00").replace(":60", ":59")
    micro = ((fraction or ".")[1:] + "000000")[:6]
    try:
        moment = datetime.fromisoformat(f"{year}-{month or '01'}-{day or '01'}T{clock}.{micro}{zone or LOCAL_OFFSET}")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return instant_text(moment)


_remembered_instant = functools.lru_cache(maxsize=1 << 14)(_read_instant)


def instant_text(moment: datetime) -> str:
    """An instant in UTC as rows keep it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")

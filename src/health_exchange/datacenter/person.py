"""One person's unified view: what all sources say, grouped as people read it, with what was masked on the way.

Pure: over resources handed in, which policy has let through already. Nothing is merged or judged: two sources that
disagree stand side by side, each with its name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

import msgspec

DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
PATHS_SHOWN_MAX = 50


class Group(StrEnum):
    """The sections of the view, in reading order."""

    ENCOUNTERS = "encounters"
    CONDITIONS = "conditions"
    RESULTS = "results"
    PRESCRIPTIONS = "prescriptions"
    OTHER = "other"


GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "Encounter": Group.ENCOUNTERS,
        "EpisodeOfCare": Group.ENCOUNTERS,
        "Condition": Group.CONDITIONS,
        "AllergyIntolerance": Group.CONDITIONS,
        "Observation": Group.RESULTS,
        "DiagnosticReport": Group.RESULTS,
        "ImagingStudy": Group.RESULTS,
        "MedicationRequest": Group.PRESCRIPTIONS,
        "MedicationStatement": Group.PRESCRIPTIONS,
        "MedicationDispense": Group.PRESCRIPTIONS,
        "MedicationAdministration": Group.PRESCRIPTIONS,
    }
)
"""Types that are not listed are ``OTHER``."""

_DATES = (
    "effectiveDateTime",
    "effectiveInstant",
    "performedDateTime",
    "occurrenceDateTime",
    "onsetDateTime",
    "recordedDate",
    "authoredOn",
    "issued",
    "started",
    "created",
    "date",
)
_PERIODS = ("effectivePeriod", "period", "performedPeriod", "onsetPeriod")


class SourceRecord(Protocol):
    """One resource as the store hands it over, opened."""

    @property
    def type(self) -> str:
        """Resource type."""

    @property
    def id(self) -> str:
        """Its id here."""

    @property
    def origin(self) -> str:
        """Address of the node that admitted it."""

    @property
    def body(self) -> bytes | None:
        """Its bytes; ``None`` for a deleted one, which no view shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewItem:
    """One line of the view.

    Attributes:
        date: Its clinical date as written by the source; empty where it has none.
        title: What it is: a display of a listed terminology, else a code; never a text of the source.
        source: Address of the node that admitted it.
        masked: Elements whose content did not travel.
    """

    type: str
    id: str
    date: str
    title: str
    source: str
    masked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """All that is known of one person, by group; within a group the latest first."""

    groups: Mapping[Group, tuple[ViewItem, ...]]
    sources: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, object]:
        """The view as plain values."""
        return {
            "sources": list(self.sources),
            **{
                group.value: [
                    {
                        "type": item.type,
                        "id": item.id,
                        "date": item.date,
                        "title": item.title,
                        "source": item.source,
                        "masked": list(item.masked),
                    }
                    for item in self.groups.get(group, ())
                ]
                for group in Group
            },
        }


def person_view(records: Iterable[SourceRecord]) -> PersonView:
    """The view over one person's records; linear in their bytes."""
    groups: dict[Group, list[ViewItem]] = {group: [] for group in Group}
    sources: set[str] = set()
    for record in records:
        if record.body is None:
            continue
        groups[GROUPS.get(record.type, Group.OTHER)].append(_item(record, record.body))
        sources.add(record.origin)
    return PersonView(
        groups={
            group: tuple(sorted(items, key=lambda item: (item.date, item.type, item.id), reverse=True))
            for group, items in groups.items()
        },
        sources=tuple(sorted(sources)),
    )


def masked_paths(decoded: object, path: str = "") -> Iterator[str]:
    """Paths of elements that de-identification emptied: a data-absent-reason ``masked`` stands in their place."""
    if isinstance(decoded, dict):
        extensions = decoded.get("extension")
        if isinstance(extensions, list) and any(_is_masked(extension) for extension in extensions):
            yield path.replace("._", ".").removeprefix("_")
        for name, value in decoded.items():
            yield from masked_paths(value, f"{path}.{name}" if path else name)
    elif isinstance(decoded, list):
        for item in decoded:
            yield from masked_paths(item, path)


def _item(record: SourceRecord, body: bytes) -> ViewItem:
    """One record as a line."""
    decoded = msgspec.json.decode(body, type=dict[str, object])
    return ViewItem(
        type=record.type,
        id=record.id,
        date=_date(decoded),
        title=_title(decoded),
        source=record.origin,
        masked=tuple(sorted(set(masked_paths(decoded))))[:PATHS_SHOWN_MAX],
    )


def _is_masked(extension: object) -> bool:
    return (
        isinstance(extension, dict) and extension.get("url") == DATA_ABSENT and extension.get("valueCode") == "masked"
    )


def _date(decoded: Mapping[str, object]) -> str:
    """The first clinical date there is, as written."""
    for name in _DATES:
        if isinstance(value := decoded.get(name), str):
            return value
    for name in _PERIODS:
        period = decoded.get(name)
        if isinstance(period, dict) and isinstance(start := period.get("start"), str):
            return start
    return ""


def _title(decoded: Mapping[str, object]) -> str:
    """Display or code of what the record is about."""
    for name in ("code", "medicationCodeableConcept", "vaccineCode", "type", "class", "category"):
        value = decoded.get(name)
        for concept in value if isinstance(value, list) else [value]:
            if isinstance(concept, dict) and (title := _coding_title(concept)):
                return title
    return ""


def _coding_title(concept: Mapping[str, object]) -> str:
    """Display, else code, of a concept's first coding, or of a coding itself."""
    codings = concept.get("coding", [concept])
    for coding in codings if isinstance(codings, list) else []:
        if isinstance(coding, dict):
            title = coding.get("display") or coding.get("code")
            if isinstance(title, str):
                return title
    return ""

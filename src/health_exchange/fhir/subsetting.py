"""Part of a resource: its summary, its text, all but its text, or named elements; every value that stays is its bytes.

What must be there and what changes the meaning of the rest stays whatever is asked for, and ``meta`` says that the
resource is not whole. The table is from the official definitions (``isSummary``, ``isModifier``, cardinalities).

Source: FHIR R4, sections 3.1.1.5.8 "_summary" and 3.1.1.5.9 "_elements".
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from health_exchange.fhir.elements import ANY_RESOURCE, Element, elements_of, resource_types
from health_exchange.fhir.splicing import JsonBytes, fields, items, join_array, join_object, kind_of, text

_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
_WHOLE = frozenset({"Extension", "Narrative", "Meta", ANY_RESOURCE})
"""Types that are told whole or not at all."""
_SUBSETTED = b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}'


class Summary(StrEnum):
    """Which part is asked for."""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    ELEMENTS = "elements"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """A part of resources.

    Attributes:
        summary: Which.
        elements: Names of elements at the top, with or without a type before them, where they are named.
    """

    summary: Summary
    elements: frozenset[str] = frozenset()

    def of(self, raw: JsonBytes) -> bytes:
        """That part of a resource.

        Args:
            raw: A validated resource.
        """
        members = fields(raw)
        resource_type = text(members["resourceType"])
        elements = elements_of(resource_type)
        kept: dict[str, JsonBytes] = {}
        for name, value in members.items():
            element = elements.get(name) or elements.get(name.removeprefix("_"))
            if name in _ALWAYS or element is None:
                kept[name] = value
            elif self._keeps(resource_type, element):
                is_summary = self.summary is Summary.TRUE and element.name == name
                kept[name] = _summarised(value, element) if is_summary else value
        return join_object(_marked(kept))

    def _keeps(self, resource_type: str, element: Element) -> bool:
        """Whether an element at the top stays."""
        name = f"{element.choice}[x]" if element.choice else element.name
        if self.summary is Summary.DATA:
            return element.name != "text"
        row = _row(resource_type)
        if element.is_required or row.get(name, False):
            return True
        if self.summary is Summary.TRUE:
            return name in row
        if self.summary is Summary.TEXT:
            return element.name == "text"
        names = {element.name, element.choice or element.name}
        return any(each in self.elements or f"{resource_type}.{each}" in self.elements for each in names)


def is_element(name: str) -> bool:
    """Whether some type has an element of this name at its top; with a type before it, whether that one has."""
    resource_type, dot, rest = name.rpartition(".")
    if dot:
        return resource_type in resource_types() and rest in _names(resource_type)
    return any(name in _names(each) for each in resource_types())


def _summarised(raw: JsonBytes, element: Element) -> JsonBytes:
    """The summary of one element's value."""
    if element.is_primitive or element.type in _WHOLE:
        return raw
    if element.is_list and kind_of(raw) == "[":
        return join_array([_part(each, element.type) for each in items(raw)])
    return _part(raw, element.type)


def _part(raw: JsonBytes, type_name: str) -> JsonBytes:
    """The summary of one object; the object itself, where its summary would be empty."""
    row, elements = _row(type_name), elements_of(type_name)
    kept: dict[str, JsonBytes] = {}
    for name, value in fields(raw).items():
        element = elements.get(name) or elements.get(name.removeprefix("_"))
        if element is None or name in _ALWAYS - {"id"}:
            kept[name] = value
        elif element.is_required or (f"{element.choice}[x]" if element.choice else element.name) in row:
            kept[name] = _summarised(value, element) if element.name == name else value
    return join_object(kept) if kept else raw


def _marked(members: Mapping[str, JsonBytes]) -> dict[str, JsonBytes]:
    """A resource's members with the tag that says that it is not whole."""
    meta: dict[str, JsonBytes] = {**fields(members["meta"])} if "meta" in members else {}
    tags: list[JsonBytes] = [*items(meta["tag"])] if "tag" in meta else []
    meta["tag"] = join_array([*tags, _SUBSETTED])
    head: dict[str, JsonBytes] = {name: members[name] for name in ("resourceType", "id") if name in members}
    return head | {"meta": b""} | dict(members) | {"meta": join_object(meta)}


@functools.cache
def _names(resource_type: str) -> frozenset[str]:
    """Names of elements at the top of a type, and of its choices."""
    found = elements_of(resource_type).values()
    return frozenset(name for each in found for name in (each.name, each.choice) if name)


@functools.cache
def _row(type_name: str) -> Mapping[str, bool]:
    """The elements of a type's summary, and whether they modify what others mean."""
    return {name.rstrip("!"): name.endswith("!") for name in _table().get(type_name, "").split()}


@functools.cache
def _table() -> Mapping[str, str]:
    """The compact table."""
    path = files("health_exchange.fhir.definitions").joinpath("summary.json")
    table: Mapping[str, str] = json.loads(path.read_bytes())
    return table

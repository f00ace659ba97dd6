"""What each type of FHIR R4 is made of: the table from the official StructureDefinitions, made ready for use.

Names are those of JSON: a choice ``value[x]`` appears as its alternatives ``valueString``, ``valueQuantity`` …, each of
which knows the choice it belongs to.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

ANY_RESOURCE = "Resource"
"""The type of an element that holds a whole resource of any type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element of a type.

    Attributes:
        name: As in JSON.
        type: Primitive, complex type, path of a backbone, or :data:`ANY_RESOURCE`.
        is_primitive: Whether it is a string, number or truth value in JSON, and may have a ``_`` sibling.
        is_list: Whether it is an array in JSON.
        is_required: Whether it must be there; for an alternative: whether one of its choice must.
        choice: The choice it is an alternative of (``value``); empty for others.
    """

    name: str
    type: str
    is_primitive: bool
    is_list: bool
    is_required: bool
    choice: str


@functools.cache
def elements_of(type_name: str) -> Mapping[str, Element]:
    """The elements of a type, by name.

    Raises:
        KeyError: FHIR R4 has no such type.
    """
    found: dict[str, Element] = {}
    for name, row in _table()[type_name].items():
        *types, cardinality = row.split()
        stem = name.removesuffix("[x]")
        for kind in types:
            full = stem if stem == name else stem + kind[0].upper() + kind[1:]
            found[full] = Element(
                name=full,
                type=kind,
                is_primitive=kind[0].islower(),
                is_list=cardinality in "*+",
                is_required=cardinality in "!+",
                choice="" if stem == name else stem,
            )
    return MappingProxyType(found)


@functools.cache
def resource_types() -> frozenset[str]:
    """All types of resources of FHIR R4."""
    return frozenset(
        name
        for name, row in _table().items()
        if "implicitRules" in row and name not in {ANY_RESOURCE, "DomainResource"}
    )


@functools.cache
def _table() -> Mapping[str, Mapping[str, str]]:
    """The compact table."""
    path = files("health_exchange.fhir.definitions").joinpath("elements.json")
    table: Mapping[str, Mapping[str, str]] = json.loads(path.read_bytes())
    return table

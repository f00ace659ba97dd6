"""What is wrong with a resource, and where: the slow and complete half of validation.

Walks a decoded resource along the table of elements and yields every fault with its place. It knows all that
``structs`` knows, and besides: the forms of primitives, days of the calendar, siblings of primitives. Codes of value
sets it leaves to ``schema``.

No sentence holds a value of the resource; a place holds names and positions only.

Source: FHIR R4, sections 2.6.2 "JSON Representation of Resources" and 2.1.0.2 "Choice of Datatypes".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from health_exchange.fhir.elements import ANY_RESOURCE, Element, elements_of, resource_types
from health_exchange.fhir.jsonguard import safe_name
from health_exchange.fhir.primitives import fault_of

NO_NULL = "null is not a value in FHIR: leave the element out"
NOT_EMPTY = "an array must not be empty: leave the element out"
NO_MEMBERS = "an object must not be empty: leave the element out"
MISSING = "this element is required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong: a sentence without values, and its place."""

    detail: str
    where: str


def resource_faults(decoded: object, where: str) -> Iterator[Fault]:
    """Everything wrong with a resource and the resources inside it.

    Args:
        decoded: What JSON decoding gave.
        where: Its place, or its type where it stands alone.
    """
    if not isinstance(decoded, dict):
        yield Fault(detail="a resource is an object", where=where)
        return
    resource_type = decoded.get("resourceType")
    if not isinstance(resource_type, str) or resource_type not in resource_types():
        yield Fault(detail="resourceType names no type of FHIR R4", where=where)
        return
    members = {name: value for name, value in decoded.items() if name != "resourceType"}
    yield from _object_faults(resource_type, members, where)


def _object_faults(type_name: str, members: Mapping[str, object], where: str) -> Iterator[Fault]:
    """Everything wrong with an object of a type."""
    elements = elements_of(type_name)
    for name, value in members.items():
        element = elements.get(name) or elements.get(name.removeprefix("_"))
        place = f"{where}.{safe_name(name)}"
        if element is None or (name[0:1] == "_" and not element.is_primitive):
            yield Fault(detail="FHIR R4 has no such element here", where=place)
        elif value is None:
            yield Fault(detail=NO_NULL, where=place)
        elif name.startswith("_"):
            yield from _sibling_faults(element, value, members.get(element.name), place)
        else:
            yield from _element_faults(element, value, members.get(f"_{name}"), place)
    yield from _presence_faults(elements, members, where)


def _presence_faults(elements: Mapping[str, Element], members: Mapping[str, object], where: str) -> Iterator[Fault]:
    """Elements that must be there and are not; choices made twice."""
    choices: dict[str, int] = {}
    required: set[str] = set()
    for element in elements.values():
        is_there = element.name in members or (element.is_primitive and f"_{element.name}" in members)
        if element.choice:
            choices[element.choice] = choices.get(element.choice, 0) + is_there
            if element.is_required:
                required.add(element.choice)
        elif element.is_required and not is_there:
            yield Fault(detail=MISSING, where=f"{where}.{element.name}")
    for choice, count in choices.items():
        if count > 1:
            yield Fault(detail="of this choice only one may be there", where=f"{where}.{choice}")
        elif count == 0 and choice in required:
            yield Fault(detail=MISSING, where=f"{where}.{choice}")


def _element_faults(element: Element, value: object, sibling: object, where: str) -> Iterator[Fault]:
    """Everything wrong with one element's value."""
    if not element.is_list:
        yield from _value_faults(element, value, where)
        return
    if not isinstance(value, list):
        yield Fault(detail="this element is an array", where=where)
    elif not value:
        yield Fault(detail=NOT_EMPTY, where=where)
    else:
        for index, item in enumerate(value):
            place = f"{where}[{index}]"
            if item is not None:
                yield from _value_faults(element, item, place)
            elif not element.is_primitive or _item(sibling, index) is None:
                yield Fault(detail=NO_NULL, where=place)


def _value_faults(element: Element, value: object, where: str) -> Iterator[Fault]:
    """Everything wrong with one value: the element's, or an item of its list."""
    if isinstance(value, list):
        yield Fault(detail="this element is not an array", where=where)
    elif element.is_primitive:
        detail = fault_of(element.type, value)
        if detail:
            yield Fault(detail=detail, where=where)
    elif element.type == ANY_RESOURCE:
        yield from resource_faults(value, where)
    else:
        yield from _complex_faults(element.type, value, where)


def _complex_faults(type_name: str, value: object, where: str) -> Iterator[Fault]:
    """Everything wrong with one object of a complex type."""
    if value is None:
        yield Fault(detail=NO_NULL, where=where)
    elif not isinstance(value, dict):
        yield Fault(detail="this element is an object", where=where)
    elif not value:
        yield Fault(detail=NO_MEMBERS, where=where)
    else:
        yield from _object_faults(type_name, value, where)


def _sibling_faults(element: Element, sibling: object, value: object, where: str) -> Iterator[Fault]:
    """Everything wrong with what stands beside a primitive: its id and extensions."""
    if not element.is_list:
        yield from _complex_faults("Element", sibling, where)
        return
    if not isinstance(sibling, list) or not sibling:
        yield Fault(detail="beside a list stands a list that is not empty", where=where)
        return
    if isinstance(value, list) and len(value) != len(sibling):
        yield Fault(detail="the list beside a list has as many items", where=where)
    for index, item in enumerate(sibling):
        if item is not None:
            yield from _complex_faults("Element", item, f"{where}[{index}]")
        elif _item(value, index) is None:
            yield Fault(detail=NO_NULL, where=f"{where}[{index}]")


def _item(values: object, index: int) -> object:
    """An item, or ``None`` where there is none."""
    return values[index] if isinstance(values, list) and index < len(values) else None

"""Types of FHIR R4 as msgspec structs, made when first needed: the fast half of validation.

A resource that fits its struct has only elements that FHIR knows, of the right JSON type, no nulls, no empty arrays,
every required element, and of each choice exactly what may be there. One that does not fit may still be sound (a
required primitive may be replaced by an extension, a list of primitives may have holes): ``faults`` decides. So the
structs err on the strict side only.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from health_exchange.fhir.elements import ANY_RESOURCE, Element, elements_of, resource_types
from health_exchange.fhir.primitives import CHARACTERS_MAX

_Shape: TypeAlias = Any  # a type made at run time, which mypy cannot know

_INT_MAX = 2**31 - 1
_PRIMITIVES: dict[str, _Shape] = {
    "boolean": bool,
    "decimal": float,
    "integer": Annotated[int, Meta(ge=-_INT_MAX - 1, le=_INT_MAX)],
    "unsignedInt": Annotated[int, Meta(ge=0, le=_INT_MAX)],
    "positiveInt": Annotated[int, Meta(ge=1, le=_INT_MAX)],
    "xhtml": Annotated[str, Meta(pattern=r"^\s*<div[\s>]")],
    "base64Binary": Annotated[
        str, Meta(min_length=1, pattern=r"^(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?$")
    ],
}
_STRING: _Shape = Annotated[str, Meta(min_length=1, max_length=CHARACTERS_MAX)]


def fits_struct(resource_type: str, decoded: object) -> bool:
    """Whether a decoded resource fits the struct of its type. Resources inside it are not looked at."""
    try:
        msgspec.convert(decoded, struct_of(resource_type))
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def struct_of(type_name: str) -> type[msgspec.Struct]:
    """The struct of a type, made with all types it needs.

    Types refer to each other in circles, so a struct is made with open annotations, remembered, and then filled in;
    msgspec reads them when the struct is first used.
    """
    return _make(type_name)


_MADE: dict[str, type[msgspec.Struct]] = {}


def _make(type_name: str) -> type[msgspec.Struct]:
    """One struct and, through its elements, those it needs."""
    if type_name in _MADE:
        return _MADE[type_name]
    elements = elements_of(type_name)
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    if type_name in resource_types():
        members.append(("resourceType", str))
    for element in elements.values():
        is_needed = element.is_required and not element.choice
        members.append((element.name, Any) if is_needed else (element.name, Any, UNSET))
        if element.is_primitive:
            members.append((f"_{element.name}", Any, UNSET))
    struct = msgspec.defstruct(
        "".join(part[0].upper() + part[1:] for part in type_name.split(".")),
        members,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
        namespace=_checks(list(elements.values())),
    )
    _MADE[type_name] = struct
    for element in elements.values():
        shape = _shape(element)
        is_needed = element.is_required and not element.choice
        struct.__annotations__[element.name] = shape if is_needed else shape | UnsetType
        if element.is_primitive:
            # Beside a list stands a list of as many items, which only faults can count.
            struct.__annotations__[f"_{element.name}"] = UnsetType if element.is_list else _make("Element") | UnsetType
    return struct


def _shape(element: Element) -> _Shape:
    """The type of one element's value."""
    one: _Shape
    if element.is_primitive:
        one = _PRIMITIVES.get(element.type, _STRING)
    elif element.type == ANY_RESOURCE:
        one = dict[str, Any]
    else:
        one = _make(element.type)
    return Annotated[list[one], Meta(min_length=1)] if element.is_list else one


def _checks(elements: list[Element]) -> dict[str, Any] | None:
    """The check of choices that runs when a struct is made, if the type has any."""
    choices: dict[str, list[Element]] = {}
    for element in elements:
        if element.choice:
            choices.setdefault(element.choice, []).append(element)
    if not choices:
        return None
    rows = [(*_reader(alternatives), alternatives[0].is_required) for alternatives in choices.values()]

    def check(self: object) -> None:
        for read, count, is_required in rows:
            absent = read(self).count(UNSET)
            if absent < count - 1 or (is_required and absent == count):
                raise ValueError("choice")

    return {"__post_init__": check}


def _reader(alternatives: list[Element]) -> tuple[Callable[[object], tuple[object, ...]], int]:
    """Reads all alternatives of a choice and their siblings at once; and how many these are."""
    names = [element.name for element in alternatives]
    names += [f"_{element.name}" for element in alternatives if element.is_primitive]
    if len(names) == 1:
        read_one = attrgetter(names[0])
        return lambda struct: (read_one(struct),), 1
    return attrgetter(*names), len(names)

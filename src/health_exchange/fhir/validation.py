"""Judging a resource: is it FHIR R4?

Sound resources take the fast way: JSON, struct and schema agree, each a little stricter than FHIR, and no rule about
several elements is broken (``invariants``). Anything else is walked through completely; only then is it decided, and
said what is wrong and where.

Never does a message hold a value of the resource.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

import msgspec

from health_exchange.fhir.elements import ANY_RESOURCE, elements_of, resource_types
from health_exchange.fhir.faults import Fault, resource_faults
from health_exchange.fhir.invariants import breaches, may_break
from health_exchange.fhir.jsonguard import decode_json, root_name, safe_name
from health_exchange.fhir.limits import DEFAULT, Limits
from health_exchange.fhir.schema import first_offence, fits_schema
from health_exchange.fhir.structs import fits_struct
from health_exchange.model.errors import MalformedResourceError

_HOLDS_RESOURCES = frozenset({"Bundle", "Parameters"})


class ResourceView(msgspec.Struct, frozen=True, kw_only=True):
    """A resource of FHIR R4, as far as its bytes can say.

    Attributes:
        type: Its type.
        id: Its id, where it has one.
        raw: The bytes that arrived.
        decoded: What they say; numbers are doubles here, so nothing that is kept or sent is made from it.
    """

    type: str
    id: str | None
    raw: bytes
    decoded: dict[str, Any]


def validate(raw: bytes, *, where: str = "", limits: Limits = DEFAULT) -> ResourceView:
    """The resource in ``raw``.

    Args:
        raw: Untrusted.
        where: Its place in a Bundle, for messages.
        limits: Bound on depth.

    Raises:
        MalformedResourceError: The bytes are not one resource of FHIR R4; ``where`` says which element is wrong.
    """
    decoded = decode_json(raw, limits, where=where)
    if not isinstance(decoded, dict):
        raise MalformedResourceError("a resource is an object", where=where)
    resource_type = _type_of(decoded)
    if not resource_type:
        raise MalformedResourceError("resourceType names no type of FHIR R4", where=where)
    if not _fits(resource_type, decoded) or may_break(raw, decoded):
        fault = first_fault(decoded, root_name(decoded, where))
        if fault is not None:
            raise MalformedResourceError(fault.detail, where=fault.where)
    own = decoded.get("id")
    return ResourceView(type=resource_type, id=own if isinstance(own, str) else None, raw=raw, decoded=decoded)


def all_faults(raw: bytes, *, most: int, limits: Limits = DEFAULT) -> list[Fault]:
    """Everything wrong with a resource, up to a number of faults; none where it is sound.

    Args:
        raw: Untrusted.
        most: How many are told.
        limits: Bound on depth.
    """
    try:
        decoded = decode_json(raw, limits)
    except MalformedResourceError as error:
        return [Fault(detail=error.detail, where=error.where)]
    where = root_name(decoded, "")
    found = list(islice(resource_faults(decoded, where), most))
    if found or not isinstance(decoded, dict):
        return found
    return list(islice(chain(_offences(decoded, where), breaches(decoded, where)), most))


def first_fault(decoded: dict[str, Any], where: str) -> Fault | None:
    """The first thing wrong with a resource; ``None`` where it is sound."""
    fault = next(resource_faults(decoded, where), None)
    return fault or next(chain(_offences(decoded, where), breaches(decoded, where)), None)


def _fits(resource_type: str, decoded: Mapping[str, Any]) -> bool:
    """Whether a resource is sound at first sight, and those inside it."""
    if not resource_type or resource_type in _HOLDS_RESOURCES:
        return False
    if not (fits_struct(resource_type, decoded) and fits_schema(resource_type, decoded)):
        return False
    return all(_fits(_type_of(inner), inner) for inner in decoded.get("contained", ()))


def _type_of(decoded: Mapping[str, Any]) -> str:
    """The type of a resource; empty where it names none of FHIR R4."""
    named = decoded.get("resourceType")
    return named if isinstance(named, str) and named in resource_types() else ""


def _offences(decoded: dict[str, Any], where: str) -> Iterator[Fault]:
    """What the official schema has against a resource without faults, and against those inside it."""
    for inner, place in _resources(decoded, where):
        found = first_offence(inner["resourceType"], _without_holes(inner))
        if found is None:
            continue
        keyword, path = found
        steps = [f"[{step}]" if isinstance(step, int) else f".{safe_name(step)}" for step in path]
        detail = (
            "this is not a code of the required value set" if keyword == "enum" else f"the schema's {keyword} says no"
        )
        yield Fault(detail=detail, where=place + "".join(steps))


def _resources(resource: dict[str, Any], where: str) -> Iterator[tuple[dict[str, Any], str]]:
    """A resource without faults and every resource inside it, with their places."""
    yield resource, where
    yield from _inside(resource, resource["resourceType"], where)


def _inside(members: Mapping[str, Any], type_name: str, where: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The resources inside an object of a type.

    The table says where resources are: an element of a resource may be called ``resourceType`` too.
    """
    elements = elements_of(type_name)
    for name, value in members.items():
        element = elements.get(name)
        if element is None or element.is_primitive:
            continue
        place = f"{where}.{safe_name(name)}"
        for index, inner in enumerate(value) if element.is_list else ((None, value),):
            there = place if index is None else f"{place}[{index}]"
            if element.type == ANY_RESOURCE:
                yield from _resources(inner, there)
            else:
                yield from _inside(inner, element.type, there)


def _without_holes(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """``value`` without the nulls in lists of primitives, which FHIR allows and its JSON Schema does not know."""
    if isinstance(value, dict):
        return {name: _without_holes(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_holes(inner) for inner in value if inner is not None]
    return value

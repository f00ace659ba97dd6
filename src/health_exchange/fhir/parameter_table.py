"""FHIR's search parameters as element paths, compiled ahead from their expressions (``scripts/compile_parameters.py``).

Nothing of FHIRPath runs here. What has no row (``phonetic``, ``_text``, ``_content``) is not offered.

Source: FHIR R4, search-parameters.json.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, NamedTuple

from health_exchange.fhir.elements import resource_types

ALL_TYPES = "Resource"
"""Its row holds the parameters of every type."""
FLAG = "flag"
"""Type of the one value that is no element: whether a Patient is deceased, by date or by word."""
_STEP = re.compile(r"(\w+)(?:\[(\w+)=([\w-]+)\])?")
_TARGET = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")


class Step(NamedTuple):
    """One element of a path; where ``key`` is not empty, only such as say ``key`` is ``value``."""

    name: str
    key: str
    value: str


class Path(NamedTuple):
    """A way to values of one type.

    Attributes:
        steps: The elements on it.
        type: Of the values.
        to: Where it is not empty, only references to that type of resource.
        system: Of values that are codes by themselves, the system that they are of.
    """

    steps: tuple[Step, ...]
    type: str
    to: str = ""
    system: str = ""


class Located(NamedTuple):
    """One value in a resource: JSON, the type of its element, and the system of a code that does not name it."""

    type: str
    value: Any
    system: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One search parameter of one type.

    Attributes:
        name: As in a URL.
        kind: ``token``, ``string``, ``reference``, ``date``, ``number``, ``quantity``, ``uri``, ``composite`` or
            ``special``, which is a place on earth.
        paths: Where its values stand; below one of ``places`` for a component.
        targets: Of a reference, what it may be to; empty where that is anything.
        places: Of a composite, where its components stand together; an empty path is the resource itself.
        components: Of a composite.
    """

    name: str
    kind: str
    paths: tuple[Path, ...] = ()
    targets: tuple[str, ...] = ()
    places: tuple[tuple[Step, ...], ...] = ()
    components: tuple["Parameter", ...] = ()


@functools.cache
def parameters_of(resource_type: str) -> Mapping[str, Parameter]:
    """The parameters that FHIR defines for a type and that can be had as paths, by name; none for an unknown type."""
    rows = {**_table()[ALL_TYPES], **_table().get(resource_type, {})} if resource_type in resource_types() else {}
    return MappingProxyType({name: _parameter(name, row) for name, row in sorted(rows.items())})


def compartment_of(resource_type: str) -> tuple[str, ...]:
    """By which parameters a resource of a type belongs to a Patient; none where it never does."""
    return tuple(_compartment().get(resource_type, "").split())


def compartment_types() -> tuple[str, ...]:
    """The types that may belong to a Patient, Patient among them."""
    return tuple(_compartment())


def located(decoded: Any, parameter: Parameter) -> list[Located]:  # noqa: ANN401  # any JSON value
    """Every value of a parameter that is no composite, in the order of its paths.

    Args:
        decoded: A validated resource; for a component, what stands at one of the places of its composite.
        parameter: What is looked for.
    """
    return [found for path in parameter.paths for found in _along(decoded, path)]


def places_of(decoded: Any, composite: Parameter) -> list[Any]:  # noqa: ANN401  # any JSON value
    """Every element in which the components of a composite stand together."""
    return [found for steps in composite.places for found in at(decoded, steps)]


def at(value: Any, steps: Sequence[Step]) -> list[Any]:  # noqa: ANN401  # any JSON value
    """Every value at a path, through any arrays."""
    here: list[Any] = [value]
    for step in steps:
        below: list[Any] = []
        for one in here:
            inner = one.get(step.name) if isinstance(one, dict) else None
            below += inner if isinstance(inner, list) else [inner]
        here = [one for one in below if one is not None and (not step.key or _says(one, step))]
    return here


def _says(value: Any, step: Step) -> bool:  # noqa: ANN401  # any JSON value
    """Whether an element is one of those that a step is about."""
    return isinstance(value, dict) and value.get(step.key) == step.value


def _along(decoded: Any, path: Path) -> Iterator[Located]:  # noqa: ANN401  # any JSON value
    """Every value along one path."""
    if path.type == FLAG:
        yield Located(FLAG, decoded.get("deceasedBoolean") is True or "deceasedDateTime" in decoded)
        return
    for value in at(decoded, path.steps):
        if not path.to or target_type(value) == path.to:
            yield Located(path.type, value, path.system)


def target_type(reference: Any) -> str:  # noqa: ANN401  # any JSON value
    """The type of resource that a Reference's text names; empty where it names none."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    match = _TARGET.fullmatch(text) if isinstance(text, str) else None
    return match[1] if match is not None else ""


def _parameter(name: str, row: str) -> Parameter:
    """A row of the table."""
    first, *components = row.split(" $ ")
    kind, *rest = first.split()
    kind, _, targets = kind.partition(">")
    if components:
        places = tuple(_steps(place) if place != "." else () for place in rest[0].split(","))
        inner = tuple(_parameter(name, component) for component in components)
        return Parameter(name=name, kind=kind, places=places, components=inner)
    return Parameter(
        name=name, kind=kind, paths=tuple(map(_path, rest)), targets=tuple(targets.split(",")) if targets else ()
    )


def _path(text: str) -> Path:
    """A path as the table writes it."""
    steps, _, type_name = text.partition(":")
    type_name, _, system = type_name.partition("@")
    type_name, _, to = type_name.partition(">")
    return Path(_steps(steps), type_name, to, system)


def _steps(text: str) -> tuple[Step, ...]:
    """The elements of a path."""
    return tuple(Step(match[1], match[2] or "", match[3] or "") for match in _STEP.finditer(text))


@functools.cache
def _compartment() -> Mapping[str, str]:
    """The parameters by which each type belongs to a Patient."""
    path = files("health_exchange.fhir.definitions").joinpath("patient_compartment.json")
    table: Mapping[str, str] = json.loads(path.read_bytes())
    return table


@functools.cache
def _table() -> Mapping[str, Mapping[str, str]]:
    """The compact table."""
    path = files("health_exchange.fhir.definitions").joinpath("parameters.json")
    table: Mapping[str, Mapping[str, str]] = json.loads(path.read_bytes())
    return table

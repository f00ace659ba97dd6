"""A sound resource laid out for changing: its objects and members with their types, found by the table of elements."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from health_exchange.fhir.elements import ANY_RESOURCE, Element, elements_of

Resource = dict[str, Any]

BASIC: Resource = {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}
"""As small as a resource may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One member of a resource that FHIR knows: where it stands and what it should be."""

    holder: Resource
    owner: str
    element: Element
    path: str

    @property
    def value(self) -> Any:  # noqa: ANN401  # any JSON value
        """What stands there."""
        return self.holder[self.element.name]

    def put(self, dice: Random, value: Any) -> None:  # noqa: ANN401  # any JSON value
        """Let ``value`` stand there; in a list in place of one item."""
        standing = self.value
        if isinstance(standing, list):
            standing[dice.randrange(len(standing))] = value
        else:
            self.holder[self.element.name] = value

    def in_place(self, value: Any) -> Any:  # noqa: ANN401  # any JSON value
        """The member with ``value`` in place of it, or of the first item of its list."""
        return [value, *self.value[1:]] if isinstance(self.value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One object of a resource and its type."""

    holder: Resource
    owner: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was changed: the path of element names, the type of what stands there, and the bytes if JSON has none."""

    path: str
    type: str
    raw: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A resource to change, with everything in it, and members of other resources to borrow."""

    resource: Resource
    places: Sequence[Place]
    spots: Sequence[Spot]
    borrowed: Sequence[tuple[str, Any]]


def scene_of(resource: Resource, borrowed: Sequence[tuple[str, Any]]) -> Scene:
    """A resource ready to be changed."""
    places = list(_places(resource, resource["resourceType"], resource["resourceType"]))
    spots = [
        Spot(holder=place.holder, owner=place.owner, element=element, path=f"{place.path}.{name}")
        for place in places
        for name, element in elements_of(place.owner).items()
        if place.holder.get(name) not in (None, [])
    ]
    return Scene(resource=resource, places=places, spots=spots, borrowed=borrowed)


def _places(holder: Resource, owner: str, path: str) -> Iterator[Place]:
    yield Place(holder=holder, owner=owner, path=path)
    elements = elements_of(owner)
    for name, value in holder.items():
        element = elements.get(name)
        if element is None or element.is_primitive:
            continue
        for item in value if isinstance(value, list) else [value]:
            inner = item["resourceType"] if element.type == ANY_RESOURCE else element.type
            yield from _places(item, inner, f"{path}.{name}")


def spot_in(dice: Random, scene: Scene, fits: Callable[[Spot], bool]) -> Spot | None:
    spots = [spot for spot in scene.spots if fits(spot)]
    return dice.choice(spots) if spots else None


def extensible_in(dice: Random, scene: Scene) -> Place:
    """An object that may carry extensions, or the resource where none may; no extension that has a value."""
    places = [
        place
        for place in scene.places
        if "extension" in elements_of(place.owner)
        and not (place.owner == "Extension" and any(name.lstrip("_").startswith("value") for name in place.holder))
    ]
    return dice.choice(places) if places else scene.places[0]


def packed(resource: Resource) -> bytes:
    """A resource as bytes."""
    return json.dumps(resource, ensure_ascii=False).encode()


def is_required_primitive(spot: Spot) -> bool:
    return spot.element.is_required and spot.element.is_primitive and not spot.element.choice


def is_listed(spot: Spot) -> bool:
    return spot.element.is_list


def is_listed_primitive(spot: Spot) -> bool:
    return spot.element.is_list and spot.element.is_primitive


def is_single_primitive(spot: Spot) -> bool:
    return spot.element.is_primitive and not spot.element.is_list


def has_no_sibling(spot: Spot) -> bool:
    """Whether FHIR gives a primitive no extensions: ids and the urls of extensions are XML attributes, XHTML is one."""
    name = spot.element.name
    return name == "id" or (name == "url" and spot.owner == "Extension") or spot.element.type == "xhtml"


def has_sibling(spot: Spot) -> bool:
    return is_single_primitive(spot) and not has_no_sibling(spot)


def is_complex(spot: Spot) -> bool:
    return not spot.element.is_primitive and spot.element.type != ANY_RESOURCE


def is_reference(spot: Spot) -> bool:
    return spot.element.type == "Reference"

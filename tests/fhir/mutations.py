"""Ways to spoil (or keep) a resource, by name: what the differential test of validation draws from.

A kind changes one place of a sound resource: a value, the shape, or the bytes. Some keep the resource sound, so that
refusing everything is no way to agree.

Places are told as paths of element names, without positions and never with a value.
"""

import json
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any

from tests.fhir.scenes import (
    BASIC,
    Change,
    Resource,
    Scene,
    Spot,
    extensible_in,
    has_no_sibling,
    has_sibling,
    is_complex,
    is_listed,
    is_listed_primitive,
    is_reference,
    is_required_primitive,
    is_single_primitive,
    packed,
    spot_in,
)

from health_exchange.fhir.elements import elements_of, resource_types

Mutation = Callable[[Random, Scene], Change | None]
"""Changes the scene's resource in place; ``None`` where it holds nothing to change in this way."""
URL = "http://example.org/x"
_TEXTS = frozenset({"string", "markdown"})
_DAYS = frozenset({"date", "dateTime"})
_INSTANTS = frozenset({"dateTime", "instant"})
_WHOLE = frozenset({"integer", "unsignedInt", "positiveInt"})
_NUMBERS = _WHOLE | {"decimal"}
_ADDRESSES = frozenset({"uri", "url", "canonical"})
_WORDS = _TEXTS | _ADDRESSES | {"code", "id", "date", "dateTime", "instant"}
_NOT_IN_EXTENSIONS = frozenset({"xhtml"})


def _extend(dice: Random, scene: Scene, extension: Resource, type_name: str = "Extension") -> Change:
    place = extensible_in(dice, scene)
    place.holder.setdefault("extension", []).append(extension)
    return Change(path=f"{place.path}.extension", type=type_name)


def _values(types: frozenset[str], *values: Any) -> Mutation:  # noqa: ANN401  # any JSON value
    """A kind that puts one of ``values`` where an element of one of ``types`` stands, or into a new extension."""

    def mutate(dice: Random, scene: Scene) -> Change | None:
        value = dice.choice(values)
        wanted = dice.choice(sorted(types))
        spot = spot_in(dice, scene, lambda spot: spot.element.type == wanted)
        if spot is not None and (wanted in _NOT_IN_EXTENSIONS or dice.random() < 0.8):  # most often
            spot.put(dice, value)
            return Change(path=spot.path, type=wanted)
        if wanted in _NOT_IN_EXTENSIONS:
            return None
        return _extend(dice, scene, {"url": URL, f"value{wanted[0].upper()}{wanted[1:]}": value}, wanted)

    return mutate


def _unchanged(_dice: Random, scene: Scene) -> Change:
    return Change(path=scene.places[0].path, type=scene.places[0].owner)


def _drop(fits: Callable[[Spot], bool]) -> Mutation:
    """A kind that takes a member out, with its sibling."""

    def mutate(dice: Random, scene: Scene) -> Change | None:
        spot = spot_in(dice, scene, fits)
        if spot is None:
            return None
        del spot.holder[spot.element.name]
        spot.holder.pop(f"_{spot.element.name}", None)
        return Change(path=spot.path, type=spot.element.type)

    return mutate


def _replace(fits: Callable[[Spot], bool], make: Callable[[Spot], Any]) -> Mutation:
    """A kind that gives a whole member another value."""

    def mutate(dice: Random, scene: Scene) -> Change | None:
        spot = spot_in(dice, scene, fits)
        if spot is None:
            return None
        spot.holder[spot.element.name] = make(spot)
        return Change(path=spot.path, type=spot.element.type)

    return mutate


def _add(name: str, value: Any, *, inside: bool) -> Mutation:  # noqa: ANN401  # any JSON value
    """A kind that adds a member nobody knows: to the resource, or to an object inside it."""

    def mutate(dice: Random, scene: Scene) -> Change | None:
        places = scene.places[1:] if inside else scene.places[:1]
        if not places:
            return None
        place = dice.choice(places)
        place.holder[name] = value
        return Change(path=f"{place.path}.{name}", type=place.owner)

    return mutate


def _sibling(fits: Callable[[Spot], bool], value: Any) -> Mutation:  # noqa: ANN401  # any JSON value
    """A kind that puts ``value`` beside a member."""

    def mutate(dice: Random, scene: Scene) -> Change | None:
        spot = spot_in(dice, scene, lambda spot: fits(spot) and f"_{spot.element.name}" not in spot.holder)
        if spot is None:
            return None
        spot.holder[f"_{spot.element.name}"] = value
        return Change(path=f"{spot.path}(sibling)", type=spot.element.type)

    return mutate


def _only_sibling(dice: Random, scene: Scene) -> Change | None:
    """A required primitive gives way to an extension, which FHIR allows."""
    spot = spot_in(dice, scene, lambda spot: is_required_primitive(spot) and has_sibling(spot))
    if spot is None:
        return None
    del spot.holder[spot.element.name]
    spot.holder[f"_{spot.element.name}"] = {"extension": [{"url": URL, "valueCode": "unknown"}]}
    return Change(path=f"{spot.path}(sibling)", type=spot.element.type)


def _holed(dice: Random, scene: Scene) -> Change | None:
    """One item of a list of primitives gives way to an extension beside it, which FHIR allows."""
    spot = spot_in(dice, scene, lambda spot: is_listed_primitive(spot) and f"_{spot.element.name}" not in spot.holder)
    if spot is None:
        return None
    beside: list[Any] = [None] * len(spot.value)
    beside[0] = {"extension": [{"url": URL, "valueCode": "unknown"}]}
    spot.holder[f"_{spot.element.name}"] = beside
    spot.value[0] = None
    return Change(path=f"{spot.path}(sibling)", type=spot.element.type)


def _nested(dice: Random, scene: Scene) -> Change:
    """More objects inside one another than one body may hold here."""
    extension: Resource = {"url": URL, "valueString": "x"}
    for _level in range(40):
        extension = {"url": URL, "extension": [extension]}
    return _extend(dice, scene, extension)


def _second_choice(dice: Random, scene: Scene) -> Change | None:
    spot = spot_in(dice, scene, lambda spot: bool(spot.element.choice))
    if spot is None:
        return None
    values: Mapping[str, object] = {"string": "x", "boolean": True, "dateTime": "2025", "Period": {"start": "2025"}}
    values = {**values, "Quantity": {"value": 1}, "Reference": {"display": "x"}, "CodeableConcept": {"text": "x"}}
    others = [
        element
        for element in elements_of(spot.owner).values()
        if element.choice == spot.element.choice and element.name != spot.element.name and element.type in values
    ]
    if not others:
        return None
    other = dice.choice(others)
    spot.holder[other.name] = values[other.type]
    return Change(path=f"{spot.path}+{other.name}", type=other.type)


def _other_case(dice: Random, scene: Scene) -> Change | None:
    spot = spot_in(dice, scene, lambda spot: spot.element.name.lower() == spot.element.name)
    if spot is None:
        return None
    spot.holder[spot.element.name.capitalize()] = spot.holder.pop(spot.element.name)
    return Change(path=f"{spot.path}(capital)", type=spot.element.type)


def _borrow(dice: Random, scene: Scene) -> Change:
    """Some member of some other resource: mostly unknown here, sometimes sound."""
    place, (name, value) = dice.choice(scene.places), dice.choice(scene.borrowed)
    place.holder[name] = json.loads(json.dumps(value))
    return Change(path=f"{place.path}.{name}", type=place.owner)


def _borrow_fitting(dice: Random, scene: Scene) -> Change | None:
    """A member of another resource, where this object has one of that name and of the same JSON type, or may have."""
    place = dice.choice(scene.places)
    names = elements_of(place.owner)
    members = [(name, value) for name, value in scene.borrowed if name in names and name not in {"contained", "value"}]
    if not members:
        return None
    name, value = dice.choice(members)
    place.holder[name] = json.loads(json.dumps(value))
    place.holder.pop(f"_{name}", None)
    return Change(path=f"{place.path}.{name}", type=names[name].type)


def _named(make: Callable[[Random, Scene], Any]) -> Mutation:
    """A kind that has the resource name another type; ``...`` takes the name out."""

    def mutate(dice: Random, scene: Scene) -> Change:
        named = make(dice, scene)
        del scene.resource["resourceType"]
        if named is not ...:
            scene.resource["resourceType"] = named
        return Change(path=f"{scene.places[0].owner}.resourceType", type=scene.places[0].owner)

    return mutate


def _contain(inner: Any) -> Mutation:  # noqa: ANN401  # any JSON value
    """A kind that puts something inside the resource."""

    def mutate(_dice: Random, scene: Scene) -> Change | None:
        if "contained" not in elements_of(scene.places[0].owner):
            return None
        scene.resource.setdefault("contained", []).append(inner)
        return Change(path=f"{scene.places[0].owner}.contained", type="Resource")

    return mutate


def _bytes(make: Callable[[bytes], bytes]) -> Mutation:
    """A kind that changes the bytes."""

    def mutate(_dice: Random, scene: Scene) -> Change:
        raw = make(packed(scene.resource))
        return Change(path=scene.places[0].path, type=scene.places[0].owner, raw=raw)

    return mutate


def _number_as(text: bytes) -> Mutation:
    """A kind that writes a number in a way that Python does not."""

    def mutate(dice: Random, scene: Scene) -> Change:
        change = _extend(dice, scene, {"url": URL, "valueDecimal": 987654321.5}, "decimal")
        return Change(path=change.path, type="decimal", raw=packed(scene.resource).replace(b"987654321.5", text))

    return mutate


SOUND: Mapping[str, Mutation] = MappingProxyType(
    {
        "unchanged": _unchanged,
        "extension": lambda dice, scene: _extend(dice, scene, {"url": URL, "valueString": "x"}),
        "extension in an extension": lambda dice, scene: _extend(
            dice, scene, {"url": URL, "extension": [{"url": "a", "valueDecimal": 1.5}]}
        ),
        "sibling of an extension's value": lambda dice, scene: _extend(
            dice, scene, {"url": URL, "valueString": "x", "_valueString": {"id": "a"}}
        ),
        "sibling": _sibling(has_sibling, {"extension": [{"url": URL, "valueString": "x"}]}),
        "sibling only": _only_sibling,
        "sibling list with holes": _holed,
        "contained resource": _contain(BASIC),
        "leap day": _values(_DAYS, "2024-02-29", "2000-02-29"),
        "partial date": _values(_DAYS, "2025", "2025-03"),
        "instant to the millisecond": _values(_INSTANTS, "2025-03-01T09:00:00.123+08:00"),
        "ideographic space": _values(_TEXTS, "\u3000体温\u00a0晨间"),
        "whole decimal": _values(frozenset({"decimal"}), 1, 0, -3),
        "decimal with an exponent": _number_as(b"1.5E+3"),
        "decimal of many digits": _number_as(b"3.14159265358979323846264338327950288"),
        "base64 with whitespace": _values(frozenset({"base64Binary"}), "YWJj YWJj", "YWJj\nYWJj\n"),
        "time": _values(frozenset({"time"}), "09:00:00", "23:59:59.123"),
        "oid": _values(frozenset({"oid"}), "urn:oid:1.2.156.0"),
        "uuid": _values(frozenset({"uuid"}), "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
        "uri in Chinese": _values(_ADDRESSES, "http://example.org/体温"),
        "id": _values(frozenset({"id"}), "A-1.b", "9" * 64),
        "leap second": _values(_INSTANTS, "2016-12-31T23:59:60Z"),
    }
)
"""What keeps a resource sound."""

UNSOUND: Mapping[str, Mutation] = MappingProxyType(
    {
        "impossible day": _values(_DAYS, "2025-02-30", "2023-02-29", "1900-02-29", "2025-04-31", "2025-01-32"),
        "impossible month": _values(_DAYS, "2025-13-01", "2025-00-10", "2025-13"),
        "impossible hour": _values(_INSTANTS, "2025-03-01T25:00:00Z", "2025-03-01T24:00:00Z"),
        "impossible zone": _values(_INSTANTS, "2025-03-01T09:00:00+15:00", "2025-03-01T09:00:00+08:60"),
        "impossible time": _values(frozenset({"time"}), "25:00:00", "09:61:00", "9:00:00", "09:00"),
        "date without zeros": _values(_DAYS, "2025-3-1", "2025-3"),
        "year zero": _values(_DAYS, "0000", "0000-01-01"),
        "time without zone": _values(_INSTANTS, "2025-03-01T09:00:00"),
        "time without seconds": _values(_INSTANTS, "2025-03-01T09:00Z"),
        "day as instant": _values(frozenset({"instant"}), "2025-03-01", "2025"),
        "moment as date": _values(frozenset({"date"}), "2025-03-01T09:00:00Z"),
        "words as date": _values(_DAYS | _INSTANTS, "yesterday"),
        "decimal as string": _values(frozenset({"decimal"}), "1.5", "x"),
        "integer as string": _values(_WHOLE, "1", "x"),
        "integer with a fraction": _values(_WHOLE, 1.5),
        "integer with a point": _values(_WHOLE, 2.0),
        "integer too big": _values(_WHOLE, 2**31, 2**40),
        "count too small": _values(frozenset({"unsignedInt", "positiveInt"}), -1),
        "zeroth": _values(frozenset({"positiveInt"}), 0),
        "number as boolean": _values(_NUMBERS, True),
        "boolean as string": _values(frozenset({"boolean"}), "true", "yes"),
        "boolean as number": _values(frozenset({"boolean"}), 1, 0),
        "string as number": _values(_WORDS, 7),
        "string as boolean": _values(_WORDS, False),
        "code with whitespace": _values(frozenset({"code"}), " a", "a ", "a  b", "\ta"),
        "id with whitespace": _values(frozenset({"id"}), "a b", " a", "a\n"),
        "id with an underscore": _values(frozenset({"id"}), "a_b"),
        "id too long": _values(frozenset({"id"}), "a" * 65),
        "uri with whitespace": _values(_ADDRESSES, "http://example.org/a b", " http://example.org"),
        "broken oid": _values(frozenset({"oid"}), "1.2.3", "urn:oid:3.1", "urn:oid:1.02"),
        "broken uuid": _values(frozenset({"uuid"}), "urn:uuid:1", "c757873d"),
        "broken base64": _values(frozenset({"base64Binary"}), "a", "ab=c", "a===", "!!!!"),
        "empty string": _values(_WORDS, ""),
        "string too long": _values(frozenset({"string"}), "x" * (2**20 + 1)),
        "narrative without div": _values(frozenset({"xhtml"}), "x", "<p>x</p>"),
        "narrative that is no XHTML": _values(frozenset({"xhtml"}), "<div><p></div>", "<div>x"),
        "narrative with a script": _values(frozenset({"xhtml"}), "<div><script>x</script></div>"),
        "uuid in capitals": _values(frozenset({"uuid"}), "urn:uuid:C757873D-EC9A-4326-A141-556F43239520"),
        "required dropped": _drop(lambda spot: spot.element.is_required and not spot.element.choice),
        "required choice dropped": _drop(lambda spot: spot.element.is_required and bool(spot.element.choice)),
        "unknown element": _add("colour", "red", inside=False),
        "unknown element inside": _add("colour", {"text": "red"}, inside=True),
        "unknown sibling": _add("_colour", {"id": "a"}, inside=False),
        "comment of old releases": _add("fhir_comments", ["x"], inside=False),
        "name of the other library": _add("resource_type", "Basic", inside=False),
        "name in another case": _other_case,
        "two of a choice": _second_choice,
        "primitive as object": _replace(
            lambda spot: spot.element.is_primitive, lambda spot: spot.in_place({"value": "x"})
        ),
        "object as string": _replace(is_complex, lambda spot: spot.in_place("x")),
        "object as number": _replace(is_complex, lambda spot: spot.in_place(1)),
        "empty object": _replace(is_complex, lambda spot: spot.in_place({})),
        "empty array": _replace(is_listed, lambda _spot: []),
        "array of null": _replace(is_listed, lambda _spot: [None]),
        "array in an array": _replace(is_listed, lambda spot: [spot.value]),
        "null": _replace(lambda _spot: True, lambda _spot: None),
        "one as array": _replace(lambda spot: not spot.element.is_list, lambda spot: [spot.value]),
        "one twice": _replace(lambda spot: not spot.element.is_list, lambda spot: [spot.value, spot.value]),
        "array as one": _replace(is_listed, lambda spot: spot.value[0]),
        "sibling of an object": _sibling(is_complex, {"id": "a"}),
        "sibling of what has none": _sibling(has_no_sibling, {"id": "a"}),
        "only the sibling of an url": lambda dice, scene: _extend(dice, scene, {"_url": {"id": "a"}}, "uri"),
        "empty sibling": _sibling(is_single_primitive, {}),
        "sibling as array": _sibling(is_single_primitive, [{"id": "a"}]),
        "sibling list too long": _sibling(is_listed_primitive, [{"id": "a"}] * 60),
        "extension without url": lambda dice, scene: _extend(dice, scene, {"valueString": "x"}),
        "extension with two values": lambda dice, scene: _extend(
            dice, scene, {"url": URL, "valueString": "x", "valueBoolean": True}
        ),
        "extension with value and extension": lambda dice, scene: _extend(
            dice, scene, {"url": URL, "valueString": "x", "extension": [{"url": "a", "valueString": "x"}]}
        ),
        "extension with an unknown value": lambda dice, scene: _extend(dice, scene, {"url": URL, "valueColour": "red"}),
        "contained without type": _contain({"id": "b"}),
        "contained of no type": _contain({"resourceType": "Horoscope", "id": "b"}),
        "contained in contained": _contain(BASIC | {"contained": [BASIC | {"id": "c"}]}),
        "contained that is unsound": _contain({"resourceType": "Basic", "id": "b"}),
        "no such resource": _named(lambda _dice, _scene: "Horoscope"),
        "resource without type": _named(lambda _dice, _scene: ...),
        "type that is no string": _named(lambda _dice, _scene: 1),
        "name given twice": _bytes(lambda raw: raw.replace(b"{", b'{"language": "fr", "language": "de", ', 1)),
        "cut off": _bytes(lambda raw: raw[:-1]),
        "more after the end": _bytes(lambda raw: raw + b"{}"),
        "not UTF-8": _bytes(lambda raw: raw.replace(b"{", b'{"language": "\xff", ', 1)),
        "not a number": _number_as(b"NaN"),
        "number with a leading zero": _number_as(b"01.5"),
        "number with a plus": _number_as(b"+1.5"),
        "infinity": _number_as(b"Infinity"),
        "half a surrogate pair": _bytes(lambda raw: raw.replace(b"{", b'{"language": "\\ud800", ', 1)),
        "byte order mark": _bytes(lambda raw: b"\xef\xbb\xbf" + raw),
    }
)
"""What leaves no resource of FHIR R4."""

EITHER: Mapping[str, Mutation] = MappingProxyType(
    {
        "no such code": _values(frozenset({"code"}), "no-such-code"),
        "reference to another type": _replace(is_reference, lambda spot: spot.in_place({"reference": "Slot/s"})),
        "blank string": _values(_TEXTS, "  ", "\n"),
        "control character": _values(_TEXTS, "a\x00b", "a\x1b[0m"),
        "code with a no-break space": _values(frozenset({"code"}), "a\u00a0b", "a\u3000b"),
        "decimal that no double holds": _number_as(b"1.5E+999"),
        "nesting without end": _nested,
        "anything dropped": _drop(lambda _spot: True),
        "another resource": _named(lambda dice, _scene: dice.choice(sorted(resource_types()))),
        "member of another resource": _borrow,
        "member of another resource that may be here": _borrow_fitting,
    }
)
"""What FHIR leaves open, or what depends on the place."""

KINDS: Mapping[str, Mutation] = MappingProxyType({**SOUND, **UNSOUND, **EITHER})

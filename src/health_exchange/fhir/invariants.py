"""Rules of FHIR R4 that are about several elements at once: the five that any type may break, whatever its elements.

``ext-1``, ``dom-2``, ``dom-4``, ``dom-5`` and ``ref-1`` say what an extension is, and what stands inside a resource. A
resource that breaks them means different things to different readers. The other invariants of R4 are about single
types, and nobody here evaluates their FHIRPath.

Source: FHIR R4, sections 2.4 "Extensibility", 2.5 "Contained resources" and 2.3 "References".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from health_exchange.fhir.faults import Fault
from health_exchange.fhir.jsonguard import safe_name
from health_exchange.fhir.references import is_reference

_EXTENSIONS = frozenset({"extension", "modifierExtension"})
_RESOURCES = frozenset({"resource", "outcome"})
"""Elements that hold resources of their own, in Bundles and Parameters, where these have a ``resourceType``."""
_INWARD = re.compile(rb'"reference"\s*:\s*"#([^"]+)"')


def may_break(raw: bytes, decoded: Mapping[str, Any]) -> bool:
    """Whether a resource that is no Bundle nor Parameters may break a rule: quick, and true of some that break none."""
    contained = decoded.get("contained", ())
    if contained and next(_contained_breaches(contained, ""), None) is not None:
        return True
    # One byte is found several times as fast as two.
    if b"#" in raw and {each.decode() for each in _INWARD.findall(raw)} - _ids(contained):
        return True
    # Whoever writes letters of names as escapes is looked at closely.
    return (b"\\" in raw and rb"\u00" in raw) or (b'xtension"' in raw and _has_unsound_extension(decoded))


def breaches(resource: Mapping[str, Any], where: str) -> Iterator[Fault]:
    """Each breach of the rules in a resource without other faults, and in those inside it.

    Args:
        resource: Decoded.
        where: Its place, or its type where it stands alone.
    """
    contained = resource.get("contained", ())
    yield from _contained_breaches(contained, where)
    yield from _Walk(_ids(contained)).breaches(resource, where)


def _contained_breaches(contained: Iterable[Mapping[str, Any]], where: str) -> Iterator[Fault]:
    """What contained resources have and must not have."""
    for index, inner in enumerate(contained):
        own = f"{where}.contained[{index}]"
        if "contained" in inner:
            yield Fault(detail="a contained resource contains no others (dom-2)", where=f"{own}.contained")
        meta = inner.get("meta", {})
        for name in ("versionId", "lastUpdated"):
            if name in meta:
                yield Fault(detail="a contained resource has no version of its own (dom-4)", where=f"{own}.meta.{name}")
        if "security" in meta:
            yield Fault(detail="a contained resource has no labels of its own (dom-5)", where=f"{own}.meta.security")


def _ids(contained: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The ids of contained resources."""
    return frozenset(inner.get("id", "") for inner in contained)


def _has_unsound_extension(members: Mapping[str, Any]) -> bool:
    """Whether an extension at or below an object has both a value and extensions, or neither."""
    for name, value in members.items():
        if type(value) is dict:
            if _has_unsound_extension(value):
                return True
        elif type(value) is list:
            is_extension = name in _EXTENSIONS
            for inner in value:
                if type(inner) is not dict:
                    continue
                if is_extension and _has_value(inner) == ("extension" in inner):
                    return True
                if _has_unsound_extension(inner):
                    return True
    return False


class _Walk:
    """Through one resource, with what is contained in it."""

    def __init__(self, contained: frozenset[str]) -> None:
        self._contained = contained

    def breaches(self, members: Mapping[str, Any], where: str, element: str = "") -> Iterator[Fault]:
        """Those at and below an object that is (an item of) the member ``element``."""
        for name, value in members.items():
            place = f"{where}.{safe_name(name)}"
            if isinstance(value, str):
                is_one = name == "reference" and is_reference(members.keys(), element)
                if is_one and not self._leads_somewhere(value):
                    yield Fault(detail="nothing of that id is contained in the resource (ref-1)", where=place)
            elif isinstance(value, dict):
                is_resource = name in _RESOURCES and "resourceType" in value
                yield from breaches(value, place) if is_resource else self.breaches(value, place, name)
            elif isinstance(value, list):
                for index, inner in enumerate(value):
                    if isinstance(inner, dict):
                        there = f"{place}[{index}]"
                        if name in _EXTENSIONS and _has_value(inner) == ("extension" in inner):
                            yield Fault(detail="an extension has either a value or extensions (ext-1)", where=there)
                        yield from self.breaches(inner, there, name)

    def _leads_somewhere(self, reference: str) -> bool:
        """Whether a reference leads out of the resource, to the whole of it, or to what is contained."""
        return not reference.startswith("#") or reference == "#" or reference[1:] in self._contained


def _has_value(extension: Mapping[str, Any]) -> bool:
    """Whether an extension has a value, or what stands beside one."""
    return any(name.startswith(("value", "_value")) for name in extension)

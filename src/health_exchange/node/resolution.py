"""References of one transaction: what each entry becomes, what each reference then points at, and what is wrong.

Pure. The database's part (what exists, what a conditional reference finds) comes in as an answer to the questions that
:func:`questions` asks.

Source: FHIR R4, section 3.1.0.11.2 "Transaction processing rules", and 2.3.0 "References".
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from health_exchange.fhir.references import references
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.writes import BadRequestError, IdentityAsIdError, WriteRequest, may_be_identity

_RELATIVE = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,63})\?(.+)", re.DOTALL)
_PART_OF = b"partOf"
"""The element that forms a hierarchy: a chain of them that closes is no hierarchy."""


class DanglingReferenceError(ExchangeError):
    """A reference to something that is neither in the request nor kept here."""

    category = Category.INCORRECT
    code = "dangling-reference"


class CyclicReferenceError(ExchangeError):
    """Something is part of itself."""

    category = Category.INCORRECT
    code = "cyclic-reference"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a resource lives: type and id."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}/{self.id}"


class Mention(NamedTuple):
    """A reference where it stands."""

    request: WriteRequest
    text: str

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return self.request.where_of(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What the database must answer before references can be resolved.

    Attributes:
        exists: Relative references to resources outside the request, with the first mention of each.
        searches: Conditional references (type, query), with the first mention of each.
    """

    exists: Mapping[Place, Mention]
    searches: Mapping[tuple[str, str], Mention]


def entry_places(requests: Sequence[WriteRequest], assigned: Sequence[Place]) -> dict[str, Place]:
    """Every way the request's entries may be named, and the place each means.

    Raises:
        BadRequestError: Two entries have one fullUrl.
    """
    places: dict[str, Place] = {}
    for request, place in zip(requests, assigned, strict=True):
        if request.full_url:
            if places.get(request.full_url, place) != place:
                raise BadRequestError("two entries have the same fullUrl", where=f"{request.where}.fullUrl")
            places[request.full_url] = place
            relative = None if request.full_url.startswith("urn:") else _relative(request.full_url)
            if relative is not None:
                places[str(relative)] = place
        places.setdefault(str(place), place)
    return places


def questions(
    requests: Sequence[WriteRequest], places: Mapping[str, Place], *, base: str = "", loose: bool = False
) -> Questions:
    """What is referred to beyond the request itself.

    Args:
        requests: Of one transaction.
        places: What its entries may be called.
        base: What this node's own resources stand under.
        loose: Whether a reference may lead nowhere; a conditional one must find its resource all the same.

    Raises:
        DanglingReferenceError: A urn that no entry has as its fullUrl.
        IdentityAsIdError: It may lead nowhere, and names what may be a national ID.
    """
    exists: dict[Place, Mention] = {}
    searches: dict[tuple[str, str], Mention] = {}
    written = frozenset(places.values())
    for request in requests:
        for text in request.references:
            if text in places or text.startswith("#"):
                continue
            mention = Mention(request, text)
            conditional = _CONDITIONAL.fullmatch(text)
            if conditional:
                searches.setdefault((conditional[1], conditional[2]), mention)
                continue
            relative = _RELATIVE.fullmatch(_own(text, base))
            if loose:
                # Nobody looks whether it is there, yet what refers to a Patient may be kept under that name.
                if relative and may_be_identity(relative[2]):
                    raise IdentityAsIdError("a reference must not name what may be a national ID", where=mention.where)
                continue
            if relative:
                place = Place(type=relative[1], id=relative[2])
                # Its text alone would tell nothing: what comes from elsewhere may have the same type and id there.
                if place not in written:
                    exists.setdefault(place, mention)
            elif text.startswith("urn:"):
                raise DanglingReferenceError("no entry has this urn as its fullUrl", where=mention.where)
    return Questions(exists=exists, searches=searches)


def refuse_dangling(asked: Questions, there: Container[Place]) -> None:
    """Check that everything referred to beyond the request is ``there``.

    Raises:
        DanglingReferenceError: With the place of the first reference that leads nowhere.
    """
    for place, mention in asked.exists.items():
        if place not in there:
            raise DanglingReferenceError(f"no such {place.type} is kept here", where=mention.where)


def targets(requests: Iterable[WriteRequest], places: Mapping[str, Place], base: str = "") -> dict[str, str]:
    """The rewriting of reference texts: from what was sent to what is kept. Texts that stay are absent, and conditions.

    What this node itself keeps is referred to relatively, however it was written: it is the same resource, whatever the
    node is called by whom, and would otherwise be nobody's and found by nobody. No entry is meant by it, unless it is
    that entry's very fullUrl: what comes from elsewhere may have the same type and id there.
    """
    # A urn may also stand in elements of type uri, which no list of references tells of.
    rewriting = {text: str(place) for text, place in places.items() if text.startswith("urn:")}
    for request in requests:
        for text in request.references:
            if text in rewriting:
                continue
            place = places.get(text)
            if place is not None and text != str(place):
                rewriting[text] = str(place)
            elif place is None and (own := _own(text, base)) != text:
                rewriting[text] = own
    return rewriting


def resolved(found: Mapping[tuple[str, str], Place]) -> dict[str, str]:
    """The rewriting of conditional references, by what each condition finds."""
    return {f"{resource_type}?{query}": str(place) for (resource_type, query), place in found.items()}


def refuse_cycles(requests: Sequence[WriteRequest], places: Mapping[str, Place]) -> None:
    """Check that nothing in the request is, over any number of steps, part of itself.

    Raises:
        CyclicReferenceError: With the place of one reference on the cycle.
    """
    parents: dict[Place, tuple[Place, str]] = {}
    for request in requests:
        if request.raw is None or _PART_OF not in request.raw:
            continue
        own = places.get(request.full_url or "") or places.get(f"{request.type}/{request.id}")
        if own is None:
            continue
        for path, text in references(msgspec.json.decode(request.raw)):
            if path.split(".")[0].split("[")[0] == _PART_OF.decode() and (parent := places.get(text)) is not None:
                parents[own] = (parent, f"{request.where}.resource.{path}" if request.where else f"{own.type}.{path}")
    for start in parents:
        here, steps = start, 0
        while here in parents and steps <= len(parents):
            here, steps = parents[here][0], steps + 1
            if here == start:
                raise CyclicReferenceError("this makes the resource a part of itself", where=parents[start][1])


def _own(text: str, base: str) -> str:
    """A reference by this node's own URL as the relative one that means the same; any other as it is."""
    relative = text.removeprefix(f"{base}/") if base else text
    return relative if _RELATIVE.fullmatch(relative) else text


def _relative(text: str) -> Place | None:
    """The place at the end of a URL, if there is one."""
    match = re.search(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})$", text)
    return Place(type=match[1], id=match[2]) if match else None

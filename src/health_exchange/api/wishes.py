"""What a client wishes of its answer: which format, how it is laid out, which part of it, and what of a write.

Asked for by headers and by parameters that FHIR defines for every interaction; the parameters are taken out here, so
that a search sees only what narrows it.

Source: FHIR R4, sections 3.1.0.1.8 to 3.1.0.1.12 "General parameters", 3.1.0.1.5 "Content negotiation", 3.1.0.6
"Prefer"; RFC 7240.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from health_exchange.api.bodies import FHIR_JSON
from health_exchange.fhir.layout import indented
from health_exchange.fhir.splicing import JsonBytes, fields, items, join_array, join_object, quote, text
from health_exchange.fhir.subsetting import Subset, Summary, is_element
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.node.workers import Workers

Pairs = Sequence[tuple[str, str]]

_FORMATS = frozenset({"json", "application/json", FHIR_JSON, "text/json", "application/json+fhir"})
_ACCEPTED = _FORMATS | {"*/*", "application/*", "text/*"}
_TRUTH: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})
_GENERAL = frozenset({"_format", "_pretty", "_elements", "_summary"})
_COUNT = ("_summary", "count")
"""Asks for no part of resources but for a number, so it is left to the search."""
_READ_BY_POST = ("/_search", "/$everything", "/$match")
_SUMMARIES = ("true", "text", "data", "false", "count")
ELEMENTS_MAX = 200


class NotAcceptableError(ExchangeError):
    """The client takes no format that this door writes."""

    category = Category.UNSUPPORTED
    code = "not-acceptable"


class BadWishError(ExchangeError):
    """A general parameter has a value that it cannot have."""

    category = Category.INCORRECT
    code = "bad-parameter"


class Return(StrEnum):
    """What a client that writes wants back."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OUTCOME = "OperationOutcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How one client wants its answer.

    Attributes:
        pretty: With line ends and indentation.
        media_type: What the answer is called.
        returns: What of a write; ``None`` where it says nothing.
        lenient: Whether a search leaves out what is not offered, and says so, instead of refusing it.
        subset: Which part of each resource; ``None`` for all of it.
        general: The parameters that were taken out, in order.
        pairs: The other parameters, in order.
    """

    pretty: bool
    media_type: str
    returns: Return | None
    lenient: bool
    subset: Subset | None
    general: Pairs
    pairs: Pairs

    @classmethod
    def of(cls, request: Request, form: Pairs = ()) -> "Wishes":
        """What ``request`` asks for, in its URL and in the form in its body.

        Raises:
            NotAcceptableError: No format of ours.
            BadWishError: A value that the parameter cannot have.
        """
        headers = request.headers
        accept, prefer = headers.get("accept", ""), tuple(headers.getlist("prefer"))
        if not form and not request.scope["query_string"]:
            return _without_parameters(accept, prefer)
        return _read((*request.query_params.multi_items(), *form), accept, prefer)

    async def granted(self, request: Request, response: Response, workers: Workers) -> Response:
        """``response`` as wished: laid out, and without its body where only the head is asked for."""
        if not self.general and self.media_type == FHIR_JSON and request.method != "HEAD":
            return response
        own = response.headers.get("content-type", "").partition(";")[0]
        if own == FHIR_JSON and response.body:
            response.body = await self._laid_out(request, bytes(response.body), workers)
            response.headers["content-length"] = str(len(response.body))
            response.headers["content-type"] = self.media_type
        if request.method == "HEAD":
            response.body = b""
        return response

    async def _laid_out(self, request: Request, body: bytes, workers: Workers) -> bytes:
        """A body as wished: a part of it where it is what was asked for, and indented."""
        is_read = request.method in {"GET", "HEAD"} or request.scope["path"].endswith(_READ_BY_POST)
        if is_read and _is_of_one(request):
            body = await workers.run(_part_of, self.subset, body, work_bytes=len(body)) if self.subset else body
        elif is_read and self.general:
            body = await workers.run(_part_of_bundle, self.subset, self.general, body, work_bytes=len(body))
        if not self.pretty:
            return body
        try:
            return await workers.run(indented, body, work_bytes=len(body))
        except UnavailableError:
            if is_read:
                raise
            # A worker has died, and what was written has not failed with it: it is told as it stands.
            return body


def _part_of(subset: Subset, raw: bytes) -> bytes:
    """A part of a resource."""
    return subset.of(raw)


def _part_of_bundle(subset: Subset | None, general: Pairs, raw: bytes) -> bytes:
    """A Bundle whose entries and links are as wished."""
    members: dict[str, JsonBytes] = {**fields(raw)}
    if "link" in members:
        members["link"] = join_array([_with_wishes(each, general) for each in items(members["link"])])
    if "entry" in members and subset is not None:
        members["entry"] = join_array([_with_subset(each, subset) for each in items(members["entry"])])
    return join_object(members)


def _with_wishes(raw: JsonBytes, general: Pairs) -> bytes:
    """A link that keeps the wishes."""
    members: dict[str, JsonBytes] = {**fields(raw)}
    url = text(members["url"])
    members["url"] = quote(f"{url}{'&' if '?' in url else '?'}{urlencode(general)}")
    return join_object(members)


def _read(pairs: Pairs, accept: str, prefer: tuple[str, ...]) -> Wishes:
    """What parameters and headers ask for."""
    preferences = _preferences(prefer)
    return Wishes(
        pretty=_TRUTH[_one(pairs, "_pretty", _TRUTH, "false")],
        media_type=_media_type(pairs, accept),
        returns=_returns(preferences.get("return", "")),
        lenient=preferences.get("handling") == "lenient",
        subset=_subset(pairs),
        general=[pair for pair in pairs if pair[0] in _GENERAL and pair != _COUNT],
        pairs=[pair for pair in pairs if pair[0] not in _GENERAL or pair == _COUNT],
    )


@lru_cache(maxsize=256)
def _without_parameters(accept: str, prefer: tuple[str, ...]) -> Wishes:
    """What headers alone ask for: most requests have the same."""
    return _read((), accept, prefer)


def _with_subset(raw: JsonBytes, subset: Subset) -> JsonBytes:
    """A Bundle's entry with a part of its resource."""
    members: dict[str, JsonBytes] = {**fields(raw)}
    return join_object(members | {"resource": subset.of(members["resource"])}) if "resource" in members else raw


def _is_of_one(request: Request) -> bool:
    """Whether the answer is one resource, and no Bundle of several."""
    named = request.path_params
    # In a compartment, too, there is an id: the person's, who may be called as the type that is searched.
    is_read = "id" in named and "compartment" not in named and request.scope["path"].endswith(f"/{named['id']}")
    return "version" in named or is_read


def _subset(pairs: Pairs) -> Subset | None:
    """Which part of each resource is wanted."""
    summary = _one(pairs, "_summary", _SUMMARIES, "false")
    listed = [value for name, value in pairs if name == "_elements"]
    elements = frozenset(name.strip() for value in listed for name in value.split(",") if name.strip())
    if listed and summary != "false":
        raise BadWishError("_elements and _summary exclude each other", where="_elements")
    if listed and (not elements or len(elements) > ELEMENTS_MAX or not all(map(is_element, elements))):
        raise BadWishError("_elements names elements at the top of resources", where="_elements")
    if elements:
        return Subset(summary=Summary.ELEMENTS, elements=elements)
    return Subset(summary=Summary(summary)) if summary not in {"false", "count"} else None


def _one(pairs: Pairs, name: str, offered: Iterable[str], absent: str) -> str:
    """The one value of a parameter."""
    values = [value for given, value in pairs if given == name]
    if not values:
        return absent
    if len(values) > 1 or values[0] not in offered:
        raise BadWishError(f"{name} is one of {', '.join(offered)}", where=name)
    return values[0]


def _media_type(pairs: Pairs, accept: str) -> str:
    """What the answer is called; ``_format`` goes before ``Accept``."""
    # In a URL a plus sign that nobody has escaped is a space.
    formats = [value.replace(" ", "+").partition(";")[0].lower() for name, value in pairs if name == "_format"]
    if formats:
        if len(formats) > 1 or formats[0] not in _FORMATS:
            raise NotAcceptableError(f"this door writes {FHIR_JSON}", where="_format")
        return FHIR_JSON
    wanted = [kind for kind in accept.split(",") if kind.strip()]
    taken = [kind.partition(";")[0].strip().lower() for kind in wanted if not _is_refused(kind)]
    if wanted and not _ACCEPTED & set(taken):
        raise NotAcceptableError(f"this door writes {FHIR_JSON}")
    plain = "application/json" in taken and not {FHIR_JSON, "*/*", "application/*"} & set(taken)
    return "application/json" if plain else FHIR_JSON


def _is_refused(kind: str) -> bool:
    """Whether a part of ``Accept`` says that it is not wanted."""
    parameters = [parameter.strip() for parameter in kind.lower().split(";")[1:]]
    return any(each in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for each in parameters)


def _preferences(headers: Iterable[str]) -> Mapping[str, str]:
    """What a client prefers, by name, the first of each; one that is not known is passed over, as RFC 7240 has it."""
    found: dict[str, str] = {}
    for header in headers:
        for preference in header.replace(";", ",").split(","):
            name, _equals, value = preference.strip().partition("=")
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _returns(value: str) -> Return | None:
    """What a write gives back."""
    return Return(value) if value in set(Return) else None

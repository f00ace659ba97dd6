"""Reads inside Bundles: of a resource, a version, a history, a search; each as if it had been asked alone.

In a transaction they come last, on what its writes have left. What could be told to fail before anything is written
fails the whole: only reads of what the transaction itself writes wait for it.

Source: FHIR R4, section 3.1.0.11 "batch/transaction".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote

import msgspec

from health_exchange.fhir.bundle import BundleEntry
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError
from health_exchange.node.callers import Caller
from health_exchange.node.histories import Histories
from health_exchange.node.reading import Kept
from health_exchange.node.searching import Searching
from health_exchange.node.writes import BadRequestError, UnsupportedInteractionError
from health_exchange.search.spans import BadDateError, span_of

READS_MAX = 200
_PATH = re.compile(
    r"(?:(?P<type>[A-Z][A-Za-z]{1,63})(?:/(?P<id>[A-Za-z0-9\-.]{1,64}))?(?:/(?=_history)|\Z))?"
    r"(?P<history>_history(?:/(?P<version>[0-9]{1,18}))?)?"
)
_GENERAL = frozenset({"_format", "_pretty"})


class TooManyReadsError(ExchangeError):
    """More reads than one Bundle may ask for."""

    category = Category.TOO_LARGE
    code = "too-many-reads"


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One read.

    Attributes:
        type: Resource type; ``None`` for the history of all.
        id: Of this resource.
        version: Of this version of it.
        is_history: Whether versions are asked for.
        pairs: Parameters, in order.
        if_none_match: As in HTTP.
        known_before: What was made before this the client has: the end of the instant in ``ifModifiedSince``.
        where: Place in the Bundle, for messages.
    """

    type: str | None
    id: str | None = None
    version: int | None = None
    is_history: bool = False
    pairs: tuple[tuple[str, str], ...] = ()
    if_none_match: str = ""
    known_before: datetime | None = None
    where: str = ""

    @property
    def place(self) -> str:
        """The one resource it is about; empty where it is about several."""
        return f"{self.type}/{self.id}" if self.type and self.id else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadResult:
    """What a read found.

    Attributes:
        request: What was asked.
        body: A resource, or a Bundle of several.
        kept: The resource with its validators, where it is one.
    """

    request: ReadRequest
    body: bytes
    kept: Kept | None = None


def read_asked(entry: BundleEntry) -> ReadRequest:
    """The read that a Bundle's entry asks for.

    Raises:
        BadRequestError: Its URL is none that could be read.
        UnsupportedInteractionError: It is that of an operation.
    """
    path, _mark, query = entry.url.partition("?")
    path = unquote(path).strip("/")
    if "$" in path or path == "metadata":
        raise UnsupportedInteractionError("operations are not offered inside a Bundle", where=entry.where)
    if entry.raw is not None:
        raise BadRequestError("a read carries no resource", where=entry.where)
    match = _PATH.fullmatch(path.removesuffix("/_search"))
    if match is None or (match["version"] and not match["id"]) or not path:
        raise BadRequestError("the URL is not one that can be read", where=f"{entry.where}.request.url")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        pairs = []
    return ReadRequest(
        type=match["type"],
        id=match["id"],
        version=int(match["version"]) if match["version"] else None,
        is_history=match["history"] is not None,
        pairs=tuple((name, value) for name, value in pairs if name not in _GENERAL),
        if_none_match=entry.if_none_match or "",
        known_before=_end_of(entry),
        where=entry.where,
    )


def _end_of(entry: BundleEntry) -> datetime | None:
    """The end of what an entry's ``ifModifiedSince`` means: an instant, unlike HTTP's header."""
    try:
        return span_of(entry.if_modified_since).end if entry.if_modified_since else None
    except BadDateError as error:
        detail = error.detail
    raise BadRequestError(detail, where=f"{entry.where}.request.ifModifiedSince")


class BundleReads:
    """Answers the reads of Bundles.

    Args:
        reading: Reads and searches.
        histories: Tells histories.
    """

    def __init__(self, reading: Searching, histories: Histories) -> None:
        self._reading = reading
        self._histories = histories

    async def answer(self, request: ReadRequest, caller: Caller) -> ReadResult:
        """What a read finds.

        Raises:
            ExchangeError: As the same read alone; ``where`` is its entry.
        """
        try:
            return await self._found(request, caller)
        except ExchangeError as error:
            error.where = error.where or request.where
            raise

    async def attempt(self, request: ReadRequest, caller: Caller) -> ReadResult | ExchangeError:
        """What a read finds, or why it finds nothing."""
        try:
            return await self.answer(request, caller)
        except ExchangeError as error:
            return error

    async def _found(self, request: ReadRequest, caller: Caller) -> ReadResult:
        """What a read finds."""
        if request.is_history and request.version is None:
            bundle = await self._histories.history(request.type, request.id, request.pairs, caller)
            return ReadResult(request=request, body=bundle)
        if request.type is None:
            raise BadRequestError("the URL is not one that can be read", where=request.where)
        if request.id is None:
            return ReadResult(request=request, body=await self._reading.search(request.type, request.pairs, caller))
        if request.pairs:
            raise MalformedResourceError("a read takes no parameters", where=request.where)
        if request.version is None:
            kept = await self._reading.read(request.type, request.id, caller)
        else:
            kept = await self._reading.vread(request.type, request.id, request.version, caller)
        return ReadResult(request=request, body=kept.body, kept=kept)


def refuse_many(reads: Sequence[ReadRequest]) -> None:
    """Raise where a Bundle asks for more reads than it may.

    Raises:
        TooManyReadsError: It does.
    """
    if len(reads) > READS_MAX:
        raise TooManyReadsError(f"a Bundle asks for at most {READS_MAX} reads", where="Bundle.entry")

"""What a facility wants written: requests with their places, and what becomes of each.

A Bundle is only a way to bring several; the single interactions of the FHIR door make the same requests.

Source: FHIR R4, section 3.1.0.11 "batch/transaction".
"""

import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import unquote

import msgspec

from health_exchange.fhir.bundle import BundleEntry
from health_exchange.fhir.references import reference_texts, references
from health_exchange.fhir.validation import ResourceView
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError
from health_exchange.model.powers import Power
from health_exchange.node.findings import Findings, findings_of

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_ETAG = re.compile(r'W/"([0-9]{1,18})"')


class BadRequestError(ExchangeError):
    """A request that no FHIR server could carry out."""

    category = Category.INCORRECT
    code = "bad-request"


class UnsupportedInteractionError(ExchangeError):
    """A FHIR interaction that this door does not offer."""

    category = Category.UNSUPPORTED
    code = "unsupported-interaction"


class WriteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One write.

    Attributes:
        method: ``POST`` (create), ``PUT`` (update, also to a new id) or ``DELETE``.
        type: Resource type.
        id: The resource's id; ``None`` for a create.
        raw: The validated resource; ``None`` for a delete.
        if_match: Version that must be current.
        if_none_exist: Search query under which nothing may exist yet.
        full_url: How other entries refer to it.
        where: Place in the Bundle, for messages.
        references: Texts of the resource's references, found once.
        found: What else was found in it; ``None`` for a delete.
    """

    method: str
    type: str
    id: str | None = None
    raw: bytes | None = None
    if_match: int | None = None
    if_none_exist: str | None = None
    full_url: str | None = None
    where: str = ""
    references: tuple[str, ...] = ()
    found: Findings | None = None

    def where_of(self, text: str) -> str:
        """Where the resource first refers to ``text``; for messages, because it reads the resource again."""
        found = references(msgspec.json.decode(self.raw)) if self.raw is not None else []
        path = next((path for path, reference in found if reference == text), "")
        return f"{self.where}.resource.{path}" if self.where else f"{self.type}.{path}"


class WriteResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one write.

    Attributes:
        status: 200 updated or already there, 201 created, 204 deleted.
        type: Resource type.
        id: The resource's id.
        version: Its version now.
        changed_at: When that version was made; ``None`` where nothing was written.
        held: Why it does not travel yet, in one word of ours; empty where it does.
    """

    status: int
    type: str
    id: str
    version: int
    changed_at: datetime | None
    held: str = ""


_RESULTS = msgspec.msgpack.Decoder(list[WriteResult])


def encode_results(results: Sequence[WriteResult]) -> bytes:
    """Results as they are kept, to answer the same request again."""
    return msgspec.msgpack.encode(results)


def decode_results(raw: bytes) -> list[WriteResult]:
    """Results that were kept."""
    return _RESULTS.decode(raw)


def read_entry(entry: BundleEntry, view: ResourceView | None) -> WriteRequest:
    """The write that a Bundle entry asks for.

    Args:
        entry: As split from the Bundle.
        view: Its resource, validated; ``None`` where it has none.

    Raises:
        BadRequestError: The entry's method, URL and resource do not fit each other.
        UnsupportedInteractionError: A method or conditional form this door does not offer.
    """
    if entry.method not in {"POST", "PUT", "DELETE"}:
        raise UnsupportedInteractionError(f"{entry.method} is not offered inside a Bundle", where=entry.where)
    resource_type, resource_id = read_target(entry.url, where=entry.where)
    if entry.method == "DELETE":
        if view is not None:
            raise BadRequestError("a DELETE carries no resource", where=entry.where)
    elif view is None:
        raise MalformedResourceError("the entry carries no resource", where=f"{entry.where}.resource")
    elif view.type != resource_type:
        raise BadRequestError(f"the URL says {resource_type}, the resource is a {view.type}", where=entry.where)
    return make_request(
        method=entry.method,
        resource_type=resource_type,
        resource_id=resource_id,
        view=view,
        if_match=entry.if_match,
        if_none_exist=entry.if_none_exist,
        full_url=entry.full_url,
        where=entry.where,
    )


def make_request(  # each is a part of one HTTP request
    *,
    method: str,
    resource_type: str,
    resource_id: str | None,
    view: ResourceView | None,
    if_match: str | None = None,
    if_none_exist: str | None = None,
    full_url: str | None = None,
    where: str = "",
) -> WriteRequest:
    """A checked write; ``if_match`` as in HTTP (``W/"3"``).

    Raises:
        BadRequestError: An id where none belongs, none where one does, or one that differs from the resource's.
        InvalidIdentityError: A Patient's identifier cannot be right.
    """
    if method == "POST" and resource_id is not None:
        raise BadRequestError("a create names a type, not an id", where=where)
    if method != "POST" and resource_id is None:
        raise BadRequestError(f"a {method} names type and id", where=where)
    if method == "PUT" and view is not None and view.id != resource_id:
        raise BadRequestError("the resource's id is not the one in the URL", where=f"{where}.resource.id".lstrip("."))
    version = None
    if if_match is not None:
        match = _ETAG.fullmatch(if_match.strip())
        if match is None:
            raise BadRequestError('If-Match is a weak entity tag like W/"3"', where=where)
        version = int(match[1])
    return WriteRequest(
        method=method,
        type=resource_type,
        id=resource_id,
        raw=view.raw if view is not None else None,
        if_match=version,
        if_none_exist=if_none_exist,
        full_url=full_url,
        where=where,
        references=tuple(reference_texts(view.raw)) if view is not None else (),
        found=findings_of(view, where=f"{where}.resource" if where else view.type) if view is not None else None,
    )


def refuse_log_writes(card: NodeCard, requests: Sequence[WriteRequest]) -> None:
    """Refuse AuditEvents where the node's own log is read as such.

    Raises:
        UnsupportedInteractionError: One is to be written.
    """
    first = next((request for request in requests if request.type == "AuditEvent"), None)
    if first is not None and not card.may(Power.TAKES_ANYTHING):
        raise UnsupportedInteractionError("a node writes its log itself; AuditEvents are read only", where=first.where)


def read_target(url: str, *, where: str) -> tuple[str, str | None]:
    """Type and id of a relative URL; the id is ``None`` for ``Patient``.

    Raises:
        UnsupportedInteractionError: The URL carries a search (conditional update or delete) or an operation.
        BadRequestError: It is no such URL.
    """
    path = unquote(url).strip("/")
    if "?" in path or "$" in path:
        raise UnsupportedInteractionError("conditional updates, deletes and operations are not offered", where=where)
    resource_type, _, resource_id = path.partition("/")
    if not _TYPE.fullmatch(resource_type) or (resource_id and not _ID.fullmatch(resource_id)):
        raise BadRequestError("the URL is not of the form Type or Type/id", where=where)
    return resource_type, resource_id or None

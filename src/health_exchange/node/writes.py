"""What a facility wants written: requests with their places, and what becomes of each.

A Bundle is only a way to bring several; the single interactions of the FHIR door make the same requests.

Source: FHIR R4, section 3.1.0.11 "batch/transaction".
"""

import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from urllib.parse import unquote

import msgspec

from health_exchange.fhir.bundle import BundleEntry
from health_exchange.fhir.references import reference_texts, references
from health_exchange.fhir.validation import ResourceView
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError
from health_exchange.model.powers import Power
from health_exchange.node.findings import Findings, findings_of
from health_exchange.pseudonym.identities import holds_national_id
from health_exchange.telemetry.trace import LONG_DIGITS

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_ETAG = re.compile(r'(?:W/)?"([0-9]{1,18})"')
_VERBS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CONDITION_CHARACTERS_MAX = 4_000


class BadRequestError(ExchangeError):
    """A request that no FHIR server could carry out."""

    category = Category.INCORRECT
    code = "bad-request"


class IdentityAsIdError(ExchangeError):
    """An id, or a reference to one, that may be a national ID: ids stand beside pseudonyms, in URLs and in logs."""

    category = Category.INCORRECT
    code = "identity-as-id"


class AmbiguousMatchError(ExchangeError):
    """A condition that must find one resource finds several."""

    category = Category.PRECONDITION
    code = "ambiguous-match"


class ConditionMismatchError(ExchangeError):
    """A condition finds another resource than the one whose id was sent."""

    category = Category.INCORRECT
    code = "condition-mismatch"


class UnsupportedInteractionError(ExchangeError):
    """A FHIR interaction that this door does not offer."""

    category = Category.UNSUPPORTED
    code = "unsupported-interaction"


class NotAdmittedHereError(ExchangeError):
    """A write at a node that admits no facilities: elsewhere a resource is changed by its origin alone."""

    category = Category.UNSUPPORTED
    code = "not-admitted-here"


class MetaChange(StrEnum):
    """What an operation does with profiles, tags and labels, by its name."""

    ADD = "$meta-add"
    DELETE = "$meta-delete"


class WriteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One write.

    Attributes:
        method: ``POST`` (create), ``PUT`` (update, also to a new id), ``PATCH`` or ``DELETE``.
        type: Resource type.
        id: The resource's id; ``None`` for a create, and where a condition says which it is.
        raw: The validated resource; ``None`` for a delete and for a patch that is not applied yet.
        if_match: Version that must be current.
        is_new: Whether nothing may be at its place.
        if_none_exist: Search query under which nothing may exist yet.
        condition: Search query that says which resource is meant, where no id does.
        own_id: Id inside the resource of an update that a condition says the place of.
        patch: The JSON Patch, until it is applied.
        meta: Where the patch is a Meta, what is done with it.
        patched: Version that the patch was applied to.
        full_url: How other entries refer to it.
        where: Place in the Bundle, for messages.
        references: Texts of the resource's references, found once.
        found: What else was found in it; ``None`` where there is no resource.
    """

    method: str
    type: str
    id: str | None = None
    raw: bytes | None = None
    if_match: int | None = None
    is_new: bool = False
    if_none_exist: str | None = None
    condition: str | None = None
    own_id: str | None = None
    patch: bytes | None = None
    meta: MetaChange | None = None
    patched: int | None = None
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
        id: The resource's id; empty where a conditional delete has found nothing, or where a conditional create has
            found, or an update written over, something that the caller may not read.
        version: Its version now; 0 where there is none, or as above.
        changed_at: When that version was made; ``None`` where nothing was written.
        held: Why it does not travel yet, in one word of ours; empty where it does.
        is_repeat: Whether it was carried out before, and nothing now: what it has written is read as anything is.
    """

    status: int
    type: str
    id: str
    version: int
    changed_at: datetime | None
    held: str = ""
    is_repeat: bool = False


_RESULTS = msgspec.msgpack.Decoder(list[WriteResult])


def encode_results(results: Sequence[WriteResult]) -> bytes:
    """Results as they are kept, to answer the same request again."""
    return msgspec.msgpack.encode(results)


def decode_results(raw: bytes) -> list[WriteResult]:
    """Results that were kept, of a request that comes again."""
    return [msgspec.structs.replace(each, is_repeat=True) for each in _RESULTS.decode(raw)]


def read_entry(entry: BundleEntry, view: ResourceView | None, patch: bytes | None = None) -> WriteRequest:
    """The write that a Bundle entry asks for.

    Args:
        entry: As split from the Bundle.
        view: Its resource, validated; ``None`` where it has none, or a patch.
        patch: The JSON Patch that its resource holds, where it holds one.

    Raises:
        BadRequestError: The entry's method, URL and resource do not fit each other.
        UnsupportedInteractionError: A method or form of URL that this door does not offer.
    """
    target = read_target(entry.url, where=entry.where)
    if entry.method == "DELETE":
        if view is not None:
            raise BadRequestError("a DELETE carries no resource", where=entry.where)
    elif view is None and patch is None:
        raise MalformedResourceError("the entry carries no resource", where=f"{entry.where}.resource")
    elif view is not None and view.type != target.type:
        raise BadRequestError(f"the URL says {target.type}, the resource is a {view.type}", where=entry.where)
    return make_request(
        method=entry.method,
        target=target,
        view=view,
        patch=patch,
        if_match=entry.if_match,
        if_none_match=entry.if_none_match,
        if_none_exist=entry.if_none_exist,
        full_url=entry.full_url,
        where=entry.where,
    )


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a write's URL names: a type, and an id or a condition where it says which one."""

    type: str
    id: str | None = None
    condition: str | None = None


def make_request(  # noqa: PLR0913  # each is a part of one HTTP request
    *,
    method: str,
    target: Target,
    view: ResourceView | None,
    patch: bytes | None = None,
    if_match: str | None = None,
    if_none_match: str | None = None,
    if_none_exist: str | None = None,
    full_url: str | None = None,
    where: str = "",
) -> WriteRequest:
    """A checked write; ``if_match`` as in HTTP (``W/"3"``), and ``if_none_match`` (``*`` alone).

    Raises:
        BadRequestError: An id where none belongs, none where one does, or one that differs from the resource's.
        IdentityAsIdError: An update's id may be a national ID.
        UnsupportedInteractionError: It is no write that is offered.
        InvalidIdentityError: A Patient's identifier cannot be right.
    """
    _check_target(method, target, where)
    # Only an update gives an id: a create's own is dropped, and what is kept already can be patched and deleted.
    named = [target.id, view.id if view is not None else None] if method == "PUT" else []
    if any(each is not None and may_be_identity(each) for each in named):
        raise IdentityAsIdError("an id must not be what may be a national ID", where=f"{where}.resource.id".lstrip("."))
    by_id = method == "PUT" and target.condition is None
    if by_id and view is not None and view.id != target.id:
        raise BadRequestError("the resource's id is not the one in the URL", where=f"{where}.resource.id".lstrip("."))
    return WriteRequest(
        method=method,
        type=target.type,
        id=target.id,
        raw=view.raw if view is not None else None,
        if_match=_version_in(if_match, where) if if_match is not None else None,
        is_new=_is_any(if_none_match, where) if if_none_match is not None else False,
        if_none_exist=if_none_exist if method == "POST" else None,
        condition=target.condition,
        own_id=view.id if view is not None and method == "PUT" and not by_id else None,
        patch=patch,
        full_url=full_url,
        where=where,
        references=tuple(reference_texts(view.raw)) if view is not None else (),
        found=findings_of(view, where=f"{where}.resource" if where else view.type) if view is not None else None,
    )


def may_be_identity(resource_id: str) -> bool:
    """Whether an id may be a national ID."""
    return LONG_DIGITS.search(resource_id) is not None or holds_national_id(resource_id)


def refuse_log_writes(card: NodeCard, requests: Sequence[WriteRequest]) -> None:
    """Refuse AuditEvents where the node's own log is read as such.

    Raises:
        UnsupportedInteractionError: One is to be written.
    """
    first = next((request for request in requests if request.type == "AuditEvent"), None)
    if first is not None and not card.may(Power.TAKES_ANYTHING):
        raise UnsupportedInteractionError("a node writes its log itself; AuditEvents are read only", where=first.where)


def read_target(url: str, *, where: str) -> Target:
    """What a relative URL names: ``Patient``, ``Patient/1`` or ``Patient?identifier=…``.

    Raises:
        UnsupportedInteractionError: The URL is that of an operation.
        BadRequestError: It is no such URL.
    """
    path, _mark, condition = url.partition("?")
    path = unquote(path).strip("/")
    if "$" in path:
        raise UnsupportedInteractionError("operations are not offered inside a Bundle", where=where)
    resource_type, _, resource_id = path.partition("/")
    if not _TYPE.fullmatch(resource_type) or (resource_id and not _ID.fullmatch(resource_id)):
        raise BadRequestError("the URL is not of the form Type, Type/id or Type?query", where=where)
    if resource_id and condition:
        raise BadRequestError("a URL names an id or a condition, not both", where=where)
    return Target(type=resource_type, id=resource_id or None, condition=condition or None)


def _check_target(method: str, target: Target, where: str) -> None:
    """Check that a write of this kind may have this URL."""
    if method not in _VERBS:
        raise UnsupportedInteractionError(f"{method} writes nothing", where=where)
    if method == "POST" and (target.id is not None or target.condition is not None):
        raise BadRequestError("a create names a type, not an id; its condition is If-None-Exist", where=where)
    if method != "POST" and target.id is None and target.condition is None:
        raise BadRequestError(f"a {method} names type and id, or a condition", where=where)
    if target.condition is not None and len(target.condition) > CONDITION_CHARACTERS_MAX:
        raise BadRequestError(f"a condition has at most {CONDITION_CHARACTERS_MAX} characters", where=where)


def _is_any(if_none_match: str, where: str) -> bool:
    """That a write is for a place where nothing is."""
    if if_none_match.strip() != "*":
        raise BadRequestError("on a write, If-None-Match is * or nothing", where=where)
    return True


def _version_in(if_match: str, where: str) -> int:
    """The version that an entity tag names."""
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise BadRequestError('If-Match is a weak entity tag like W/"3"', where=where)
    return int(match[1])

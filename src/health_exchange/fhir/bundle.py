"""Taking a transaction or batch Bundle apart without touching its resources.

The frame is checked as JSON, everything but the entries' resources; these are handed on as the bytes that arrived and
judged later, one by one, so that nothing is read twice and a batch can fail in part.

Source: FHIR R4, section 2.36 "Resource Bundle" and 3.1.0.11 "batch/transaction".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from health_exchange.fhir.jsonguard import check_json, check_text, decode_json, safe_name
from health_exchange.fhir.limits import DEFAULT, Limits
from health_exchange.fhir.splicing import fields, items, kind_of, text
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError

_BUNDLE = frozenset(
    {"resourceType", "id", "meta", "implicitRules", "language", "identifier", "type", "timestamp", "total", "link"}
    | {"entry", "signature"}
)
_ENTRY = frozenset({"id", "extension", "modifierExtension", "link", "fullUrl", "resource", "search", "request"})
_REQUEST = frozenset({"id", "extension", "modifierExtension", "method", "url", "ifNoneMatch", "ifModifiedSince"}) | {
    "ifMatch",
    "ifNoneExist",
}
_Text = Annotated[str, Meta(min_length=1)]
_ABSENT = Raw(b"")
_HEAD_BYTES = 64
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})


class OversizedBundleError(ExchangeError):
    """More entries than one Bundle may have here."""

    category = Category.TOO_LARGE
    code = "too-many-entries"


class BundleEntry(Struct, frozen=True, kw_only=True):
    """One entry, its resource not looked into.

    Attributes:
        full_url: How other entries refer to it.
        method: HTTP method.
        url: Relative URL.
        if_match: As in HTTP.
        if_none_exist: Search query.
        if_none_match: As in HTTP.
        if_modified_since: An instant.
        raw: The resource as it arrived.
        where: Place of the entry: ``Bundle.entry[3]``.
    """

    full_url: str | None
    method: str
    url: str
    if_match: str | None
    if_none_exist: str | None
    raw: bytes | None
    where: str
    if_none_match: str | None = None
    if_modified_since: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleView:
    """A Bundle taken apart: ``transaction`` or ``batch``, and its entries in order."""

    type: str
    entries: list[BundleEntry]


class _Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What an entry asks for, where it says no more than most do."""

    method: Literal["POST", "PUT", "DELETE"]
    url: _Text
    ifMatch: _Text | UnsetType = UNSET  # noqa: N815  # FHIR's name
    ifNoneExist: _Text | UnsetType = UNSET  # noqa: N815  # FHIR's name


class _Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An entry, where it says no more than most do."""

    fullUrl: _Text | UnsetType = UNSET  # noqa: N815  # FHIR's name
    resource: Raw = _ABSENT
    request: _Request


_PLAIN = msgspec.json.Decoder(list[_Entry])
_ENCODER = msgspec.json.Encoder()


def split_bundle(raw: bytes, limits: Limits = DEFAULT) -> BundleView:
    """The entries of a transaction or batch Bundle.

    Raises:
        MalformedResourceError: The frame is no sound JSON, no such Bundle, or an entry asks for nothing.
        OversizedBundleError: It has more entries than ``limits`` allow.
    """
    check_text(raw)
    members = _members(raw, limits)
    if _text(members, "resourceType", "") != "Bundle":
        raise MalformedResourceError("the body is not a Bundle")
    _refuse_unknown(members, _BUNDLE, "Bundle")
    kind = _text(members, "type", "Bundle")
    if kind not in {"transaction", "batch"}:
        raise MalformedResourceError("only transaction and batch Bundles are carried out", where="Bundle.type")
    own = members.get("entry")
    check_json(_without(raw, [bytes(own)] if own is not None else []), limits)
    split = _entries(own, limits)
    if len(split) > limits.entries:
        raise OversizedBundleError(f"a Bundle has at most {limits.entries} entries", where="Bundle.entry")
    return BundleView(type=kind, entries=split)


def _members(raw: bytes, limits: Limits) -> Mapping[str, Raw]:
    """The Bundle's members, or the best word on why there are none."""
    try:
        return fields(raw)
    except (MalformedResourceError, RecursionError):
        pass
    check_json(raw, limits)
    raise MalformedResourceError("the body is not a Bundle")


def _without(raw: bytes, values: Iterable[bytes]) -> bytes:
    """``raw`` with a digit for each of ``values``.

    The same bytes may stand further ahead, in a member that a later one of the same name hid; then what is left keeps
    the repeated name, which refuses it.
    """
    pieces, position = [], 0
    for value in values:
        at = _find(raw, value, position)
        pieces.append(raw[position:at])
        position = at + len(value)
    return b"0".join([*pieces, raw[position:]])


def _find(raw: bytes, value: bytes, start: int) -> int:
    """Where ``value`` first stands in ``raw``: looked for by how it begins, because it may be nearly as long."""
    head = value[:_HEAD_BYTES]
    at = raw.index(head, start)
    while not raw.startswith(value, at):
        at = raw.index(head, at + 1)
    return at


def _entries(raw: Raw | None, limits: Limits) -> list[BundleEntry]:
    """The entries: at once where they are plain, else one by one, which finds what is wrong."""
    plain = _plain(bytes(raw)) if raw is not None else None
    if raw is None or plain is None:
        split = [_entry(entry, f"Bundle.entry[{at}]") for at, entry in enumerate(_array(raw, "Bundle.entry"))]
        resources = [entry.raw for entry in split if entry.raw is not None]
        decode_json(_without(bytes(raw or b"[]"), resources), limits, where="Bundle.entry")
        return split
    return [
        BundleEntry(
            full_url=entry.fullUrl or None,
            method=entry.request.method,
            url=entry.request.url,
            if_match=entry.request.ifMatch or None,
            if_none_exist=entry.request.ifNoneExist or None,
            raw=bytes(entry.resource) or None,
            where=f"Bundle.entry[{at}]",
        )
        for at, entry in enumerate(plain)
    ]


def _plain(raw: bytes) -> list[_Entry] | None:
    """Entries of which nothing need be said; ``None`` where one is not plain, or a member was lost in reading.

    Every member costs a colon, and the resources are written back as they came (``jsonguard.has_repeated_name``).
    """
    try:
        plain = _PLAIN.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if not plain or any(bytes(entry.resource)[:1] not in {b"", b"{"} for entry in plain):
        return None
    return plain if raw.count(b":") == _ENCODER.encode(plain).count(b":") and rb"\u003" not in raw else None


def _entry(raw: Raw, where: str) -> BundleEntry:
    """One entry, its own members checked."""
    members = _object(raw, where)
    _refuse_unknown(members, _ENTRY, where)
    if "request" not in members:
        raise MalformedResourceError("an entry says what it asks for in request", where=f"{where}.request")
    request = _object(members["request"], f"{where}.request")
    _refuse_unknown(request, _REQUEST, f"{where}.request")
    method, url = _text(request, "method", f"{where}.request"), _text(request, "url", f"{where}.request")
    if not url:
        raise MalformedResourceError("this element is required", where=f"{where}.request.url")
    if method not in _METHODS:
        raise MalformedResourceError("this is not a method of HTTP that FHIR uses", where=f"{where}.request.method")
    resource = members.get("resource")
    if resource is not None:
        _object(resource, f"{where}.resource")
    return BundleEntry(
        full_url=_text(members, "fullUrl", where) or None,
        method=method,
        url=url,
        if_match=_text(request, "ifMatch", f"{where}.request") or None,
        if_none_exist=_text(request, "ifNoneExist", f"{where}.request") or None,
        raw=None if resource is None else bytes(resource),
        where=where,
        if_none_match=_text(request, "ifNoneMatch", f"{where}.request") or None,
        if_modified_since=_text(request, "ifModifiedSince", f"{where}.request") or None,
    )


def _refuse_unknown(members: Mapping[str, Raw], known: frozenset[str], where: str) -> None:
    """Raise at the first member that FHIR does not define here; siblings of primitives are allowed."""
    for name in members:
        if name.removeprefix("_") not in known:
            raise MalformedResourceError("FHIR R4 has no such element here", where=f"{where}.{safe_name(name)}")


def _object(raw: Raw, where: str) -> Mapping[str, Raw]:
    """The members of an object at ``where``."""
    if kind_of(raw) != "{":
        raise MalformedResourceError("this must be an object", where=where)
    return fields(raw)


def _array(raw: Raw | None, where: str) -> list[Raw]:
    """The items of an array at ``where``; none where it is absent."""
    if raw is None:
        return []
    if kind_of(raw) != "[":
        raise MalformedResourceError("this must be an array", where=where)
    entries = items(raw)
    if not entries:
        raise MalformedResourceError("an array must not be empty", where=where)
    return entries


def _text(members: Mapping[str, Raw], name: str, where: str) -> str:
    """A string member; empty where it is absent."""
    value = members.get(name)
    if value is None:
        return ""
    if kind_of(value) != '"' or not (found := text(value)):
        raise MalformedResourceError("this must be a string that is not empty", where=f"{where}.{name}".lstrip("."))
    return found

"""Taking a transaction or batch Bundle apart without touching its resources.

The whole body is checked once as JSON; each entry's resource is then handed on as the bytes that arrived. What the
resources say is judged later and one by one, so that a batch can fail in part.

Source: FHIR R4, section 2.36 "Resource Bundle" and 3.1.0.11 "batch/transaction".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Raw

from health_exchange.fhir.jsonguard import check_json, safe_name
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
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})


class OversizedBundleError(ExchangeError):
    """More entries than one Bundle may have here."""

    category = Category.TOO_LARGE
    code = "too-many-entries"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleEntry:
    """One entry, its resource not looked into.

    Attributes:
        full_url: How other entries refer to it.
        method: HTTP method.
        url: Relative URL.
        if_match: As in HTTP.
        if_none_exist: Search query.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleView:
    """A Bundle taken apart: ``transaction`` or ``batch``, and its entries in order."""

    type: str
    entries: list[BundleEntry]


def split_bundle(raw: bytes, limits: Limits = DEFAULT) -> BundleView:
    """The entries of a transaction or batch Bundle.

    Raises:
        MalformedResourceError: Not sound JSON, no such Bundle, or an entry that asks for nothing.
        OversizedBundleError: It has more entries than ``limits`` allow.
    """
    check_json(raw, limits)
    members = fields(raw)
    if _text(members, "resourceType", "") != "Bundle":
        raise MalformedResourceError("the body is not a Bundle")
    _refuse_unknown(members, _BUNDLE, "Bundle")
    kind = _text(members, "type", "Bundle")
    if kind not in {"transaction", "batch"}:
        raise MalformedResourceError("only transaction and batch Bundles are carried out", where="Bundle.type")
    entries = _array(members.get("entry"), "Bundle.entry")
    if len(entries) > limits.entries:
        raise OversizedBundleError(f"a Bundle has at most {limits.entries} entries", where="Bundle.entry")
    return BundleView(type=kind, entries=[_entry(entry, f"Bundle.entry[{at}]") for at, entry in enumerate(entries)])


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

"""References inside a resource: finding them, and rewriting them without touching any other byte.

A *reference* is the member ``reference`` of a FHIR Reference; ``Expression.reference`` is a uri and none. In a
transaction a urn of another entry may also stand in an element of type uri, url, canonical, oid or uuid; these are
rewritten alike but are no references.

Source: FHIR R4, sections 2.3.0 "References" and 3.1.0.11.2 "Transaction processing rules".
"""

import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import cast

import msgspec
from msgspec import Raw

from health_exchange.fhir.splicing import JsonBytes, fields, items, join_array, join_object, kind_of, quote, text

Mapping = Callable[[str], str | None]
"""What a text becomes; ``None`` leaves it."""

_OF_REFERENCE = frozenset(
    {"reference", "type", "identifier", "display", "id", "extension", "_reference", "_type", "_display", "_id"}
)
_NOT_REFERENCES = frozenset({"education"})
"""Elements with a ``reference`` of type uri whose object may look like a Reference (Immunization.education)."""
_URI_NAMES = ("valueUri", "valueUrl", "valueUuid", "valueOid", "valueCanonical", "url", "uri", "instantiatesUri",
    "instantiatesCanonical", "definitionUri", "definitionCanonical", "policy", "protocol", "questionnaire", "measure",
    "sourceUri", "targetUri", "definition", "source")  # fmt: skip
_URIS = frozenset(_URI_NAMES)
_STRING = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_PLAIN = re.compile(
    rb'(?<!\\)"(reference|' + b"|".join(name.encode() for name in _URI_NAMES) + rb')"(\s*:\s*)' + _STRING, re.DOTALL
)
_NAME = b'"reference"'
_VALUE = re.compile(rb"(\s*:\s*)" + _STRING, re.DOTALL)
_WHITESPACE = b" \t\r\n"
_TEXT = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def is_reference(names: AbstractSet[str], element: str) -> bool:
    """Whether an object whose ``reference`` is a text is a FHIR Reference.

    Args:
        names: Of its members.
        element: What it, or the list that it is in, stands under.
    """
    return names <= _OF_REFERENCE and element not in _NOT_REFERENCES


def references(decoded: object) -> list[tuple[str, str]]:
    """Paths and texts of all references, in order: ``("performer[0].reference", "Practitioner/1")``."""
    return list(_found(decoded, "", ""))


def reference_texts(raw: bytes) -> list[str]:
    """Texts of all references of a validated resource, without repetition; their paths cost ten times as much."""
    if _needs_care(raw):
        return list(dict.fromkeys(text for _path, text in references(_ANY.decode(raw))))
    found = [_text_after_name(rest)[0] for rest in raw.split(_NAME)[1:]]
    return [text for text in dict.fromkeys(found) if text is not None]


def rewrite_references(raw: bytes, mapping: Mapping) -> bytes:
    """``raw`` with each reference replaced by what ``mapping`` says; all other bytes untouched.

    Args:
        raw: A resource that was validated.
        mapping: Asked for every reference, and for a uri that begins with ``urn:uuid:`` or ``urn:oid:``.
    """
    if _needs_care(raw):
        return _rewritten(raw, mapping)
    urns = raw.count(b'"urn:')
    head, *rests = raw.split(_NAME)
    pieces = [head]
    for rest in rests:
        value, start, end = _text_after_name(rest)
        if value is not None:
            urns -= value.startswith("urn:")
            if (new := mapping(value)) is not None:
                rest = rest[:start] + quote(new) + rest[end:]  # noqa: PLW2901  # its value alone changes
        pieces.append(rest)
    # Urns that are neither references nor systems may be uris.
    if not urns or urns == raw.count(b'"system":"urn:'):
        return _NAME.join(pieces)
    if any(before.rstrip(_WHITESPACE).endswith(b"[") for before in raw.split(b'"urn:')[:-1]):
        return _rewritten(raw, mapping)
    return _PLAIN.sub(lambda match: _replaced(match, mapping), raw)


def set_identity(raw: bytes, *, id: str, version: int, last_updated: str, source: str | None = None) -> bytes:  # noqa: A002  # FHIR's word
    """The resource under this id and version, its members in their order; of ``meta`` only what is set here changes.

    Args:
        raw: A resource that was validated.
        id: Its id here.
        version: Becomes ``meta.versionId``.
        last_updated: Text of an instant.
        source: Becomes ``meta.source``; the sender's stays where this is ``None``.
    """
    members: dict[str, object] = {**fields(raw)}
    meta: dict[str, object] = {**fields(cast("Raw", members["meta"]))} if "meta" in members else {}
    meta.pop("_versionId", None)
    meta.pop("_lastUpdated", None)
    meta |= {"versionId": str(version), "lastUpdated": last_updated}
    if source is not None:
        meta["source"] = source
        meta.pop("_source", None)
    own = {"id": id, "meta": meta}
    members.pop("_id", None)
    if own.keys() <= members.keys():
        return _ENCODER.encode(members | own)
    # Where they stand already, or else as early as they may, so that all other members keep their order.
    head: dict[str, object] = {"resourceType": b""} if next(iter(members), "") == "resourceType" else {}
    head |= {name: b"" for name in own if name not in members}
    return _ENCODER.encode(head | members | own)


def _found(value: object, path: str, element: str) -> Iterator[tuple[str, str]]:
    """References at and below ``value``, which is (an item of) the member ``element``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str):
                if name == "reference" and is_reference(value.keys(), element):
                    yield f"{path}.reference" if path else "reference", inner
            elif isinstance(inner, (dict, list)):
                yield from _found(inner, f"{path}.{name}" if path else name, name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, (dict, list)):
                yield from _found(inner, f"{path}[{index}]", element)


def _needs_care(raw: bytes) -> bool:
    """Whether the structure decides which are references: an escaped letter in a name, an Expression.

    An Expression, whatever the element is called, has a language or extensions of it. All else is found in the bytes.
    """
    return (
        (b"\\" in raw and rb"\u00" in raw) or b'language"' in raw or b'"education"' in raw or b'"DetectedIssue"' in raw
    )


def _text_after_name(rest: bytes) -> tuple[str | None, int, int]:
    """The text that follows a member's name, and where it begins and ends; ``None`` where no text does."""
    if rest.startswith(b':"'):
        end = rest.find(b'"', 2)
        characters = rest[2:end]
        if b"\\" not in characters:
            return characters.decode(), 1, end + 1
    match = _VALUE.match(rest)
    return (_read(match[2]), match.end(1), match.end()) if match else (None, 0, 0)


def _replaced(match: re.Match[bytes], mapping: Mapping) -> bytes:
    """One occurrence, rewritten."""
    name, colon, characters = match.groups()
    value = _read(characters)
    if name != b"reference" and not _is_urn(value):
        return match[0]
    new = mapping(value)
    return match[0] if new is None or new == value else b'"' + name + b'"' + colon + quote(new)


def _read(characters: bytes) -> str:
    """The text of a string without its quotation marks."""
    return _TEXT.decode(b'"' + characters + b'"') if b"\\" in characters else characters.decode()


def _rewritten(raw: JsonBytes, mapping: Mapping, *, name: str = "", refers: bool = False) -> bytes:
    """Any JSON value, rewritten by its structure; the very bytes where nothing below changes."""
    kind = kind_of(raw)
    if kind == "{":
        members = fields(raw)
        own = is_reference(members.keys(), name)
        new = {
            inner: _rewritten(value, mapping, name=inner, refers=own and inner == "reference")
            for inner, value in members.items()
        }
        changed = any(new[inner] != bytes(value) for inner, value in members.items())
        return join_object(new) if changed else bytes(raw)
    if kind == "[":
        values = items(raw)
        rewritten = [_rewritten(value, mapping, name=name) for value in values]
        changed = any(after != bytes(before) for after, before in zip(rewritten, values, strict=True))
        return join_array(rewritten) if changed else bytes(raw)
    if kind == '"' and (refers or (name in _URIS and _is_urn(text(raw)))):
        value = text(raw)
        replacement = mapping(value)
        return bytes(raw) if replacement is None or replacement == value else quote(replacement)
    return bytes(raw)


def _is_urn(value: str) -> bool:
    """Whether a uri may be the fullUrl of another entry of the transaction."""
    return value.startswith(("urn:uuid:", "urn:oid:"))

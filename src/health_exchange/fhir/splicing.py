"""Byte-exact cutting and joining of JSON.

A JSON object is taken apart into its members with every value still the bytes that arrived, and put together again
from such bytes. Whatever a caller does not name keeps its bytes: ``1.50`` stays ``1.50`` and an instant keeps its
offset, because no value is ever read as a number or a time and written again.

Invariants: only whitespace *between* the members of an object that is joined anew may be lost. The input is JSON that
``jsonguard.check_json`` accepted; text that is no object (or no array) raises ``MalformedResourceError`` without
quoting any of it.
"""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Raw

from health_exchange.model.errors import MalformedResourceError

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()

_WHITESPACE = b" \t\n\r"
_QUOTED: dict[str, bytes] = {}
_QUOTED_MAX = 4096

JsonBytes = bytes | Raw
"""The exact bytes of one JSON value."""


def fields(raw: JsonBytes) -> dict[str, Raw]:
    """The members of an object in their order, each value as its bytes.

    Raises:
        MalformedResourceError: ``raw`` is not a JSON object.
    """
    try:
        return _FIELDS.decode(raw)
    except msgspec.DecodeError:
        pass
    raise MalformedResourceError("expected a JSON object")


def items(raw: JsonBytes) -> list[Raw]:
    """The items of an array in their order, each as its bytes.

    Raises:
        MalformedResourceError: ``raw`` is not a JSON array.
    """
    try:
        return _ITEMS.decode(raw)
    except msgspec.DecodeError:
        pass
    raise MalformedResourceError("expected a JSON array")


def text(raw: JsonBytes) -> str:
    """The characters of a JSON string.

    Raises:
        MalformedResourceError: ``raw`` is not a JSON string.
    """
    try:
        return _TEXT.decode(raw)
    except msgspec.DecodeError:
        pass
    raise MalformedResourceError("expected a JSON string")


def quote(characters: str) -> bytes:
    """``characters`` as a JSON string."""
    return _ENCODER.encode(characters)


def kind_of(raw: JsonBytes) -> str:
    """The first character of a value: ``{``, ``[``, ``"``, ``t``, ``f``, ``n``, ``-`` or a digit; empty if none."""
    return bytes(raw).lstrip(_WHITESPACE)[:1].decode("ascii", "replace")


def join_object(members: Mapping[str, JsonBytes] | Iterable[tuple[str, JsonBytes]]) -> bytes:
    """An object of these members, in this order, each value byte for byte."""
    pairs = members.items() if isinstance(members, Mapping) else members
    quoted = _QUOTED
    return b"{" + b",".join([(quoted.get(name) or _name(name)) + value for name, value in pairs]) + b"}"


def join_array(values: Iterable[JsonBytes]) -> bytes:
    """An array of these values, in this order, byte for byte."""
    return b"[" + b",".join(values) + b"]"


def _name(name: str) -> bytes:
    """A member's name with its colon. Remembered, up to a bound: FHIR has few names, an attacker has many."""
    quoted = _ENCODER.encode(name) + b":"
    if len(_QUOTED) < _QUOTED_MAX:
        _QUOTED[name] = quoted
    return quoted

"""The door's first look at bytes: are they JSON that means the same to everyone who reads it?

UTF-8, well-formed, bounded in depth, and no object with the same name twice: of two equal names one reader takes the
first and another the last, so what was checked is not what is used.

No message repeats anything of the text but names that look like those of FHIR elements.

Source: RFC 8259, sections 4 and 8.1; FHIR R4, section 2.6.2 "JSON Representation of Resources".
"""

import json
import re
from collections.abc import Iterator

import msgspec

from health_exchange.fhir.limits import DEFAULT, Limits
from health_exchange.model.errors import MalformedResourceError

_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_NEITHER_BRACKETS_NOR_QUOTES = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_NAME = re.compile(r"_?[A-Za-z](?:[A-Za-z]|64){0,60}")


def check_json(raw: bytes, limits: Limits = DEFAULT) -> None:
    """Check that ``raw`` is JSON that every reader understands alike.

    Raises:
        MalformedResourceError: As :func:`decode_json`.
    """
    decode_json(raw, limits)


def decode_json(raw: bytes, limits: Limits = DEFAULT, *, where: str = "") -> object:
    """The value of ``raw``, checked.

    Args:
        raw: Untrusted.
        limits: Bound on depth.
        where: Place of ``raw`` in a larger body, for messages.

    Raises:
        MalformedResourceError: Not UTF-8, not JSON, too deep, a number no double can hold, or a repeated name (then
            ``where`` is its place).
    """
    decoded = _decoded(raw, where)
    check_depth(raw, limits.depth, where=where)
    if has_repeated_name(raw, decoded):
        raise MalformedResourceError("a name stands twice in one object", where=_repeated_at(raw, where))
    return decoded


def check_text(raw: bytes, *, where: str = "") -> None:
    """Check that ``raw`` is UTF-8.

    Raises:
        MalformedResourceError: It is not.
    """
    try:
        if not raw.isascii():
            raw.decode("utf-8")
    except UnicodeError:
        pass
    else:
        return
    raise MalformedResourceError("the text is not UTF-8", where=where)


def check_depth(raw: bytes, depth: int, *, where: str = "") -> None:
    """Check the nesting of well-formed JSON.

    Without its strings JSON is brackets; taking away all empty pairs at once lowers the nesting by exactly one.

    Raises:
        MalformedResourceError: More than ``depth`` objects and arrays stand inside one another.
    """
    if raw.count(b"{") + raw.count(b"[") <= depth:
        return
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = raw.translate(_BRACKETS, _NEITHER_BRACKETS_NOR_QUOTES).replace(b'""', b"")
    # What stands between an odd quotation mark and the next one is a string; most held no bracket and are gone.
    brackets = b"".join(marks.split(b'"')[::2])
    for _level in range(depth):
        brackets = brackets.replace(b"()", b"")
        if not brackets:
            return
    raise MalformedResourceError(f"more than {depth} objects and arrays stand inside one another", where=where)


def has_repeated_name(raw: bytes, decoded: object) -> bool:
    """Whether decoding lost a member.

    Every member costs at least its colon, and colons inside strings are written as they are unless escaped: where the
    text has as many as its value written anew, nothing was lost. Most texts are what is written anew.
    """
    if b"\\" not in raw or rb"\u003" not in raw:
        anew = _ENCODER.encode(decoded)
        return anew != raw and raw.count(b":") != anew.count(b":")
    return any(True for _ in _repeated(json.loads(raw, object_pairs_hook=_Members, parse_int=len, parse_float=len), ""))


def safe_name(name: str) -> str:
    """A member's name as it may stand in a message: as it is, where it looks like an element's, else a mark."""
    return name if _NAME.fullmatch(name) else "?"


def root_name(decoded: object, where: str) -> str:
    """How paths inside a resource begin: with its place in the Bundle, else with its type."""
    if where:
        return where
    resource_type = decoded.get("resourceType") if isinstance(decoded, dict) else None
    return safe_name(resource_type) if isinstance(resource_type, str) else ""


def _decoded(raw: bytes, where: str) -> object:
    """The value, or why there is none; the foreign error is gone before ours is raised."""
    check_text(raw, where=where)
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, ValueError):
        detail = "the text is not JSON, or it is cut off"
    except RecursionError:
        detail = "too many objects and arrays stand inside one another"
    raise MalformedResourceError(detail, where=where)


class _Members(dict[str, object]):
    """An object that remembers which of its names were given twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.repeated = ""
        if len(self) != len(pairs):
            seen: set[str] = set()
            self.repeated = next(name for name, _value in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # adds and goes on


def _repeated_at(raw: bytes, where: str) -> str:
    """Where the first repeated name stands."""
    value = json.loads(raw, object_pairs_hook=_Members, parse_int=len, parse_float=len)
    return next(_repeated(value, root_name(value, where)), where)


def _repeated(value: object, where: str) -> Iterator[str]:
    """Places of repeated names at and below ``value``; the order is that of the text."""
    if isinstance(value, _Members):
        if value.repeated:
            yield f"{where}.{safe_name(value.repeated)}".lstrip(".")
        for name, inner in value.items():
            yield from _repeated(inner, f"{where}.{safe_name(name)}".lstrip("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _repeated(inner, f"{where}[{index}]")

"""What every line of a piece of work has in common: its request id, its envelope, the node it is done at.

Bound where the work begins (a door, a turn), it follows the work through whatever it awaits; ``events`` adds it to each
line, and transports carry the request id to the peers that the work asks.
"""

import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import MappingProxyType

from health_exchange.model.identifiers import RequestId

FieldValue = str | int | float | bool | None

_BOUND: ContextVar[Mapping[str, FieldValue]] = ContextVar("bound", default=MappingProxyType({}))
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
ID_BYTES, IDS_AT_ONCE = 16, 256
_RANDOM: list[bytes] = []
"""Drawn for the next ids: the system is not asked for each."""
LONG_DIGITS = re.compile(r"[0-9]{17}[0-9Xx]|[0-9]{15}")
"""What may be a national ID, so stands in no line."""


class _Bound:
    """What :func:`bound` gives; no generator, because every request has one."""

    __slots__ = ("_fields", "_token")

    def __init__(self, fields: Mapping[str, FieldValue]) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _BOUND.set({**_BOUND.get(), **self._fields})

    def __exit__(self, *_error: object) -> None:
        _BOUND.reset(self._token)


def bound(**fields: FieldValue) -> AbstractContextManager[None]:
    """Every line that is written inside carries ``fields`` too."""
    return _Bound(fields)


def note(**fields: FieldValue) -> None:
    """Every further line of the work in hand carries ``fields`` too, until what bound it last ends."""
    _BOUND.set({**_BOUND.get(), **fields})


def bound_fields() -> Mapping[str, FieldValue]:
    """What is bound here and now."""
    return _BOUND.get()


def current_request_id() -> RequestId:
    """The request id that this work is done under; a new one where there is none."""
    known = _BOUND.get().get("request_id")
    return RequestId(known) if isinstance(known, str) else new_request_id()


def new_request_id() -> RequestId:
    """A request id nobody has used."""
    try:
        random = _RANDOM.pop()
    except IndexError:
        many = os.urandom(ID_BYTES * IDS_AT_ONCE)
        _RANDOM.extend(many[start : start + ID_BYTES] for start in range(0, len(many), ID_BYTES))
        random = _RANDOM.pop()
    drawn = random.hex()
    # Version 4 of the variant of RFC 9562, written out: the library's class takes six times as long.
    variant = "89ab"[int(drawn[16], 16) & 3]
    return RequestId(f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}")


def accepted_request_id(given: str) -> RequestId:
    """What a client or peer calls its request, where that may stand in logs; else a new id."""
    return RequestId(given) if is_request_id(given) else new_request_id()


def is_request_id(text: str) -> bool:
    """Whether ``text`` may stand in logs as the name of a request."""
    return _REQUEST_ID.fullmatch(text) is not None and LONG_DIGITS.search(text) is None

"""Sections read back, and garbage in them is an error with a name."""

from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.protocol.entries import (
    PLAIN_BYTES_MAX,
    Locator,
    MalformedSectionError,
    RecordEntry,
    decode_entries,
    decode_locators,
    encode_entries,
    encode_locators,
)

P = Pseudonym("a" * 26)
Q = Pseudonym("b" * 26)
X = ExchangeId("c" * 26)
PUT = RecordEntry(op="put", type="Condition", id=X, version=3, pseudonym=P, sensitivity=3, body=b'{"v":1.50}')


def test_the_four_kinds_of_entry_read_back() -> None:
    entries = [
        PUT,
        RecordEntry(op="delete", type="Condition", id=X, version=4, pseudonym=P, sensitivity=3),
        RecordEntry(op="reassign", type="Condition", id=X, version=5, pseudonym=Q, previous=P, sensitivity=3),
        RecordEntry(op="shred", pseudonym=P),
    ]

    assert decode_entries(encode_entries(entries)) == entries


def test_locators_read_back_and_say_a_pseudonym_and_a_consent_only() -> None:
    assert decode_locators(encode_locators([Locator(pseudonym=P)])) == [Locator(pseudonym=P)]
    told = Locator(pseudonym=P, consent="deny:HIV")
    assert decode_locators(encode_locators([told])) == [told]
    assert Locator.__struct_fields__ == ("pseudonym", "withdrawn", "consent")


@pytest.mark.parametrize(
    "change",
    [
        {"op": "steal"},
        {"body": None},
        {"op": "delete"},
        {"type": "condition"},
        {"id": "short"},
        {"version": 0},
        {"sensitivity": 6},
        {"pseudonym": "3301"},
        {"previous": Q},
        {"op": "shred", "body": None},
        {"more": 1},
        {"category": "x" * 65},
    ],
    ids=str,
)
def test_what_no_origin_may_say_is_refused(change: dict[str, Any]) -> None:
    plain = msgspec.msgpack.encode([msgspec.to_builtins(PUT, builtin_types=(bytes,)) | change])

    with pytest.raises(MalformedSectionError) as caught:
        decode_entries(zstandard.compress(plain))
    assert caught.value.__context__ is None


@given(raw=st.binary(max_size=100))
def test_garbage_is_a_malformed_section(raw: bytes) -> None:
    for attempt in (raw, zstandard.compress(raw)):
        with pytest.raises(MalformedSectionError):
            decode_entries(attempt + b"x")


def test_a_bomb_is_not_expanded() -> None:
    bomb = zstandard.compress(bytes(PLAIN_BYTES_MAX + 1))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    deep = zstandard.compress(b"\x91" * 1_000_000)
    wide = zstandard.compress(b"\xdd\xff\xff\xff\xff")
    for raw in (bomb, unsized, deep, wide):
        with pytest.raises(MalformedSectionError):
            decode_entries(raw)


def test_an_entry_does_not_show_whose_it_is() -> None:
    assert P not in repr(PUT)
    assert P not in repr(Locator(pseudonym=P))

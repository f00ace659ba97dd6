"""An entry has one byte string, and its commitment tells nothing without the salt."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.logs import entry

from health_exchange.audit.entries import Facts, UnreadableEntryError, commitment, decode_entry, encode_entry


def test_what_is_encoded_reads_back() -> None:
    assert decode_entry(encode_entry(entry(1))) == entry(1)


def test_an_entry_without_facts_has_the_bytes_that_it_had_before_there_were_any() -> None:
    assert encode_entry(entry(1)) == (
        b'{"kind":"read","at":"2026-11-24T08:00:01+00:00","node":"cn/33","action":"read","outcome":"allowed",'
        b'"principal":"viewer-1","principal_kind":"viewer","organization":"","purpose":"TREAT","reason":"","policy":"",'
        b'"subjects":[],"summary":"","request_id":"","peer":""}'
    )


def test_what_a_refusal_was_decided_on_reads_back() -> None:
    facts = Facts(
        address="cn/33",
        tier="",
        type="Condition",
        sensitivity=5,
        category="HIV",
        jurisdiction="cn/33/3305/330521",
        consent="deny:PSY",
        reasoned=False,
        policies=("a", "b"),
    )
    refused = msgspec.structs.replace(entry(1), facts=facts)

    assert decode_entry(encode_entry(refused)).facts == facts


@given(raw=st.binary(max_size=100))
def test_other_bytes_are_no_entry(raw: bytes) -> None:
    with pytest.raises(UnreadableEntryError):
        decode_entry(raw)


def test_another_spelling_of_the_same_entry_is_refused() -> None:
    with pytest.raises(UnreadableEntryError):
        decode_entry(encode_entry(entry(1)).replace(b":", b": ", 1))


def test_commitments_of_one_entry_differ_by_salt() -> None:
    raw = encode_entry(entry(1))

    assert commitment(raw, b"a" * 32) != commitment(raw, b"b" * 32)

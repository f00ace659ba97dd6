"""An entry has one byte string, and its commitment tells nothing without the salt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.logs import entry

from health_exchange.audit.entries import UnreadableEntryError, commitment, decode_entry, encode_entry


def test_what_is_encoded_reads_back() -> None:
    assert decode_entry(encode_entry(entry(1))) == entry(1)


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

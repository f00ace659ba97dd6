"""Padding hides sizes and comes off again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.protocol.padding import FLOOR_BYTES, pad, padme, unpad


@pytest.mark.parametrize(
    ("length", "padded"), [(0, 0), (1, 1), (8, 8), (9, 10), (100, 104), (1000, 1024), (1025, 1088)]
)
def test_padme_gives_the_sizes_of_the_paper(length: int, padded: int) -> None:
    assert padme(length) == padded


@given(length=st.integers(2, 1 << 40))
def test_padding_costs_at_most_twelve_percent(length: int) -> None:
    assert length <= padme(length) <= length * 1.12


@given(plaintext=st.binary(max_size=3000))
def test_what_is_padded_comes_back(plaintext: bytes) -> None:
    assert unpad(pad(plaintext)) == plaintext
    assert len(pad(plaintext)) >= FLOOR_BYTES


@given(garbage=st.binary(max_size=1100))
def test_foreign_padding_is_refused(garbage: bytes) -> None:
    with pytest.raises(ValueError, match="padding"):
        unpad(garbage + b"x")

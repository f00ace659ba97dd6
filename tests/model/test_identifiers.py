"""Ids that are made here are UUIDs in the order in which they are made."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.identifiers import UUID_RANDOM_BYTES, uuid_at

AT = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
"""Of RFC 9562, appendix A.6."""


def test_the_published_example_comes_out() -> None:
    assert uuid_at(AT, bytes.fromhex("cc318c4dc0c0c07398f0")) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.binary(min_size=UUID_RANDOM_BYTES, max_size=UUID_RANDOM_BYTES), st.integers(0, 1 << 40))
def test_whatever_is_random_it_is_a_uuid_and_later_ones_sort_later(random: bytes, ms: int) -> None:
    first, later = (uuid_at(AT + timedelta(milliseconds=each), random) for each in (ms, ms + 1))
    assert (str(UUID(first)), UUID(first).version, UUID(first).variant) == (first, 7, UUID(later).variant)
    assert first < later


def test_two_of_one_instant_differ_by_their_random_bits() -> None:
    assert uuid_at(AT, bytes(UUID_RANDOM_BYTES)) != uuid_at(AT, bytes(UUID_RANDOM_BYTES - 2) + b"\x01\x00")

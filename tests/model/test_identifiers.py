"""Ids that are made here are UUIDs, and those that are made together stand together."""

from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.identifiers import TOGETHER_BYTES, UUID_RANDOM_BYTES, uuid_among

own = st.binary(min_size=UUID_RANDOM_BYTES, max_size=UUID_RANDOM_BYTES)


def test_the_published_example_comes_out() -> None:
    # RFC 9562, appendix B.1.
    made = uuid_among(bytes.fromhex("2489E9AD2EE2"), bytes.fromhex("E000EC932D5F69181C00"))
    assert made == "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0"


@given(st.binary(min_size=TOGETHER_BYTES, max_size=TOGETHER_BYTES), own, own)
def test_whatever_is_random_it_is_a_uuid_and_what_is_made_together_begins_alike(
    together: bytes, one: bytes, other: bytes
) -> None:
    made = uuid_among(together, one)
    assert (str(UUID(made)), UUID(made).version, UUID(made).variant) == (made, 8, RFC_4122)
    assert uuid_among(together, other)[:13] == made[:13]


def test_each_random_bit_but_six_makes_another() -> None:
    bits = [(1 << bit).to_bytes(UUID_RANDOM_BYTES) for bit in range(8 * UUID_RANDOM_BYTES)]
    assert len({uuid_among(bytes(TOGETHER_BYTES), each) for each in bits}) == 74 + 1

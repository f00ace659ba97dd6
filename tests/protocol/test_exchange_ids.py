"""Exchange ids: stable, keyed, of one shape."""

import re

from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.secrecy import Secret
from health_exchange.protocol.exchange_ids import exchange_id

KEY = Secret(bytes(32))


@given(resource_id=st.text(max_size=64))
def test_an_exchange_id_is_26_characters_and_always_the_same(resource_id: str) -> None:
    made = exchange_id(KEY, "Patient", resource_id)

    assert re.fullmatch(r"[a-z2-7]{26}", made)
    assert made == exchange_id(KEY, "Patient", resource_id)


def test_type_id_and_key_all_matter() -> None:
    made = {
        exchange_id(KEY, "Patient", "1"),
        exchange_id(KEY, "Patient", "2"),
        exchange_id(KEY, "Condition", "1"),
        exchange_id(Secret(b"k" * 32), "Patient", "1"),
    }

    assert len(made) == 4

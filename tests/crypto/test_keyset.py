"""A key file reads back, and a broken one says nothing of its content."""

from random import Random

import pytest

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import MalformedKeyError

KEYS = NodeKeys.generate(Random(1).randbytes)


def test_a_key_file_reads_back() -> None:
    again = NodeKeys.from_json(KEYS.to_json())

    assert again.to_json() == KEYS.to_json()
    assert again.signing.public == KEYS.signing.public
    assert again.box.public_raw == KEYS.box.public_raw


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b'{"signing": "c2VjcmV0"}', KEYS.to_json().replace(b"=", b"", 1)])
def test_a_broken_key_file_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(MalformedKeyError) as caught:
        NodeKeys.from_json(raw)

    assert caught.value.__context__ is None
    assert "c2VjcmV0" not in str(caught.value)


def test_the_set_shows_no_key() -> None:
    shown = repr(KEYS)

    assert "Secret(32 bytes)" in shown
    assert repr(KEYS.at_rest.raw) not in shown

"""A wrap opens for its recipient, bound to what it was made for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.boxes import OVERHEAD_BYTES, BoxKeys, unwrap, wrap_to
from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.crypto.signatures import MalformedKeyError
from health_exchange.model.secrecy import Secret

BOX = BoxKeys.from_seed(Secret(bytes(range(96))))
STRANGER = BoxKeys.from_seed(Secret(bytes(96)))
KEY = Secret(b"k" * 32)


def test_the_recipient_opens_what_was_wrapped() -> None:
    wrapped = wrap_to(BOX.public_raw, KEY, info=b"here")

    assert unwrap(BOX, wrapped, info=b"here") == KEY
    assert len(wrapped) == len(KEY.raw) + OVERHEAD_BYTES


def test_neither_a_stranger_nor_another_binding_opens_it() -> None:
    wrapped = wrap_to(BOX.public_raw, KEY, info=b"here")
    for keys, info in ((STRANGER, b"here"), (BOX, b"there")):
        with pytest.raises(SealBrokenError):
            unwrap(keys, wrapped, info=info)


@given(garbage=st.binary(max_size=1400))
def test_garbage_is_a_broken_seal(garbage: bytes) -> None:
    with pytest.raises(SealBrokenError):
        unwrap(BOX, garbage, info=b"")


@pytest.mark.parametrize("raw", [b"", b"\xff" * 1216, bytes(1216)], ids=["empty", "no-field-elements", "zero-point"])
def test_nothing_is_wrapped_to_what_is_no_key(raw: bytes) -> None:
    with pytest.raises(MalformedKeyError):
        wrap_to(raw, KEY, info=b"")
    with pytest.raises(MalformedKeyError):
        BoxKeys.from_seed(Secret(raw[:5]))

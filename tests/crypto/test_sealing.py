"""What is sealed opens only whole, under its key and what it was bound to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal, unwrap_key, wrap_key
from health_exchange.model.secrecy import Secret

KEY = Secret(bytes(range(32)))
NONCE = bytes(12)


@given(plaintext=st.binary(max_size=200), aad=st.binary(max_size=20))
def test_what_is_sealed_opens_again(plaintext: bytes, aad: bytes) -> None:
    assert open_sealed(KEY, seal(KEY, plaintext, aad=aad, nonce=NONCE), aad=aad) == plaintext


@given(position=st.integers(0, 12 + 7 + 16 - 1), flip=st.integers(1, 255))
def test_any_changed_byte_breaks_the_seal(position: int, flip: int) -> None:
    sealed = bytearray(seal(KEY, b"content", aad=b"", nonce=NONCE))
    sealed[position] ^= flip

    with pytest.raises(SealBrokenError):
        open_sealed(KEY, bytes(sealed), aad=b"")


@given(garbage=st.binary(max_size=80))
def test_garbage_is_a_broken_seal_and_nothing_worse(garbage: bytes) -> None:
    with pytest.raises(SealBrokenError):
        open_sealed(KEY, garbage, aad=b"")
    with pytest.raises(SealBrokenError):
        unwrap_key(KEY, garbage)


def test_another_binding_does_not_open() -> None:
    with pytest.raises(SealBrokenError):
        open_sealed(KEY, seal(KEY, b"content", aad=b"a", nonce=NONCE), aad=b"b")


def test_key_wrap_follows_rfc_3394_section_4_6() -> None:
    kek = Secret(bytes.fromhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"))
    key = Secret(bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"))
    wrapped = wrap_key(kek, key)

    assert wrapped.hex() == "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"
    assert unwrap_key(kek, wrapped) == key

"""Both halves of a hybrid signature must hold, under the context they were made for."""

import pytest

from health_exchange.crypto.signatures import (
    ED25519_SIGNATURE_BYTES,
    SIGNATURE_BYTES,
    MalformedKeyError,
    SignatureMismatchError,
    SigningKeys,
    VerifyingKeys,
    ed25519_public,
    sign,
    sign_ed25519,
    verify,
    verify_ed25519,
)
from health_exchange.model.secrecy import Secret

KEYS = SigningKeys.from_seed(Secret(bytes(range(64))))
OTHER = SigningKeys.from_seed(Secret(bytes(64)))


def test_what_is_signed_verifies_with_the_published_key() -> None:
    signature = sign(KEYS, b"message", context=b"test")

    verify(VerifyingKeys.from_bytes(KEYS.public.raw), b"message", signature, context=b"test")
    assert len(signature) == SIGNATURE_BYTES


@pytest.mark.parametrize("position", [0, ED25519_SIGNATURE_BYTES - 1, ED25519_SIGNATURE_BYTES, SIGNATURE_BYTES - 1])
def test_a_changed_byte_in_either_half_is_found(position: int) -> None:
    signature = bytearray(sign(KEYS, b"message", context=b"test"))
    signature[position] ^= 1

    with pytest.raises(SignatureMismatchError):
        verify(KEYS.public, b"message", bytes(signature), context=b"test")


def test_one_good_half_is_not_enough() -> None:
    ours, theirs = sign(KEYS, b"m", context=b"t"), sign(OTHER, b"m", context=b"t")
    for mixed in (
        ours[:ED25519_SIGNATURE_BYTES] + theirs[ED25519_SIGNATURE_BYTES:],
        theirs[:ED25519_SIGNATURE_BYTES] + ours[ED25519_SIGNATURE_BYTES:],
    ):
        with pytest.raises(SignatureMismatchError):
            verify(KEYS.public, b"m", mixed, context=b"t")


def test_a_signature_serves_no_other_context() -> None:
    signature = sign(KEYS, b"bc", context=b"a")

    with pytest.raises(SignatureMismatchError):
        verify(KEYS.public, b"c", signature, context=b"ab")
    with pytest.raises(SignatureMismatchError):
        verify(KEYS.public, b"bc", signature[:-1], context=b"a")


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(MalformedKeyError):
        VerifyingKeys.from_bytes(b"short")
    with pytest.raises(MalformedKeyError):
        SigningKeys.from_seed(Secret(b"short"))


def test_private_keys_do_not_show_themselves() -> None:
    assert KEYS.seed.raw.hex() not in repr(KEYS)
    assert repr(KEYS.seed.raw) not in repr(KEYS)


def test_plain_ed25519_follows_rfc_8032_section_7_1_test_1() -> None:
    seed = Secret(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    signature = sign_ed25519(seed, b"")

    assert ed25519_public(seed).hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signature.hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )
    verify_ed25519(ed25519_public(seed), b"", signature)
    for public, message, wrong in ((ed25519_public(seed), b"x", signature), (b"", b"", signature)):
        with pytest.raises(SignatureMismatchError):
            verify_ed25519(public, message, wrong)

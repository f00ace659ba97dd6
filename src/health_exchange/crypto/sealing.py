"""Sealing bytes under a symmetric key: AES-256-GCM for content, AES Key Wrap for keys.

The caller brings the nonce, which must never repeat under one key: random 12 bytes are good for 2^32 seals, and our
keys seal far less.

Source: NIST SP 800-38D (GCM), RFC 3394 (AES Key Wrap).
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES


class SealBrokenError(ExchangeError):
    """Wrong key, wrong associated data, or the sealed bytes were changed."""

    category = Category.FAULT
    code = "seal-broken"


def seal(key: Secret, plaintext: bytes, *, aad: bytes, nonce: bytes) -> bytes:
    """Nonce, ciphertext and tag in one; 28 bytes longer than ``plaintext``.

    Args:
        key: 32 bytes.
        plaintext: What to hide.
        aad: What it is bound to; must be given again to open it.
        nonce: 12 bytes, never used before under ``key``.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a nonce is {NONCE_BYTES} bytes, not {len(nonce)}")
    return nonce + AESGCM(key.raw).encrypt(nonce, plaintext, aad)


def open_sealed(key: Secret, sealed: bytes, *, aad: bytes) -> bytes:
    """What was sealed.

    Raises:
        SealBrokenError: It was not sealed under this key and ``aad``, or was changed since.
    """
    if len(sealed) < OVERHEAD_BYTES:
        raise SealBrokenError("the sealed bytes are too short")
    try:
        return AESGCM(key.raw).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except InvalidTag:
        raise SealBrokenError("the seal does not hold") from None


def wrap_key(kek: Secret, key: Secret) -> bytes:
    """``key`` wrapped under ``kek``, 8 bytes longer; deterministic."""
    return aes_key_wrap(kek.raw, key.raw)


def unwrap_key(kek: Secret, wrapped: bytes) -> Secret:
    """The key that was wrapped.

    Raises:
        SealBrokenError: Not wrapped under ``kek``, or changed since.
    """
    try:
        return Secret(aes_key_unwrap(kek.raw, wrapped))
    except (InvalidUnwrap, ValueError):
        raise SealBrokenError("the wrapped key does not open") from None

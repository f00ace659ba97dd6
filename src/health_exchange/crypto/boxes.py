"""Wrapping keys to a node: HPKE with a hybrid of ML-KEM-768 and X25519.

A recording of today's traffic stays closed to a later quantum computer, and to whoever breaks only one of the two.
The library draws the encapsulation's randomness from the system: two wraps of one key never look alike, and this is the
one place of the floor whose randomness cannot be handed in.

Source: RFC 9180 (HPKE base mode), draft-ietf-hpke-pq (MLKEM768-X25519), HKDF-SHA256, AES-256-GCM.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.crypto.signatures import MalformedKeyError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret

MLKEM_SEED_BYTES = 64
SEED_BYTES = MLKEM_SEED_BYTES + 32
MLKEM_PUBLIC_BYTES = 1184
PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + 32
OVERHEAD_BYTES = 1088 + 32 + 16

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BoxKeys:
    """A node's private box key, kept as its seed: 64 bytes of ML-KEM, then 32 of X25519."""

    seed: Secret
    public_raw: bytes = field(init=False)
    _private: hpke.MLKEM768X25519PrivateKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed.raw) != SEED_BYTES:
            raise MalformedKeyError(f"a box seed is {SEED_BYTES} bytes, not {len(self.seed.raw)}")
        quantum = MLKEM768PrivateKey.from_seed_bytes(self.seed.raw[:MLKEM_SEED_BYTES])
        classic = X25519PrivateKey.from_private_bytes(self.seed.raw[MLKEM_SEED_BYTES:])
        public = quantum.public_key().public_bytes_raw() + classic.public_key().public_bytes_raw()
        object.__setattr__(self, "public_raw", public)
        object.__setattr__(self, "_private", hpke.MLKEM768X25519PrivateKey(quantum, classic))

    @classmethod
    def generate(cls, randomness: Randomness) -> Self:
        """A new key."""
        return cls(Secret(randomness(SEED_BYTES)))

    @classmethod
    def from_seed(cls, seed: Secret) -> Self:
        """The key that grows from ``seed``; raises ``MalformedKeyError`` if it is not 96 bytes."""
        return cls(seed)

    def __repr__(self) -> str:
        return "BoxKeys(hidden)"


def key_id(public_raw: bytes) -> bytes:
    """What a box key is called in an envelope: its SHA-256."""
    return sha256(public_raw).digest()


def wrap_to(public_raw: bytes, key: Secret, *, info: bytes) -> bytes:
    """``key`` for the owner of ``public_raw`` alone, 1,136 bytes longer.

    Args:
        public_raw: The recipient's box key, 1,216 bytes.
        key: What to hand over.
        info: What the wrap is bound to; must be given again to open it.

    Raises:
        MalformedKeyError: ``public_raw`` is no box key.
    """
    try:
        return _SUITE.encrypt(key.raw, _public(public_raw), info=info)
    except ValueError:
        raise MalformedKeyError("the bytes are no box key") from None


def unwrap(keys: BoxKeys, wrapped: bytes, *, info: bytes) -> Secret:
    """What was wrapped to us.

    Raises:
        SealBrokenError: Wrapped to somebody else or under other ``info``, or changed since.
    """
    try:
        return Secret(_SUITE.decrypt(wrapped, keys._private, info=info))  # noqa: SLF001  # same module
    except (InvalidTag, ValueError):
        raise SealBrokenError("the wrap does not open with this key") from None


@lru_cache(maxsize=256)
def _public(raw: bytes) -> hpke.MLKEM768X25519PublicKey:
    """The key object; public and few, so kept."""
    if len(raw) != PUBLIC_BYTES:
        raise MalformedKeyError(f"a box key is {PUBLIC_BYTES} bytes, not {len(raw)}")
    return hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(raw[MLKEM_PUBLIC_BYTES:]),
    )

"""Suites of algorithms an envelope may name: one row each, so that a new one is a row and not a rewrite.

An SM2/SM3/SM4 suite will be the second row. A row is never changed and its number never reused: envelopes in archives
name it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Protocol

from health_exchange.crypto.boxes import OVERHEAD_BYTES as WRAP_OVERHEAD_BYTES
from health_exchange.crypto.boxes import BoxKeys, unwrap, wrap_to
from health_exchange.crypto.sealing import KEY_BYTES, NONCE_BYTES, OVERHEAD_BYTES, open_sealed, seal
from health_exchange.crypto.signatures import SIGNATURE_BYTES, SigningKeys, VerifyingKeys, sign, verify
from health_exchange.model.secrecy import Secret


class SuiteNumber(IntEnum):
    """What an envelope writes in its header."""

    HYBRID_2026 = 1  # AES-256-GCM, MLKEM768_X25519 with HKDF-SHA256, Ed25519 and ML-DSA-65, SHA-256


class Sealer(Protocol):
    """Seals content under a key."""

    def __call__(self, key: Secret, plaintext: bytes, *, aad: bytes, nonce: bytes) -> bytes:
        """See the row's module."""
        ...


class Opener(Protocol):
    """Opens what a ``Sealer`` sealed."""

    def __call__(self, key: Secret, sealed: bytes, *, aad: bytes) -> bytes:
        """See the row's module."""
        ...


class Wrapper(Protocol):
    """Wraps keys to a public box key."""

    def __call__(self, public_raw: bytes, key: Secret, *, info: bytes) -> bytes:
        """See the row's module."""
        ...


class Unwrapper(Protocol):
    """Opens what a ``Wrapper`` wrapped."""

    def __call__(self, keys: BoxKeys, wrapped: bytes, *, info: bytes) -> Secret:
        """See the row's module."""
        ...


class Signer(Protocol):
    """Signs under a context."""

    def __call__(self, keys: SigningKeys, message: bytes, *, context: bytes) -> bytes:
        """See the row's module."""
        ...


class Verifier(Protocol):
    """Checks what a ``Signer`` signed."""

    def __call__(self, keys: VerifyingKeys, message: bytes, signature: bytes, *, context: bytes) -> None:
        """See the row's module."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One row: what to call, and how long things are."""

    digest: Callable[[bytes], bytes]
    seal: Sealer
    open: Opener
    wrap: Wrapper
    unwrap: Unwrapper
    sign: Signer
    verify: Verifier
    key_bytes: int
    nonce_bytes: int
    seal_overhead_bytes: int
    wrap_overhead_bytes: int
    signature_bytes: int


def _sha256(message: bytes) -> bytes:
    return sha256(message).digest()


SUITES: Mapping[SuiteNumber, Suite] = MappingProxyType(
    {
        SuiteNumber.HYBRID_2026: Suite(
            digest=_sha256,
            seal=seal,
            open=open_sealed,
            wrap=wrap_to,
            unwrap=unwrap,
            sign=sign,
            verify=verify,
            key_bytes=KEY_BYTES,
            nonce_bytes=NONCE_BYTES,
            seal_overhead_bytes=OVERHEAD_BYTES,
            wrap_overhead_bytes=WRAP_OVERHEAD_BYTES,
            signature_bytes=SIGNATURE_BYTES,
        ),
    }
)

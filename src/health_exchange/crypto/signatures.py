"""Signatures: hybrid ones that outlive a quantum computer, and plain Ed25519 where a format demands it.

A hybrid signature is Ed25519 and ML-DSA-65 over one framed message; both must hold, so a break of either scheme alone
forges nothing. The frame puts a context in front, so that a signature made for one purpose never serves another.

Source: RFC 8032 (Ed25519), FIPS 204 (ML-DSA-65).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret

SEED_BYTES = 64
ED25519_PUBLIC_BYTES = 32
ED25519_SIGNATURE_BYTES = 64
PUBLIC_BYTES = ED25519_PUBLIC_BYTES + 1952
SIGNATURE_BYTES = ED25519_SIGNATURE_BYTES + 3309
CONTEXT_BYTES_MAX = 255

_FRAME = b"health_exchange/signature/v1\x00"
_HALF = 32


class SignatureMismatchError(ExchangeError):
    """The signature is not one of this key under these bytes."""

    category = Category.INCORRECT
    code = "signature-mismatch"


class MalformedKeyError(ExchangeError):
    """The bytes are no key of the kind expected."""

    category = Category.INCORRECT
    code = "malformed-key"


@dataclass(frozen=True, slots=True)
class VerifyingKeys:
    """The public half: 32 bytes of Ed25519, then 1,952 of ML-DSA-65."""

    raw: bytes
    _ed25519: Ed25519PublicKey = field(init=False, repr=False, compare=False)
    _mldsa: MLDSA65PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != PUBLIC_BYTES:
            raise MalformedKeyError(f"a verifying key is {PUBLIC_BYTES} bytes, not {len(self.raw)}")
        classic, quantum = self.raw[:ED25519_PUBLIC_BYTES], self.raw[ED25519_PUBLIC_BYTES:]
        try:
            object.__setattr__(self, "_ed25519", Ed25519PublicKey.from_public_bytes(classic))
            object.__setattr__(self, "_mldsa", MLDSA65PublicKey.from_public_bytes(quantum))
        except ValueError:
            raise MalformedKeyError("the bytes are no verifying key") from None

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The keys in ``raw``; raises ``MalformedKeyError``."""
        return cls(raw)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SigningKeys:
    """The private half, kept as its seed: 32 bytes of Ed25519, then 32 of ML-DSA-65."""

    seed: Secret
    public: VerifyingKeys = field(init=False)
    _ed25519: Ed25519PrivateKey = field(init=False)
    _mldsa: MLDSA65PrivateKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed.raw) != SEED_BYTES:
            raise MalformedKeyError(f"a signing seed is {SEED_BYTES} bytes, not {len(self.seed.raw)}")
        classic = Ed25519PrivateKey.from_private_bytes(self.seed.raw[:_HALF])
        quantum = MLDSA65PrivateKey.from_seed_bytes(self.seed.raw[_HALF:])
        public = classic.public_key().public_bytes_raw() + quantum.public_key().public_bytes_raw()
        object.__setattr__(self, "_ed25519", classic)
        object.__setattr__(self, "_mldsa", quantum)
        object.__setattr__(self, "public", VerifyingKeys(public))

    @classmethod
    def generate(cls, randomness: Randomness) -> Self:
        """New keys."""
        return cls(Secret(randomness(SEED_BYTES)))

    @classmethod
    def from_seed(cls, seed: Secret) -> Self:
        """The keys that grow from ``seed``; raises ``MalformedKeyError`` if it is not 64 bytes."""
        return cls(seed)

    def __repr__(self) -> str:
        return "SigningKeys(hidden)"


def sign(keys: SigningKeys, message: bytes, *, context: bytes) -> bytes:
    """A hybrid signature of 3,373 bytes; ``context`` names the purpose, at most 255 bytes."""
    framed = _frame(message, context)
    # Private names of the sister class: the key objects never leave this module.
    return keys._ed25519.sign(framed) + keys._mldsa.sign(framed)  # noqa: SLF001  # same module


def verify(keys: VerifyingKeys, message: bytes, signature: bytes, *, context: bytes) -> None:
    """Check both signatures.

    Raises:
        SignatureMismatchError: Wrong length, or either of the two does not hold.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise SignatureMismatchError(f"a hybrid signature is {SIGNATURE_BYTES} bytes, not {len(signature)}")
    framed = _frame(message, context)
    try:
        keys._ed25519.verify(signature[:ED25519_SIGNATURE_BYTES], framed)  # noqa: SLF001  # same module
        keys._mldsa.verify(signature[ED25519_SIGNATURE_BYTES:], framed)  # noqa: SLF001  # same module
    except InvalidSignature:
        raise SignatureMismatchError("the signature does not hold") from None


def ed25519_public(seed: Secret) -> bytes:
    """The 32-byte public key of ``seed``."""
    return Ed25519PrivateKey.from_private_bytes(seed.raw).public_key().public_bytes_raw()


def sign_ed25519(seed: Secret, message: bytes) -> bytes:
    """A bare Ed25519 signature, for formats that bring their own context (log notes, hops)."""
    return Ed25519PrivateKey.from_private_bytes(seed.raw).sign(message)


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Check a bare Ed25519 signature.

    Raises:
        SignatureMismatchError: It does not hold, or ``public`` is no key.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise SignatureMismatchError("the signature does not hold") from None


def is_signed_by(publics: Iterable[bytes], message: bytes, signature: bytes) -> bool:
    """Whether a bare Ed25519 signature holds under one of ``publics``."""
    for public in publics:
        try:
            verify_ed25519(public, message, signature)
        except SignatureMismatchError:
            continue
        return True
    return False


def _frame(message: bytes, context: bytes) -> bytes:
    """What is signed; the length in front of the context keeps two pairs from sharing one frame."""
    if len(context) > CONTEXT_BYTES_MAX:
        raise ValueError(f"a context is at most {CONTEXT_BYTES_MAX} bytes")
    return _FRAME + bytes([len(context)]) + context + message

"""OPRF and VOPRF of RFC 9497 over ristretto255-SHA512: blind, evaluate, prove, verify, finalize.

Batches carry one proof for all their elements. A proof tells that every element was evaluated with the key behind a
published public key, and nothing else of the key.

Source: RFC 9497, sections 2.2, 3.3.1 and 3.3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha512

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.pseudonym.group import (
    ORDER,
    SCALAR_BYTES,
    Element,
    add,
    decode_scalar,
    encode_scalar,
    hash_to_element,
    hash_to_scalar,
    invert,
    multiply,
    multiply_base,
)

IDENTIFIER = b"ristretto255-SHA512"
PROOF_BYTES = 2 * SCALAR_BYTES


class Mode(IntEnum):
    """Which protocol of the RFC a context string names."""

    OPRF = 0
    VOPRF = 1


class ProofError(ExchangeError):
    """Elements were not all evaluated with the key behind the public key."""

    category = Category.CONFLICT
    code = "evaluation-proof"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A batched DLEQ proof: challenge and response."""

    challenge: int
    response: int

    def encode(self) -> bytes:
        """64 bytes, as in the RFC's vectors."""
        return encode_scalar(self.challenge) + encode_scalar(self.response)

    @classmethod
    def decode(cls, raw: bytes) -> "Proof":
        """Read 64 bytes; raises ``BadElementError``."""
        return cls(challenge=decode_scalar(raw[:SCALAR_BYTES]), response=decode_scalar(raw[SCALAR_BYTES:]))


def context(mode: Mode) -> bytes:
    """The RFC's contextString."""
    return b"OPRFV1-" + bytes((mode,)) + b"-" + IDENTIFIER


def derive_key(seed: bytes, info: bytes, mode: Mode = Mode.VOPRF) -> int:
    """A private key from 32 secret bytes and public ``info`` (RFC 9497, 3.2.1)."""
    given = seed + len(info).to_bytes(2) + info
    for counter in range(256):
        key = hash_to_scalar(given + bytes((counter,)), b"DeriveKeyPair" + context(mode))
        if key:
            return key
    raise ProofError("no key can be derived from this seed")


def blind(message: bytes, blinding: int, mode: Mode = Mode.VOPRF) -> Element:
    """``message`` as an element that tells nothing without ``blinding``, a random scalar."""
    return multiply(blinding, hash_to_element(message, b"HashToGroup-" + context(mode)))


def unblind(evaluated: Element, blinding: int) -> Element:
    """The evaluated element without its blinding."""
    return multiply(invert(blinding), evaluated)


def finalize(message: bytes, unblinded: Element) -> bytes:
    """The protocol's output for ``message``: 64 bytes."""
    framed = len(message).to_bytes(2) + message + len(unblinded).to_bytes(2) + unblinded
    return sha512(framed + b"Finalize").digest()


def evaluate(key: int, blinded: Sequence[Element]) -> list[Element]:
    """Each element times the key; one multiplication an element."""
    return [multiply(key, element) for element in blinded]


def prove(
    key: int,
    public: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    nonce: int,
    mode: Mode = Mode.VOPRF,
) -> Proof:
    """Show that ``evaluated`` is ``key`` times ``blinded``, element by element.

    Args:
        key: The private key.
        public: Its public key.
        blinded: What was evaluated.
        evaluated: With what result.
        nonce: A random scalar, never used before.
        mode: For the context string.
    """
    weights = _weights(public, blinded, evaluated, mode)
    composite = _combine(weights, blinded)
    challenge = _challenge(
        public, composite, multiply(key, composite), multiply_base(nonce), multiply(nonce, composite), mode
    )
    return Proof(challenge=challenge, response=(nonce - challenge * key) % ORDER)


def verify(
    public: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    proof: Proof,
    mode: Mode = Mode.VOPRF,
) -> None:
    """Check a proof; two multiplications an element.

    Raises:
        ProofError: It does not hold.
    """
    if not blinded or len(blinded) != len(evaluated) or not proof.challenge or not proof.response:
        raise ProofError("the proof does not fit the elements")
    weights = _weights(public, blinded, evaluated, mode)
    of_blinded, of_evaluated = _combine(weights, blinded), _combine(weights, evaluated)
    commitments = (
        add(multiply_base(proof.response), multiply(proof.challenge, public)),
        add(multiply(proof.response, of_blinded), multiply(proof.challenge, of_evaluated)),
    )
    if _challenge(public, of_blinded, of_evaluated, *commitments, mode) != proof.challenge:
        raise ProofError("the elements were not evaluated with the published key")


def _weights(public: Element, blinded: Sequence[Element], evaluated: Sequence[Element], mode: Mode) -> list[int]:
    """One scalar an element, that nobody could choose (ComputeComposites)."""
    seed_dst = b"Seed-" + context(mode)
    seed = sha512(len(public).to_bytes(2) + public + len(seed_dst).to_bytes(2) + seed_dst).digest()
    head, size, dst = len(seed).to_bytes(2) + seed, (32).to_bytes(2), b"HashToScalar-" + context(mode)
    return [
        hash_to_scalar(head + index.to_bytes(2) + size + left + size + right + b"Composite", dst)
        for index, (left, right) in enumerate(zip(blinded, evaluated, strict=True))
    ]


def _combine(weights: Sequence[int], elements: Sequence[Element]) -> Element:
    """The weighted sum."""
    total: Element | None = None
    for weight, element in zip(weights, elements, strict=True):
        term = multiply(weight, element)
        total = term if total is None else add(total, term)
    if total is None:
        raise ProofError("a batch has at least one element")
    return total


def _challenge(
    public: Element, left: Element, right: Element, base_part: Element, left_part: Element, mode: Mode
) -> int:
    """The challenge that binds a proof to everything it is about."""
    framed = b"".join(len(part).to_bytes(2) + part for part in (public, left, right, base_part, left_part))
    return hash_to_scalar(framed + b"Challenge", b"HashToScalar-" + context(mode))

"""The group ristretto255 through libsodium, and the one way in for elements and scalars from the wire.

libsodium answers a multiplication that ends in the identity with an error, and some of its functions with silent
zeros; so every element that comes in goes through :func:`decode_element`, and scalars are Python integers modulo ``L``.

Source: RFC 9496; RFC 9497, section 4.1.
"""

from functools import lru_cache
from hashlib import sha512
from typing import NewType

import rbcl

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.randomness import Randomness

Element = NewType("Element", bytes)
"""32 bytes: the canonical encoding of a group element that is not the identity."""

ORDER = 2**252 + 27742317777372353535851937790883648493
ELEMENT_BYTES = 32
SCALAR_BYTES = 32

_IDENTITY = bytes(ELEMENT_BYTES)


class BadElementError(ExchangeError):
    """Bytes that are no group element, or the identity, or a scalar beyond the group's order."""

    category = Category.INCORRECT
    code = "bad-group-element"


def decode_element(raw: bytes) -> Element:
    """``raw`` as an element.

    Raises:
        BadElementError: Wrong length, not a canonical encoding, or the identity.
    """
    if len(raw) != ELEMENT_BYTES or raw == _IDENTITY or not rbcl.crypto_core_ristretto255_is_valid_point(raw):
        raise BadElementError("not a group element, or the identity")
    return Element(raw)


def decode_scalar(raw: bytes) -> int:
    """``raw`` (32 bytes, little-endian) as a scalar.

    Raises:
        BadElementError: Wrong length, or not below the group's order.
    """
    value = int.from_bytes(raw, "little")
    if len(raw) != SCALAR_BYTES or value >= ORDER:
        raise BadElementError("not a scalar below the group's order")
    return value


def encode_scalar(scalar: int) -> bytes:
    """32 bytes, little-endian; ``scalar`` is below the order."""
    return scalar.to_bytes(SCALAR_BYTES, "little")


def random_scalar(randomness: Randomness) -> int:
    """A uniform scalar that is not zero."""
    while True:
        scalar = int.from_bytes(randomness(64), "little") % ORDER
        if scalar:
            return scalar


def multiply(scalar: int, element: Element) -> Element:
    """``scalar`` times ``element``; ``scalar`` is not zero modulo the order. About 50 us."""
    return Element(rbcl.crypto_scalarmult_ristretto255(encode_scalar(scalar), element))


def multiply_base(scalar: int) -> Element:
    """``scalar`` times the generator; ``scalar`` is not zero modulo the order. About 20 us."""
    return Element(rbcl.crypto_scalarmult_ristretto255_base(encode_scalar(scalar)))


def add(left: Element, right: Element) -> Element:
    """The sum of two elements."""
    return Element(rbcl.crypto_core_ristretto255_add(left, right))


def invert(scalar: int) -> int:
    """The inverse modulo the order; ``scalar`` is not zero."""
    return pow(scalar, -1, ORDER)


def hash_to_element(message: bytes, dst: bytes) -> Element:
    """An element whose discrete logarithm nobody knows (RFC 9497, 4.1, HashToGroup)."""
    return Element(rbcl.crypto_core_ristretto255_from_hash(expand(message, dst)))


def hash_to_scalar(message: bytes, dst: bytes) -> int:
    """A scalar from a message (RFC 9497, 4.1, HashToScalar)."""
    return int.from_bytes(expand(message, dst), "little") % ORDER


def expand(message: bytes, dst: bytes) -> bytes:
    """64 uniform bytes: expand_message_xmd with SHA-512, which for 64 bytes needs one block (RFC 9380, 5.3.1)."""
    padded, tail, dst_prime = _frames(dst)
    first = sha512(padded)
    first.update(message + tail + dst_prime)
    return sha512(first.digest() + b"\x01" + dst_prime).digest()


@lru_cache(maxsize=32)
def _frames(dst: bytes) -> tuple[bytes, bytes, bytes]:
    """What surrounds the message: a block of zeros, the length and a zero, the framed tag."""
    dst_prime = dst + bytes((len(dst),))
    return bytes(128), (64).to_bytes(2) + b"\x00", dst_prime

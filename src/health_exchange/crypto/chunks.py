"""A long text sealed piece by piece, so that neither sealing nor opening holds more than one piece of it.

Each piece is sealed under one key with its number and whether it is the last: none can be changed, left out, moved,
repeated or cut off unseen. The key is used for one text only, so that numbers can be nonces.

Source: Hoang, Reyhanitabar, Rogaway, Vizar, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"
(STREAM), with AES-256-GCM; NIST SP 800-38D.
"""

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from health_exchange.crypto.sealing import TAG_BYTES, SealBrokenError
from health_exchange.model.secrecy import Secret

CHUNK_BYTES = 256 << 10
"""How much of the text one piece holds; the last one less, perhaps nothing."""
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_COUNTER_BYTES = 11


def seal_chunks(key: Secret, parts: Iterable[bytes], *, aad: bytes) -> Iterator[bytes]:
    """The text that ``parts`` come to, as sealed pieces of :data:`SEALED_CHUNK_BYTES`, the last one shorter.

    Args:
        key: 32 bytes, used for nothing else, ever.
        parts: The text in pieces of any size.
        aad: What it is bound to; must be given again to open it.
    """
    cipher, number = AESGCM(key.raw), 0
    waiting = bytearray()
    for part in parts:
        waiting += part
        while len(waiting) >= CHUNK_BYTES:
            yield cipher.encrypt(_nonce(number, last=False), bytes(waiting[:CHUNK_BYTES]), aad)
            del waiting[:CHUNK_BYTES]
            number += 1
    yield cipher.encrypt(_nonce(number, last=True), bytes(waiting), aad)


def open_chunks(key: Secret, pieces: Iterable[bytes], *, aad: bytes) -> Iterator[bytes]:
    """The text behind sealed pieces, each of :data:`SEALED_CHUNK_BYTES` but the last, which is shorter.

    What was given out before an error is authentic; that nothing is missing is known only at the end.

    Raises:
        SealBrokenError: Another key or ``aad``; pieces were changed, left out, moved, repeated, added or cut off.
    """
    cipher, number, is_last = AESGCM(key.raw), 0, False
    for piece in pieces:
        if is_last:
            raise SealBrokenError("something follows the end of the sealed text")
        is_last = len(piece) < SEALED_CHUNK_BYTES
        try:
            yield cipher.decrypt(_nonce(number, last=is_last), piece, aad)
        except InvalidTag:
            raise SealBrokenError(f"the seal of piece {number} does not hold: changed or cut off") from None
        number += 1
    if not is_last:
        raise SealBrokenError(f"the sealed text is cut off after piece {number}")


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES) + bytes((last,))

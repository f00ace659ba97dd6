"""Letters: bytes that one node seals to another, bound to what they are about.

What a node asks and answers about one person is sealed once more inside the connection: whoever ends TLS on the way,
or records it, reads nothing, now or with a later quantum computer.

Source: RFC 9180 by ``crypto.boxes``; AES-256-GCM by ``crypto.sealing``.
"""

from collections.abc import Sequence
from hashlib import sha256

import zstandard

from health_exchange.crypto.boxes import OVERHEAD_BYTES, BoxKeys, unwrap, wrap_to
from health_exchange.crypto.sealing import KEY_BYTES, NONCE_BYTES, SealBrokenError, open_sealed, seal
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret

REQUEST_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 64 << 20
"""Most bytes that a request's and an answer's letter unfold to."""
_WRAPPED_BYTES = KEY_BYTES + OVERHEAD_BYTES


class UnreadableLetterError(ExchangeError):
    """Not a letter to this node about this, or changed on its way."""

    category = Category.INCORRECT
    code = "unreadable-letter"


def seal_letter(box_key: bytes, text: bytes, *, about: bytes, randomness: Randomness) -> bytes:
    """``text`` for the owner of ``box_key`` alone.

    Args:
        box_key: The recipient's, from its card.
        text: What to say.
        about: What the letter is bound to: kind, sender, recipient, request. Must be given again to open it.
        randomness: For key and nonce.
    """
    key = Secret(randomness(KEY_BYTES))
    folded = zstandard.ZstdCompressor(level=1).compress(text)
    sealed = seal(key, folded, aad=sha256(about).digest(), nonce=randomness(NONCE_BYTES))
    return wrap_to(box_key, key, info=about) + sealed


def open_letter(boxes: Sequence[BoxKeys], letter: bytes, *, about: bytes, bytes_max: int = REQUEST_BYTES_MAX) -> bytes:
    """What the letter says.

    Args:
        boxes: This node's, former ones too.
        letter: Untrusted.
        about: As it was sealed.
        bytes_max: What it may unfold to.

    Raises:
        UnreadableLetterError: It is not to us, not about ``about``, changed, or unfolds beyond the bound.
    """
    for box in boxes:
        try:
            key = unwrap(box, letter[:_WRAPPED_BYTES], info=about)
            folded = open_sealed(key, letter[_WRAPPED_BYTES:], aad=sha256(about).digest())
            if 0 <= zstandard.frame_content_size(folded) <= bytes_max:
                return zstandard.ZstdDecompressor().decompress(folded)
        except (SealBrokenError, zstandard.ZstdError):
            continue
    raise UnreadableLetterError("the letter does not open with this node's key")


def about(kind: str, *parts: object) -> bytes:
    """What a letter is about, in one way: its kind and whatever names it, which hold no line breaks."""
    return "\n".join(("health_exchange letter v1", kind, *map(str, parts))).encode()

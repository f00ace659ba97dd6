"""Links to further pages: where something goes on, sealed into a URL, so that the URL tells nothing.

A link opens for the caller it was made for only, at the node that made it, and for a while. Its length tells nothing of
the place: the number of a row grows with the rows that the caller may not see, so it has a fixed width.
"""

from base64 import b32decode, b32encode
from datetime import timedelta
from hashlib import blake2b

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret

LIFETIME = timedelta(hours=1)
TOKEN_CHARACTERS_MAX = 48_000
"""What the rows of a sorted search, and the longest query, come to; an HTTP server takes 64 KB in a line."""
PAGE = "_page"
"""The parameter of a URL that carries a link's token."""
_ROW_BYTES = 8


class BadPageError(ExchangeError):
    """The link is no longer good, or was made for somebody else."""

    category = Category.INCORRECT
    code = "bad-page"


def seal_link(key: Secret, row: int, rest: bytes, *, about: bytes, caller: str, nonce: bytes) -> str:
    """A row and what else is needed to go on from it, as a token in a URL.

    Args:
        key: The node's token key; sealed under a key derived from it.
        row: A row's number, or -1.
        rest: All else; its length shows.
        about: What kind of link it is: none opens as another.
        caller: Name of who may use it.
        nonce: 12 bytes, never used before.
    """
    plain = row.to_bytes(_ROW_BYTES, "big", signed=True) + rest
    sealed = seal(_derived(key, about), plain, aad=caller.encode(), nonce=nonce)
    return b32encode(sealed).decode().rstrip("=").lower()


def open_link(key: Secret, token: str, *, about: bytes, caller: str) -> tuple[int, bytes]:
    """The row and the rest that :func:`seal_link` was given.

    Raises:
        BadPageError: It was made elsewhere, for another caller or about something else, or was changed.
    """
    if len(token) <= TOKEN_CHARACTERS_MAX:
        try:
            sealed = b32decode(token.upper() + "=" * (-len(token) % 8))
            plain = open_sealed(_derived(key, about), sealed, aad=caller.encode())
        except (ValueError, SealBrokenError):
            pass
        else:
            return int.from_bytes(plain[:_ROW_BYTES], "big", signed=True), plain[_ROW_BYTES:]
    raise BadPageError("this link to a page was not made here for this caller", where=PAGE)


def _derived(key: Secret, about: bytes) -> Secret:
    return Secret(blake2b(about, key=key.raw, digest_size=32).digest())

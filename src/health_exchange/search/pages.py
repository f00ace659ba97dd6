"""The link to a next page: the whole query and the place in it, sealed, so that a URL tells nothing.

A token opens for the caller it was made for only, at the node that made it, and for a while. It holds the query as it
was resolved (pseudonyms and hashes, never identities), so a search that came by POST goes on by GET. Its length tells
nothing of the place: the number of a row grows with the rows that the caller may not see, so it has a fixed width.
"""

from base64 import b32decode, b32encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.search.terms import SearchQuery

LIFETIME = timedelta(hours=1)
TOKEN_CHARACTERS_MAX = 48_000
"""What the rows of a sorted search, and the longest query, come to; an HTTP server takes 64 KB in a line."""
_KEY_NAME = b"search-pages"
_ROW_BYTES = 8
_PACKED_BYTES = 5
_FIRST_PAGE = -1


class BadPageError(ExchangeError):
    """The link is no longer good, or was made for somebody else."""

    category = Category.INCORRECT
    code = "bad-page"


class Continuation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a search goes on.

    Attributes:
        query: As resolved.
        after: Row number the page before ended at; ``None`` for the first page.
        total: As counted for the first page.
        expires_at: When the link ends.
        rows: Where rows have an order of their own, those that are left of it (:func:`packed_rows`).
    """

    query: SearchQuery
    after: int | None
    total: int | None
    expires_at: datetime
    rows: bytes = b""

    @property
    def rest(self) -> tuple[int, ...]:
        """The rows of this and all later pages, in their order; none where they come by number."""
        width = _PACKED_BYTES
        return tuple(int.from_bytes(self.rows[at : at + width], "big") for at in range(0, len(self.rows), width))


def packed_rows(rows: Sequence[int]) -> bytes:
    """Rows as a continuation holds them, each as wide as any other."""
    return b"".join(row.to_bytes(_PACKED_BYTES, "big") for row in rows)


_DECODER = msgspec.msgpack.Decoder(Continuation)


def write_page_token(key: Secret, continuation: Continuation, *, caller: str, nonce: bytes) -> str:
    """The continuation as a token in a URL.

    Args:
        key: The node's token key; sealed under a key derived from it.
        continuation: What is sealed.
        caller: Name of who may use it.
        nonce: 12 bytes, never used before.
    """
    row = _FIRST_PAGE if continuation.after is None else continuation.after
    rest = msgspec.msgpack.encode(msgspec.structs.replace(continuation, after=None))
    plain = row.to_bytes(_ROW_BYTES, "big", signed=True) + rest
    sealed = seal(_derived(key), plain, aad=caller.encode(), nonce=nonce)
    return b32encode(sealed).decode().rstrip("=").lower()


def read_page_token(key: Secret, token: str, *, caller: str, now: datetime) -> Continuation:
    """The continuation in a token.

    Raises:
        BadPageError: It was made elsewhere or for another caller, was changed, or has expired.
    """
    continuation: Continuation | None = None
    if len(token) <= TOKEN_CHARACTERS_MAX:
        try:
            sealed = b32decode(token.upper() + "=" * (-len(token) % 8))
            plain = open_sealed(_derived(key), sealed, aad=caller.encode())
            row = int.from_bytes(plain[:_ROW_BYTES], "big", signed=True)
            continuation = msgspec.structs.replace(
                _DECODER.decode(plain[_ROW_BYTES:]), after=None if row == _FIRST_PAGE else row
            )
        except (ValueError, SealBrokenError, msgspec.MsgspecError):
            pass
    if continuation is None:
        raise BadPageError("this link to a page was not made here for this caller", where="_page")
    if continuation.expires_at <= now:
        raise BadPageError("this link to a page has expired; search again", where="_page")
    return continuation


def _derived(key: Secret) -> Secret:
    return Secret(blake2b(_KEY_NAME, key=key.raw, digest_size=32).digest())

"""The link to a next page of a search: the whole query and the place in it, sealed (``links``).

It holds the query as it was resolved (pseudonyms and hashes, never identities), so a search that came by POST goes on
by GET.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from health_exchange.model.secrecy import Secret
from health_exchange.search.links import PAGE, BadPageError, open_link, seal_link
from health_exchange.search.terms import SearchQuery

_ABOUT = b"search-pages"
_PACKED_BYTES = 5
_FIRST_PAGE = -1


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
    """The continuation as a token in a URL; arguments as ``links.seal_link`` takes them."""
    row = _FIRST_PAGE if continuation.after is None else continuation.after
    rest = msgspec.msgpack.encode(msgspec.structs.replace(continuation, after=None))
    return seal_link(key, row, rest, about=_ABOUT, caller=caller, nonce=nonce)


def read_page_token(key: Secret, token: str, *, caller: str, now: datetime) -> Continuation:
    """The continuation in a token.

    Raises:
        BadPageError: It was made elsewhere or for another caller, was changed, or has expired.
    """
    row, rest = open_link(key, token, about=_ABOUT, caller=caller)
    try:
        continuation = _DECODER.decode(rest)
    except (msgspec.MsgspecError, ValueError):
        continuation = None
    if continuation is None:
        raise BadPageError("this link to a page is another release's; search again", where=PAGE)
    if continuation.expires_at <= now:
        raise BadPageError("this link to a page has expired; search again", where=PAGE)
    return msgspec.structs.replace(continuation, after=None if row == _FIRST_PAGE else row)

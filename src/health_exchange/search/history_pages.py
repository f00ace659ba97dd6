"""The link to a further page of a history: where it goes on, sealed as the links of searches are (``pages``).

A number of the change feed grows with changes that the caller may not see, so all of a token's parts have a fixed
width: its length tells nothing.
"""

from base64 import b32decode, b32encode
from datetime import datetime
from hashlib import blake2b

import msgspec

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.secrecy import Secret
from health_exchange.search.pages import TOKEN_CHARACTERS_MAX, BadPageError

_KEY_NAME = b"history-pages"
_NUMBER_BYTES = 8


class Bookmark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a history goes on.

    Attributes:
        scope: What it is the history of: empty, a type, or type and id.
        since: As asked.
        at: As asked.
        count: Most entries of a page.
        before: Number of the feed, or version, that the page before ended at.
        expires_at: When the link ends.
    """

    scope: str
    since: str
    at: str
    count: int
    before: int
    expires_at: datetime


_DECODER = msgspec.msgpack.Decoder(Bookmark)


def write_bookmark(key: Secret, bookmark: Bookmark, *, caller: str, nonce: bytes) -> str:
    """The bookmark as a token in a URL.

    Args:
        key: The node's token key; sealed under a key derived from it.
        bookmark: What is sealed.
        caller: Name of who may use it.
        nonce: 12 bytes, never used before.
    """
    rest = msgspec.msgpack.encode(msgspec.structs.replace(bookmark, before=0))
    plain = bookmark.before.to_bytes(_NUMBER_BYTES, "big") + rest
    sealed = seal(_derived(key), plain, aad=caller.encode(), nonce=nonce)
    return b32encode(sealed).decode().rstrip("=").lower()


def read_bookmark(key: Secret, token: str, *, caller: str, now: datetime) -> Bookmark:
    """The bookmark in a token.

    Raises:
        BadPageError: It was made elsewhere or for another caller, was changed, or has expired.
    """
    bookmark: Bookmark | None = None
    if len(token) <= TOKEN_CHARACTERS_MAX:
        try:
            sealed = b32decode(token.upper() + "=" * (-len(token) % 8))
            plain = open_sealed(_derived(key), sealed, aad=caller.encode())
            before = int.from_bytes(plain[:_NUMBER_BYTES], "big")
            bookmark = msgspec.structs.replace(_DECODER.decode(plain[_NUMBER_BYTES:]), before=before)
        except (ValueError, SealBrokenError, msgspec.MsgspecError):
            pass
    if bookmark is None:
        raise BadPageError("this link to a page was not made here for this caller", where="_page")
    if bookmark.expires_at <= now:
        raise BadPageError("this link to a page has expired; ask again", where="_page")
    return bookmark


def _derived(key: Secret) -> Secret:
    return Secret(blake2b(_KEY_NAME, key=key.raw, digest_size=32).digest())

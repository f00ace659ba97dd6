"""The link to a further page of a history: where it goes on, sealed as the links of searches are (``pages``).

The number of a row grows with rows that the caller may not see, so it has a fixed width: a token's length tells
nothing of it.
"""

from base64 import b32decode, b32encode
from datetime import datetime
from hashlib import blake2b

import msgspec

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.secrecy import Secret
from health_exchange.search.histories import Place
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
        before: Place of the version that the page before ended at.
        expires_at: When the link ends.
    """

    scope: str
    since: str
    at: str
    count: int
    before: Place
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
    place = bookmark.before
    rest = msgspec.msgpack.encode(msgspec.structs.replace(bookmark, before=place._replace(rid=0)))
    plain = place.rid.to_bytes(_NUMBER_BYTES, "big") + rest
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
            bookmark = _DECODER.decode(plain[_NUMBER_BYTES:])
            place = bookmark.before._replace(rid=int.from_bytes(plain[:_NUMBER_BYTES], "big"))
            bookmark = msgspec.structs.replace(bookmark, before=place)
        except (ValueError, SealBrokenError, msgspec.MsgspecError):
            pass
    if bookmark is None:
        raise BadPageError("this link to a page was not made here for this caller", where="_page")
    if bookmark.expires_at <= now:
        raise BadPageError("this link to a page has expired; ask again", where="_page")
    return bookmark


def _derived(key: Secret) -> Secret:
    return Secret(blake2b(_KEY_NAME, key=key.raw, digest_size=32).digest())

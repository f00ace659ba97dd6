"""The link to a further page of a history: where it goes on, sealed (``links``)."""

from datetime import datetime

import msgspec

from health_exchange.model.secrecy import Secret
from health_exchange.search.histories import Place
from health_exchange.search.links import PAGE, BadPageError, open_link, seal_link

_ABOUT = b"history-pages"


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
    """The bookmark as a token in a URL; arguments as ``links.seal_link`` takes them."""
    place = bookmark.before
    rest = msgspec.msgpack.encode(msgspec.structs.replace(bookmark, before=place._replace(rid=0)))
    return seal_link(key, place.rid, rest, about=_ABOUT, caller=caller, nonce=nonce)


def read_bookmark(key: Secret, token: str, *, caller: str, now: datetime) -> Bookmark:
    """The bookmark in a token.

    Raises:
        BadPageError: It was made elsewhere or for another caller, was changed, or has expired.
    """
    row, rest = open_link(key, token, about=_ABOUT, caller=caller)
    try:
        bookmark = _DECODER.decode(rest)
    except (msgspec.MsgspecError, ValueError):
        bookmark = None
    if bookmark is None:
        raise BadPageError("this link to a page is another release's; ask again", where=PAGE)
    if bookmark.expires_at <= now:
        raise BadPageError("this link to a page has expired; ask again", where=PAGE)
    return msgspec.structs.replace(bookmark, before=bookmark.before._replace(rid=row))

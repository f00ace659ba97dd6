"""URLs without identities: what stands in a URL stands in every log on the way.

A national ID is refused wherever it stands, at every path of the listener, whatever is behind it; any other identity
that the whole exchange knows, where a parameter names its system. An identifier without a system, or by its type, may
be one: only a node that stands alone takes it.
"""

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from health_exchange.api.problems import problem_response
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power
from health_exchange.pseudonym.identities import InvalidIdentityError, holds_national_id, read_identity
from health_exchange.search.query import asks_by_identifier
from health_exchange.search.terms import Modifier
from health_exchange.telemetry.trace import LONG_DIGITS, current_request_id


class IdentityInUrlError(ExchangeError):
    """A URL that looks as if it carried a national ID: it would stand in every log on the way."""

    category = Category.INCORRECT
    code = "identity-in-url"


class BadUrlError(ExchangeError):
    """A URL with bytes that no URL has: one reader takes them for UTF-8, another for Latin-1, a third stumbles."""

    category = Category.INCORRECT
    code = "bad-url"


class SoundUrls:
    """An application around another one, which sees no request whose URL is none, or may hold a national ID."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer: Callable[[Scope, Receive, Send], Awaitable[None]] = self._app
        if scope["type"] == "http":
            try:
                refuse_url(scope["path"], scope["query_string"])
            except ExchangeError as error:
                answer = problem_response(error, current_request_id())
        await answer(scope, receive, send)


def refuse_url(path: str, query: bytes) -> None:
    """Raise before a URL, its path as it is routed and its query as it is sent, goes any further.

    Raises:
        BadUrlError: The query is not ASCII.
        IdentityInUrlError: Path or query holds what may be a national ID, written plainly or with escapes.
    """
    if not query.isascii():
        raise BadUrlError("a URL is ASCII: write other characters as the bytes of UTF-8, each as % and two digits")
    sent = query.decode()
    # The path has been read already; most requests have no query.
    texts = (path, unquote_plus(sent)) if sent else (path,)
    if LONG_DIGITS.search(sent) or any(LONG_DIGITS.search(each) or holds_national_id(each) for each in texts):
        raise IdentityInUrlError("a URL must not carry what may be a national ID; use POST _search")


def refuse_identities(pairs: Iterable[tuple[str, str]], card: NodeCard) -> None:
    """Raise where a parameter of a URL names, or may name, a person by an identity that the whole exchange knows.

    Raises:
        IdentityInUrlError: One does; ask by POST _search.
    """
    for name, value in pairs:
        tokens = value.split(",")
        may_be_any = asks_by_identifier(name) and not card.may(Power.TAKES_ANYTHING)
        # Behind of-type stands no system but a kind, as PPN for a passport: the number may be any system's.
        is_any = may_be_any and name.endswith(f":{Modifier.OF_TYPE}")
        if (
            is_any
            or holds_national_id(value)
            or any(_is_identity(one) or (may_be_any and "|" not in one) for one in tokens)
        ):
            raise IdentityInUrlError("ask by an identity with POST _search: a URL stands in every log on the way")


def _is_identity(value: str) -> bool:
    """Whether a token names an identity of an exchange-wide system; one that cannot be right was meant as one."""
    system, bar, code = value.partition("|")
    try:
        return bool(bar) and read_identity(system, code) is not None
    except InvalidIdentityError:
        return True

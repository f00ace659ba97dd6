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


class WithoutIdentities:
    """An application around another one, which sees no request whose URL holds what may be a national ID."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        answer: Callable[[Scope, Receive, Send], Awaitable[None]] = self._app
        if scope["type"] == "http" and _shows_identity(scope["path"], scope["query_string"].decode("latin-1")):
            error = IdentityInUrlError("a URL must not carry what may be a national ID; use POST _search")
            answer = problem_response(error, current_request_id())
        await answer(scope, receive, send)


def _shows_identity(path: str, query: str) -> bool:
    """Whether a path, as it is routed, or a query, as it is sent and as it is read, may hold a national ID."""
    if LONG_DIGITS.search(path) or LONG_DIGITS.search(query):
        return True
    plain = unquote_plus(query)
    return bool(LONG_DIGITS.search(plain)) or holds_national_id(plain) or holds_national_id(path)


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

"""URLs without identities: what stands in a URL stands in every log on the way.

A national ID is refused wherever it stands; any other identity that the whole exchange knows, where a parameter names
its system. An identifier without a system, or by its type, may be one: only a node that stands alone takes it.
"""

from collections.abc import Iterable

from starlette.requests import Request

from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power
from health_exchange.pseudonym.identities import InvalidIdentityError, holds_national_id, read_identity
from health_exchange.search.query import asks_by_identifier
from health_exchange.search.terms import Modifier
from health_exchange.telemetry.trace import LONG_DIGITS


class IdentityInUrlError(ExchangeError):
    """A URL that looks as if it carried a national ID: it would stand in every log on the way."""

    category = Category.INCORRECT
    code = "identity-in-url"


class BadUrlError(ExchangeError):
    """A URL with bytes that no URL has: one reader takes them for UTF-8, another for Latin-1, a third stumbles."""

    category = Category.INCORRECT
    code = "bad-url"


def refuse_identity_in_url(request: Request) -> None:
    """Raise before a national ID in a URL goes any further.

    Raises:
        BadUrlError: The query is not ASCII.
        IdentityInUrlError: Path or query holds a run of digits as long as one.
    """
    if not request.scope["query_string"].isascii():
        raise BadUrlError("a URL is ASCII: write other characters as the bytes of UTF-8, each as % and two digits")
    if LONG_DIGITS.search(request.url.path) or LONG_DIGITS.search(request.url.query):
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

"""URLs without identities: what stands in a URL stands in every log on the way.

A national ID is refused wherever it stands; any other identity that the whole exchange knows, where a parameter names
its system.
"""

from collections.abc import Iterable

from starlette.requests import Request

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.pseudonym.identities import (
    InvalidIdentityError,
    holds_national_id,
    read_identity,
)
from health_exchange.telemetry.trace import LONG_DIGITS


class IdentityInUrlError(ExchangeError):
    """A URL that looks as if it carried a national ID: it would stand in every log on the way."""

    category = Category.INCORRECT
    code = "identity-in-url"


def refuse_identity_in_url(request: Request) -> None:
    """Raise before a national ID in a URL goes any further.

    Raises:
        IdentityInUrlError: Path or query holds a run of digits as long as one.
    """
    if LONG_DIGITS.search(request.url.path) or LONG_DIGITS.search(request.url.query):
        raise IdentityInUrlError("a URL must not carry what may be a national ID; use POST _search")


def refuse_identities(pairs: Iterable[tuple[str, str]]) -> None:
    """Raise where a parameter of a URL names a person by an identity that the whole exchange knows.

    Raises:
        IdentityInUrlError: One does; ask by POST _search.
    """
    for _name, value in pairs:
        if holds_national_id(value) or any(_is_identity(one) for one in value.split(",")):
            raise IdentityInUrlError("ask by an identity with POST _search: a URL stands in every log on the way")


def _is_identity(value: str) -> bool:
    """Whether a token names an identity of an exchange-wide system; one that cannot be right was meant as one."""
    system, bar, code = value.partition("|")
    try:
        return bool(bar) and read_identity(system, code) is not None
    except InvalidIdentityError:
        return True

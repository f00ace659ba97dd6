from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from health_exchange.model.secrecy import Secret
from health_exchange.search.links import LIFETIME, BadPageError
from health_exchange.search.pages import Continuation, read_page_token, write_page_token
from health_exchange.search.terms import Criterion, PersonTerm, SearchQuery

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = Secret(bytes(32))
CONTINUATION = Continuation(
    query=SearchQuery(type="Patient", criteria=(Criterion(name="identifier", terms=(PersonTerm("p" * 26),)),)),
    after=7,
    total=9,
    expires_at=NOW + LIFETIME,
)


def _token() -> str:
    return write_page_token(KEY, CONTINUATION, caller="clinic", nonce=bytes(12))


def test_a_link_opens_for_its_caller_and_shows_nothing() -> None:
    assert read_page_token(KEY, _token(), caller="clinic", now=NOW) == CONTINUATION
    assert "p" * 26 not in _token()
    assert _token().isalnum()


def test_a_link_opens_for_nobody_else_nor_elsewhere_nor_later() -> None:
    for key, caller, now in [
        (KEY, "other", NOW),
        (Secret(bytes(31) + b"1"), "clinic", NOW),
        (KEY, "clinic", NOW + LIFETIME),
    ]:
        with pytest.raises(BadPageError):
            read_page_token(key, _token(), caller=caller, now=now)


@pytest.mark.parametrize("after", [None, 0, 127, 128, 65_536, 2**40])
def test_a_links_length_tells_nothing_of_the_place_it_leads_to(after: int | None) -> None:
    continuation = msgspec.structs.replace(CONTINUATION, after=after)
    token = write_page_token(KEY, continuation, caller="clinic", nonce=bytes(12))

    assert len(token) == len(_token())
    assert read_page_token(KEY, token, caller="clinic", now=NOW) == continuation


@pytest.mark.parametrize("token", ["", "a", "!!", "a" * 20_000, "é"])
def test_what_is_no_link_is_refused(token: str) -> None:
    with pytest.raises(BadPageError):
        read_page_token(KEY, token, caller="clinic", now=NOW)


def test_a_changed_link_is_refused() -> None:
    token = _token()
    for index in range(0, len(token), 7):
        changed = token[:index] + ("a" if token[index] != "a" else "b") + token[index + 1 :]
        with pytest.raises(BadPageError):
            read_page_token(KEY, changed, caller="clinic", now=NOW + timedelta(0))

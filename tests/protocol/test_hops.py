"""A request between nodes is its sender's, for us, and fresh."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.signatures import ed25519_public
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.hops import (
    ClockSkewError,
    HopSignatureError,
    HopStrangerError,
    MisdirectedHopError,
    UnsignedHopError,
    hop_nonce,
    sign_hop,
    verify_hop,
)

SEED = Secret(bytes(32))
SENDER, US, OTHER = NodeAddress.parse("cn/33"), NodeAddress.parse("cn"), NodeAddress.parse("cn/51")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CARDS = {
    SENDER: NodeCard(
        address=SENDER,
        tier=Tier.PROVINCE,
        name="",
        verifying_key=b"",
        box_key=b"",
        log_key=ed25519_public(SEED),
        exchange_url="",
        fhir_url="",
    )
}
HEADERS = sign_hop("POST", "/x?a=1", b"body", sender=SENDER, recipient=US, at=NOW, nonce=b"n" * 16, seed=SEED)


def check(
    headers: dict[str, str],
    method: str = "POST",
    path: str = "/x?a=1",
    body: bytes = b"body",
    recipient: NodeAddress = US,
    now: datetime = NOW,
) -> NodeAddress:
    return verify_hop(headers, method, path, body, recipient=recipient, cards=CARDS, now=now)


def test_a_signed_request_names_its_sender_and_nonce() -> None:
    assert check(HEADERS) == SENDER
    assert hop_nonce(HEADERS) == b"n" * 16
    assert check(HEADERS, now=NOW + timedelta(seconds=300)) == SENDER


def test_method_path_query_and_body_are_signed() -> None:
    for attempt in (("GET", "/x?a=1", b"body"), ("POST", "/x?a=2", b"body"), ("POST", "/x?a=1", b"Body")):
        with pytest.raises(HopSignatureError):
            check(HEADERS, *attempt)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_an_hour_off_is_named_as_such(hours: int) -> None:
    with pytest.raises(ClockSkewError) as caught:
        check(HEADERS, now=NOW + timedelta(hours=hours))
    assert caught.value.code == "clock-skew"
    assert f"{-3600 * hours:+d} s" in caught.value.detail


def test_a_request_for_another_node_is_refused() -> None:
    with pytest.raises(MisdirectedHopError):
        check(HEADERS, recipient=OTHER)
    with pytest.raises(HopSignatureError):
        check(HEADERS | {"x-exchange-recipient": str(OTHER)}, recipient=OTHER)


def test_a_stranger_is_refused() -> None:
    with pytest.raises(HopStrangerError):
        check(HEADERS | {"x-exchange-sender": str(OTHER)})


@pytest.mark.parametrize("name", sorted(HEADERS))
@given(text=st.text(max_size=40))
def test_garbage_in_any_header_is_an_exchange_error(name: str, text: str) -> None:
    with pytest.raises(ExchangeError):
        check(HEADERS | {name: text})
    with pytest.raises(UnsignedHopError):
        check({key: value for key, value in HEADERS.items() if key != "x-exchange-signature"})

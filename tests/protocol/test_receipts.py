"""A receipt says what its signer said, and nothing else reads as one."""

from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.signatures import SignatureMismatchError, SigningKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.receipts import MalformedReceiptError, Receipt, read_receipt, sign_receipt, verify_receipt

KEYS = SigningKeys.generate(Random(4).randbytes)
ACCEPTED = Receipt(
    stream=StreamId("0" * 32),
    sequence=7,
    digest=bytes(32),
    recipient=NodeAddress.parse("cn"),
    outcome="accepted",
    code="",
    checkpoint="checkpoint\n",
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
)
REFUSED = replace(ACCEPTED, outcome="refused", code="poison-envelope")
RAW = sign_receipt(ACCEPTED, KEYS)


@pytest.mark.parametrize("receipt", [ACCEPTED, REFUSED])
def test_a_receipt_verifies_and_reads_back(receipt: Receipt) -> None:
    raw = sign_receipt(receipt, KEYS)

    assert verify_receipt(raw, KEYS.public) == read_receipt(raw) == receipt


@given(position=st.integers(0, len(RAW) - 1), flip=st.integers(1, 255))
def test_any_flipped_byte_is_an_exchange_error(position: int, flip: int) -> None:
    raw = bytearray(RAW)
    raw[position] ^= flip

    with pytest.raises(ExchangeError):
        verify_receipt(bytes(raw), KEYS.public)


@given(raw=st.binary(max_size=200))
def test_garbage_is_a_malformed_receipt(raw: bytes) -> None:
    for attempt in (raw, RAW + raw + b"x", RAW[:2] + raw):
        with pytest.raises(MalformedReceiptError):
            read_receipt(attempt)


def test_anothers_signature_is_refused() -> None:
    with pytest.raises(SignatureMismatchError):
        verify_receipt(RAW, SigningKeys.generate(Random(5).randbytes).public)


@pytest.mark.parametrize(
    "change", [{"code": "x"}, {"outcome": "refused"}, {"digest": b""}, {"sequence": 0}, {"checkpoint": "x" * 20_000}]
)
def test_nothing_is_signed_that_nobody_would_read(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"receipt|refusal"):
        sign_receipt(replace(ACCEPTED, **change), KEYS)

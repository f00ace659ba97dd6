"""Receipts: a recipient's signed word on one envelope, kept or refused.

A refusal is signed too and consumes its place in the stream: a poison envelope blocks nothing behind it. A receipt
carries the receiver's checkpoint, so that its log cannot later be shown without the entry.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from health_exchange.crypto.signatures import SignatureMismatchError, SigningKeys, VerifyingKeys, sign, verify
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.instants import read_instant, write_instant

VERSION: Literal[1] = 1
RECEIPT_BYTES_MAX = 16 << 10
CONTEXT = b"health_exchange/receipt/v1"

_STREAM = re.compile(r"[0-9a-f]{32}")
_CODE = re.compile(r"[a-z0-9-]{1,64}")
_DIGEST_BYTES = 32


class MalformedReceiptError(ExchangeError):
    """The bytes are no receipt."""

    category = Category.INCORRECT
    code = "malformed-receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a recipient says of one envelope.

    Attributes:
        stream: Of the envelope.
        sequence: Its place.
        digest: Of its core.
        recipient: Who says so.
        outcome: Whether it was kept.
        code: The refusal's stable code; empty where accepted.
        checkpoint: The recipient's signed checkpoint, as text; may be empty before its first.
        received_at: Aware.
    """

    stream: StreamId
    sequence: int
    digest: bytes
    recipient: NodeAddress
    outcome: Literal["accepted", "refused"]
    code: str
    checkpoint: str
    received_at: datetime


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    stream: str
    sequence: int
    digest: bytes
    recipient: str
    outcome: Literal["accepted", "refused"]
    code: str
    checkpoint: str
    received_at: str


class _Outer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    body: bytes
    signature: bytes


def sign_receipt(receipt: Receipt, signing: SigningKeys) -> bytes:
    """The receipt's bytes; raises ``ValueError`` for one that nobody would read."""
    body = _Body(
        stream=receipt.stream,
        sequence=receipt.sequence,
        digest=receipt.digest,
        recipient=str(receipt.recipient),
        outcome=receipt.outcome,
        code=receipt.code,
        checkpoint=receipt.checkpoint,
        received_at=write_instant(receipt.received_at),
    )
    _receipt(body)
    encoded = msgspec.msgpack.encode(body)
    raw = msgspec.msgpack.encode(_Outer(VERSION, encoded, sign(signing, encoded, context=CONTEXT)))
    if len(raw) > RECEIPT_BYTES_MAX:
        raise ValueError(f"a receipt is at most {RECEIPT_BYTES_MAX} bytes")
    return raw


def read_receipt(raw: bytes) -> Receipt:
    """What ``raw`` claims, to learn whose keys to check; not yet trusted. Raises ``MalformedReceiptError``."""
    return _read(raw)[1]


def verify_receipt(raw: bytes, *keys: VerifyingKeys) -> Receipt:
    """The receipt, once the holder of one of ``keys`` is known to have signed it.

    The caller takes ``keys`` from the card of ``recipient``: a receipt proves nothing under another's keys.

    Raises:
        MalformedReceiptError: No receipt.
        SignatureMismatchError: Not signed by any of them.
    """
    outer, receipt = _read(raw)
    for each in keys:
        try:
            verify(each, outer.body, outer.signature, context=CONTEXT)
        except SignatureMismatchError:
            continue
        return receipt
    raise SignatureMismatchError("the receipt is not signed by its recipient")


def _read(raw: bytes) -> tuple[_Outer, Receipt]:
    if len(raw) <= RECEIPT_BYTES_MAX:
        try:
            outer = msgspec.msgpack.decode(raw, type=_Outer)
            body = msgspec.msgpack.decode(outer.body, type=_Body)
            if (msgspec.msgpack.encode(outer), msgspec.msgpack.encode(body)) == (raw, outer.body):
                return outer, _receipt(body)
        except (msgspec.MsgspecError, ValueError, RecursionError, MemoryError):
            pass
    raise MalformedReceiptError("the bytes are no receipt")


def _receipt(body: _Body) -> Receipt:
    """The checked receipt; raises ``ValueError``."""
    if not _STREAM.fullmatch(body.stream) or len(body.digest) != _DIGEST_BYTES or not 1 <= body.sequence < 1 << 63:
        raise ValueError("a receipt names stream, sequence and digest")
    if (body.outcome == "refused") != bool(_CODE.fullmatch(body.code)) or (body.outcome == "accepted" and body.code):
        raise ValueError("a refusal, and nothing else, has a code")
    return Receipt(
        stream=StreamId(body.stream),
        sequence=body.sequence,
        digest=body.digest,
        recipient=NodeAddress.parse(body.recipient),
        outcome=body.outcome,
        code=body.code,
        checkpoint=body.checkpoint,
        received_at=read_instant(body.received_at),
    )

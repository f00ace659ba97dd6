"""Carrying envelopes one hop up, in order, until they are taken; and fetching the receipts that come back down.

All connections go upward, so that a node needs to reach its parent only. An envelope leaves the outbox when every final
recipient's receipt is in; until then the origin can always send it again.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.receipts import Receipt, read_receipt, verify_receipt
from health_exchange.store import counters, node_state, outbox, receipts, streams
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.store.outbox import OutboxEnvelope

ENVELOPES_PATH = "/exchange/v1/envelopes"
RECEIPTS_PATH = "/exchange/v1/receipts"
BATCH = 32
RECEIPTS_BATCH = 500
_CURSOR = "receipts-collected"


class RefusedByPeerError(ExchangeError):
    """The next hop will not take an envelope; an operator has to look."""

    category = Category.FAULT
    code = "refused-by-peer"


class ReceiptPage(msgspec.Struct, frozen=True, kw_only=True):
    """Receipts on their way down.

    Attributes:
        position: Where to go on from.
        receipts: Signed receipts, as their recipients made them.
    """

    position: int
    receipts: list[bytes]


async def deliver(parts: NodeParts) -> bool:
    """Send what waits for the next hop, oldest first; whether anything was sent.

    Raises:
        UnavailableError: The next hop is away; nothing is lost, the turn is taken again.
        RefusedByPeerError: It will not take the oldest envelope.
    """
    parent = parts.address.parent
    if parent is None:
        return False
    waiting = await parts.store.read(lambda tx: outbox.undelivered(tx, BATCH))
    for item in waiting:
        answer = await parts.transport.send(
            parent, "POST", ENVELOPES_PATH, item.raw, timeout_s=parts.limits.peer_timeout_s
        )
        if not answer.is_ok:
            _raise_refusal(parent, answer.status, answer.body)
        receipt = _checked(parts, answer.body)
        if (receipt.stream, receipt.sequence, receipt.digest) != (item.stream, item.sequence, item.digest):
            raise RefusedByPeerError(f"{parent} has signed for another envelope than it was sent")
        await parts.store.write(partial(_settle, receipt=receipt, raw=answer.body, item=item))
    return bool(waiting)


async def collect_receipts(parts: NodeParts) -> bool:
    """Fetch receipts of nodes further up for our own and our subtree's envelopes; whether there were any."""
    parent = parts.address.parent
    if parent is None or not await parts.store.read(outbox.awaits_receipts):
        return False
    after = await parts.store.read(lambda tx: node_state.cursor(tx, _CURSOR))
    answer = await parts.transport.send(
        parent, "GET", f"{RECEIPTS_PATH}?after={after}", timeout_s=parts.limits.peer_timeout_s
    )
    if not answer.is_ok:
        _raise_refusal(parent, answer.status, answer.body)
    page = _read_page(answer.body)
    receipts_read = [(_checked(parts, raw), raw) for raw in page.receipts]
    await parts.store.write(lambda tx: _collect(tx, receipts_read, page.position))
    return bool(page.receipts)


async def receipts_for(parts: NodeParts, after: int, sender: NodeAddress) -> bytes:
    """Receipts kept here since position ``after`` for streams that come through ``sender``."""
    found = await parts.store.read(lambda tx: receipts.receipts_after(tx, after, sender, RECEIPTS_BATCH))
    position = found[-1].position if found else after
    return msgspec.msgpack.encode(ReceiptPage(position=position, receipts=[each.raw for each in found]))


def _checked(parts: NodeParts, raw: bytes) -> Receipt:
    """A receipt whose signature is its recipient's."""
    card = parts.directory.nodes.get(read_receipt(raw).recipient)
    if card is None:
        raise RefusedByPeerError("a receipt is signed by a node that is not in the directory")
    return verify_receipt(raw, VerifyingKeys.from_bytes(card.verifying_key))


def _settle(tx: Transaction, receipt: Receipt, raw: bytes, item: OutboxEnvelope) -> None:
    """The next hop has the envelope, and says so."""
    outbox.mark_delivered(tx, item.stream, item.sequence)
    counters.add(tx, "forwarded", ALL_DAYS)
    _note(tx, receipt, raw)


def _collect(tx: Transaction, found: Sequence[tuple[Receipt, bytes]], position: int) -> None:
    """Note a page of receipts and where the next one starts."""
    for receipt, raw in found:
        _note(tx, receipt, raw)
    node_state.set_cursor(tx, _CURSOR, position)


def _note(tx: Transaction, receipt: Receipt, raw: bytes) -> None:
    """Settle what the receipt settles here, and keep it for those below whose envelope it is about."""
    outbox.record_receipt(
        tx,
        receipt.stream,
        receipt.sequence,
        receipt.recipient,
        outcome=receipt.outcome,
        code=receipt.code,
        raw=raw,
    )
    origin = streams.origin_of(tx, receipt.stream)
    if origin is not None:
        receipts.add_receipt(
            tx, stream=receipt.stream, sequence=receipt.sequence, recipient=receipt.recipient, origin=origin, raw=raw
        )


def _read_page(raw: bytes) -> ReceiptPage:
    """The page, or an error that says the peer sends something else."""
    try:
        return msgspec.msgpack.decode(raw, type=ReceiptPage)
    except (msgspec.MsgspecError, ValueError):
        pass
    raise RefusedByPeerError("the peer's page of receipts cannot be read")


def _raise_refusal(peer: NodeAddress, status: int, body: bytes) -> None:
    """Turn a peer's refusal into ours: retryable if it is, else for an operator."""
    code = "unknown"
    try:
        refusal = msgspec.json.decode(body, type=dict[str, str])
        code = refusal.get("code", code)[:64]
    except (msgspec.MsgspecError, ValueError):
        pass
    if status in {429, 503} or code == "stream-gap":
        raise UnavailableError(f"{peer} asks to wait ({code})", retry_after_s=1.0)
    raise RefusedByPeerError(f"{peer} refused with {status} ({code})")

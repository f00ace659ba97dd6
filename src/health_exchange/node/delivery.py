"""Carrying envelopes one hop up, in order, until they are taken; and fetching the receipts that come back down.

All connections go upward, so that a node needs to reach its parent only. An envelope leaves the outbox when every final
recipient's receipt is in; until then the origin can always send it again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyUse
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.model.identifiers import StreamId
from health_exchange.node.journal import log, node_journal
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.receipts import Receipt, read_receipt, verify_receipt
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.store import counters, node_state, outbox, receipts, streams
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.store.outbox import OutboxEnvelope
from health_exchange.telemetry.events import log_event
from health_exchange.telemetry.trace import bound, new_request_id

ENVELOPES_PATH = "/exchange/v1/envelopes"
KEPT_FROM = "kept-from"
"""Says with an envelope that none before it is kept any more."""
RECEIPTS_PATH = "/exchange/v1/receipts"
BATCH = 32
REST_MAX_S = 60.0
"""How long a refused stream rests at most before it is tried again."""
_REST_MAX = timedelta(seconds=REST_MAX_S)
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


class Delivery:
    """Sends what waits for the next hop. A stream that the next hop will not take holds up no other."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self._blocked: dict[StreamId, tuple[int, datetime]] = {}
        """Streams that wait for an operator or another time: how often refused, and when they are tried again."""
        self._refusals: dict[StreamId, str] = {}

    @property
    def refused(self) -> Mapping[StreamId, str]:
        """Streams that the next hop does not take, and why."""
        return dict(self._refusals)

    async def deliver(self) -> bool:
        """Send what waits, oldest first; whether anything was.

        Raises:
            UnavailableError: The next hop is away; nothing is lost, the turn is taken again.
        """
        parent = self._parts.address.parent
        if parent is None:
            return False
        now = self._parts.clock.now()
        # Nobody rests longer than the longest: what lies further ahead was said before the clock was set back.
        resting = {stream for stream, (_count, until) in self._blocked.items() if now < until <= now + _REST_MAX}
        waiting = await self._parts.store.read(lambda tx: outbox.undelivered(tx, BATCH, resting))
        sent = False
        for item in waiting:
            if item.stream not in resting:
                sent = True
                try:
                    with bound(request_id=new_request_id(), stream=item.stream, sequence=item.sequence):
                        if not await self._send(parent, item):
                            resting.add(item.stream)
                except RefusedByPeerError as refusal:
                    resting.add(item.stream)
                    await self._block(item, refusal)
        return sent

    async def _send(self, parent: NodeAddress, item: OutboxEnvelope) -> bool:
        """Send one envelope; ``False`` where the stream starts again from an earlier one.

        Raises:
            RefusedByPeerError: The next hop will not take it.
        """
        parts = self._parts
        answer = await self._post(parent, ENVELOPES_PATH, item)
        if not answer.is_ok:
            expected = _raise_refusal(parent, answer.status, answer.body)
            kept = await parts.store.write(lambda tx: outbox.rewind(tx, item.stream, expected))
            if kept is not None and kept < item.sequence:
                return False
            # Everybody has signed for what it lacks; one that has lost its database takes the next one all the same.
            answer = await self._post(parent, f"{ENVELOPES_PATH}?{KEPT_FROM}={item.sequence}", item)
        if not answer.is_ok:
            expected = _raise_refusal(parent, answer.status, answer.body)
            raise RefusedByPeerError(f"{parent} has lost {item.stream} from {expected} on, which is not kept here")
        receipt = _checked(parts, answer.body)
        if (receipt.stream, receipt.sequence, receipt.digest) != (item.stream, item.sequence, item.digest):
            raise RefusedByPeerError(f"{parent} has signed for another envelope than it was sent")
        await parts.store.write(partial(_settle, parts=parts, receipt=receipt, raw=answer.body, item=item))
        self._blocked.pop(item.stream, None)
        self._refusals.pop(item.stream, None)
        log_event("envelope-delivered", peer=str(parent), outcome=receipt.outcome, code=receipt.code)
        return True

    async def _post(self, parent: NodeAddress, path: str, item: OutboxEnvelope) -> PeerAnswer:
        """What the next hop says to one envelope."""
        timeout_s = self._parts.limits.peer_timeout_s
        return await self._parts.transport.send(parent, "POST", path, item.raw, timeout_s=timeout_s)

    async def _block(self, item: OutboxEnvelope, refusal: RefusedByPeerError) -> None:
        """Let a stream rest, longer each time; the first time an alarm tells of it."""
        count, _until = self._blocked.get(item.stream, (0, None))
        rest = timedelta(seconds=min(REST_MAX_S, 2.0**count))
        self._blocked[item.stream] = (count + 1, self._parts.clock.now() + rest)
        self._refusals[item.stream] = refusal.detail
        if count == 0:
            entry = node_journal(
                self._parts,
                kind="alarm",
                action="forward",
                outcome="failed",
                reason=refusal.detail,
                summary=f"{item.stream}/{item.sequence}",
            )
            await self._parts.store.write(partial(log, entry=entry))


async def collect_receipts(parts: NodeParts) -> bool:
    """Fetch receipts of nodes further up for our own and our subtree's envelopes; whether there were any."""
    parent = parts.address.parent
    if parent is None or not await parts.store.read(_wants_receipts):
        return False
    after = await parts.store.read(lambda tx: node_state.cursor(tx, _CURSOR))
    answer = await parts.transport.send(
        parent, "GET", f"{RECEIPTS_PATH}?after={after}", timeout_s=parts.limits.peer_timeout_s
    )
    if not answer.is_ok:
        _raise_refusal(parent, answer.status, answer.body)
        raise UnavailableError(f"{parent} gives no receipts now")
    page = _read_page(answer.body)
    receipts_read = [(_checked(parts, raw), raw) for raw in page.receipts]
    await parts.store.write(lambda tx: _collect(tx, parts, receipts_read, page.position))
    for receipt, _raw in receipts_read:
        log_event(
            "receipt",
            stream=receipt.stream,
            sequence=receipt.sequence,
            peer=str(receipt.recipient),
            outcome=receipt.outcome,
            code=receipt.code,
        )
    return bool(page.receipts)


async def receipts_for(parts: NodeParts, after: int, sender: NodeAddress) -> bytes:
    """Receipts kept here since position ``after`` for streams that come through ``sender``.

    Who asks from beyond the last position asks a node that has lost its database, and starts again.
    """
    found = await parts.store.read(lambda tx: receipts.receipts_after(tx, after, sender, RECEIPTS_BATCH))
    position = found[-1].position if found else min(after, await parts.store.read(receipts.latest_position))
    return msgspec.msgpack.encode(ReceiptPage(position=position, receipts=[each.raw for each in found]))


def _checked(parts: NodeParts, raw: bytes) -> Receipt:
    """A receipt whose signature is its recipient's."""
    claimed = read_receipt(raw)
    card = parts.directory.nodes.get(claimed.recipient)
    if card is None:
        raise RefusedByPeerError("a receipt is signed by a node that is not in the directory")
    return verify_receipt(raw, *map(VerifyingKeys.from_bytes, card.keys_at(KeyUse.SIGNING, claimed.received_at)))


def _settle(tx: Transaction, parts: NodeParts, receipt: Receipt, raw: bytes, item: OutboxEnvelope) -> None:
    """The next hop has the envelope, and says so."""
    outbox.mark_delivered(tx, item.stream, item.sequence)
    counters.add(tx, "forwarded", ALL_DAYS)
    _note(tx, parts, receipt, raw)


def _wants_receipts(tx: Transaction) -> bool:
    return outbox.awaits_receipts(tx) or node_state.get(tx, receipts.COLLECT_AGAIN) is not None


def _collect(tx: Transaction, parts: NodeParts, found: Sequence[tuple[Receipt, bytes]], position: int) -> None:
    """Note a page of receipts and where the next one starts."""
    for receipt, raw in found:
        _note(tx, parts, receipt, raw)
    node_state.set_cursor(tx, _CURSOR, position)
    if not found:
        node_state.drop(tx, receipts.COLLECT_AGAIN)


def _note(tx: Transaction, parts: NodeParts, receipt: Receipt, raw: bytes) -> None:
    """Settle what the receipt settles here, and keep it for those below whose envelope it is about.

    One about other bytes than were sent settles nothing: somebody has signed two envelopes for one place. One that
    refuses keeps the bytes here, for an operator to look at. Both are alarms.
    """
    if outbox.contradicts(tx, receipt.stream, receipt.sequence, receipt.digest):
        _alarm(tx, parts, receipt, "receipt-contradicts")
        return
    is_news = outbox.record_receipt(
        tx,
        receipt.stream,
        receipt.sequence,
        receipt.recipient,
        outcome=receipt.outcome,
        code=receipt.code,
        raw=raw,
    )
    if is_news and receipt.outcome == "refused" and receipt.stream == parts.stream:
        _alarm(tx, parts, receipt, f"refused-above: {receipt.code}")
    origin = streams.origin_of(tx, receipt.stream)
    if origin is not None:
        receipts.add_receipt(
            tx, stream=receipt.stream, sequence=receipt.sequence, recipient=receipt.recipient, origin=origin, raw=raw
        )


def _alarm(tx: Transaction, parts: NodeParts, receipt: Receipt, reason: str) -> None:
    """Say in the log what is wrong with an envelope above."""
    entry = node_journal(
        parts,
        kind="alarm",
        action="receive",
        outcome="failed",
        peer=str(receipt.recipient),
        reason=reason,
        summary=f"{receipt.stream}/{receipt.sequence}",
    )
    log(tx, entry)


def _read_page(raw: bytes) -> ReceiptPage:
    """The page, or an error that says the peer sends something else."""
    try:
        return msgspec.msgpack.decode(raw, type=ReceiptPage)
    except (msgspec.MsgspecError, ValueError):
        pass
    raise RefusedByPeerError("the peer's page of receipts cannot be read")


def _raise_refusal(peer: NodeAddress, status: int, body: bytes) -> int:
    """Turn a peer's refusal into ours; of a gap, the sequence number that it expects instead.

    Raises:
        UnavailableError: It asks to wait.
        RefusedByPeerError: It will not.
    """
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, ValueError):
        refusal = _Refusal()
    code = refusal.code[:64]
    if code == "stream-gap" and refusal.expected > 0:
        return refusal.expected
    if status in {429, 503}:
        raise UnavailableError(f"{peer} asks to wait ({code})", retry_after_s=1.0)
    raise RefusedByPeerError(f"{peer} refused with {status} ({code})")


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What of a peer's refusal is read."""

    code: str = "unknown"
    expected: int = 0

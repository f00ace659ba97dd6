"""Taking an envelope from below: judge it, open what is ours, keep, pass on, and sign for it.

Everything happens in one transaction: the stream's head advances, our records change, the same bytes are queued for the
next hop, the receipt and the audit entry are kept. So a crash leaves either all of it or nothing, and the sender, who
keeps the envelope until it has our receipt, sends it again.

An envelope whose signatures hold but whose content does not is refused with a signed receipt that consumes its sequence
number: it blocks nothing, and it still travels on to those who may read more of it.
"""

import asyncio

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power
from health_exchange.node import keeping
from health_exchange.node.journal import log, node_journal
from health_exchange.node.keeping import Opened, read_sections
from health_exchange.node.making_good import lost_up_to
from health_exchange.node.membership import note_box
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.envelope import (
    Envelope,
    EnvelopeHeader,
    open_sections,
    origin_keys,
    read_envelope,
    verify_envelope,
)
from health_exchange.protocol.receipts import Receipt, read_receipt, sign_receipt
from health_exchange.protocol.streams import StreamHead, Verdict, judge
from health_exchange.store import audit_log, counters, node_state, outbox, receipts, streams
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.store.transaction import is_database_away
from health_exchange.telemetry.families import LAG_SECONDS
from health_exchange.telemetry.metrics import observed
from health_exchange.telemetry.trace import note

EXPANSION = 8
"""How much larger a section's records are than what travels, roughly."""


class NotARelayError(ExchangeError):
    """This node takes no envelopes."""

    category = Category.UNSUPPORTED
    code = "not-a-relay"


class WrongWayError(ExchangeError):
    """The envelope does not come from below, or is not addressed to this node."""

    category = Category.FORBIDDEN
    code = "wrong-way"


class StreamGapError(ExchangeError):
    """An earlier envelope of the stream is missing; the sender starts again from there.

    Attributes:
        expected: Its sequence number.
    """

    category = Category.CONFLICT
    code = "stream-gap"

    def __init__(self, expected: int, sequence: int) -> None:
        super().__init__(f"expected {expected} of the stream, got {sequence}")
        self.expected = expected


class StreamForkError(ExchangeError):
    """The origin signed two different envelopes for one place in its stream."""

    category = Category.CONFLICT
    code = "stream-fork"


async def receive(parts: NodeParts, raw: bytes, sender: NodeAddress, *, kept_from: int = 0) -> bytes:
    """Take one envelope; the signed receipt.

    The same envelope again gets the receipt it got before.

    Args:
        parts: The node's.
        raw: The envelope. Untrusted.
        sender: The child that carries it, already authenticated.
        kept_from: The first place of the stream that the child still has; 0 where it does not say.

    Raises:
        NotARelayError, WrongWayError: It has no business here.
        StreamGapError: One before it is missing.
        StreamForkError: It contradicts one that was taken before.
        ExchangeError: It is no envelope, of a version we do not know, or not signed by its origin.
    """
    if not parts.card.may(Power.RELAYS):
        raise NotARelayError(f"{parts.address} takes no envelopes")
    envelope = read_envelope(raw)
    origin = envelope.header.origin
    keys = origin_keys(envelope, parts.directory.nodes)
    if origin == parts.address or not parts.address.contains(origin) or parts.address.next_hop(origin) != sender:
        raise WrongWayError(f"an envelope of {origin} does not reach {parts.address} through {sender}")
    if not parts.directory.nodes[origin].may(Power.ADMITS_FACILITIES):
        raise WrongWayError(f"{origin} admits no facilities, so it has no records of its own")
    if envelope.header.recipients != origin.ancestors:
        raise WrongWayError(f"the envelope is not addressed to all nodes above {origin}")
    verify_envelope(envelope, *keys)
    note(stream=envelope.header.stream, sequence=envelope.header.sequence)
    opened = await _open(envelope, parts)
    taken = await parts.store.write(lambda tx: _take(tx, parts, envelope, opened, kept_from))
    if isinstance(taken, ExchangeError):
        raise taken
    return taken


async def _open(envelope: Envelope, parts: NodeParts) -> Opened:
    """The envelope's content as far as it is ours, or why we refuse it. Never raises for content."""
    try:
        sections = await asyncio.to_thread(open_sections, envelope, parts.address, parts.keys.boxes)
    except ExchangeError as error:
        return Opened(refusal=error.code)
    size = EXPANSION * sum(len(plaintext) for plaintext in sections.values())
    return await parts.workers.run(read_sections, sections, parts.keys.tokens, work_bytes=size)


def _take(
    tx: Transaction, parts: NodeParts, envelope: Envelope, opened: Opened, kept_from: int
) -> bytes | ExchangeError:
    """Everything that taking an envelope changes; a gap or a fork comes back as a value, so that its entry stays."""
    settled = _place(tx, parts, envelope, kept_from)
    return _accept(tx, parts, envelope, opened) if settled is None else settled


def _place(tx: Transaction, parts: NodeParts, envelope: Envelope, kept_from: int) -> bytes | ExchangeError | None:
    """What is to be said of an envelope that is not the next of its stream; ``None`` for one that is to be taken."""
    header = envelope.header
    head = streams.head(tx, header.stream)
    if head is not None and streams.origin_of(tx, header.stream) != header.origin:
        return _alarm(tx, parts, envelope, StreamForkError(f"{header.origin} uses the stream of another origin"))
    verdict = judge(head, envelope, kept=receipts.digest_of(tx, header.stream, header.sequence, parts.address))
    if verdict is Verdict.DUPLICATE:
        kept = receipts.receipt_of(tx, header.stream, header.sequence, parts.address)
        if kept is not None:
            return kept
    goes_on = verdict is Verdict.GAP and kept_from == header.sequence and _is_sent_again(tx, header, head)
    if (verdict is Verdict.GAP and not goes_on) or verdict is Verdict.DUPLICATE:
        return StreamGapError(head.sequence + 1 if head else 1, header.sequence)
    if goes_on:
        _note_gap(tx, parts, header, head)
    elif verdict is not Verdict.ACCEPT:
        error = StreamForkError(f"{header.origin} has signed two envelopes for {header.sequence} of its stream")
        return _alarm(tx, parts, envelope, error)
    return None


def _accept(tx: Transaction, parts: NodeParts, envelope: Envelope, opened: Opened) -> bytes:
    """Take an envelope; the receipt."""
    header = envelope.header
    streams.advance(tx, header.stream, header.origin, header.sequence, envelope.digest)
    if parts.keys.former.box:
        note_box(tx, header.origin, envelope.key_id_of(parts.address))
    refusal = opened.refusal or _keep(tx, parts, envelope, opened)
    if refusal:
        streams.refuse(tx, header.stream, header.sequence, refusal)
    receipt = _receipt(tx, parts, envelope, refusal)
    receipts.add_receipt(
        tx,
        stream=header.stream,
        sequence=header.sequence,
        recipient=parts.address,
        origin=header.origin,
        raw=receipt,
    )
    if parts.address.parent is not None:
        _pass_on(tx, parts, envelope)
    log(
        tx,
        node_journal(
            parts,
            kind="receive",
            action="receive",
            outcome="refused" if refusal else "allowed",
            peer=str(header.origin),
            reason=refusal,
            subjects=[arrival.entry.pseudonym for arrival in opened.arrivals if arrival.entry.pseudonym],
            summary=f"{header.stream}/{header.sequence}: {len(opened.arrivals)} entries opened",
        ),
    )
    lag_s = (parts.clock.now() - header.created_at).total_seconds()
    tx.counted.update(observed(LAG_SECONDS, lag_s, child=str(parts.address.next_hop(header.origin))))
    counters.add(tx, "received", ALL_DAYS)
    counters.add(tx, "opened", ALL_DAYS, 0 if refusal else len(opened.arrivals))
    counters.replace(tx, "lag-ms", ALL_DAYS, int(lag_s * 1000))
    return receipt


def _pass_on(tx: Transaction, parts: NodeParts, envelope: Envelope) -> None:
    """Keep the same bytes for the next hop."""
    header = envelope.header
    outbox.enqueue(
        tx,
        raw=envelope.raw,
        stream=header.stream,
        sequence=header.sequence,
        digest=envelope.digest,
        recipients=parts.address.ancestors,
    )
    if parts.incarnation and header.sequence <= node_state.cursor(tx, lost_up_to(header.stream)):
        _settle_kept(tx, parts, header)


def _settle_kept(tx: Transaction, parts: NodeParts, header: EnvelopeHeader) -> None:
    """Of an envelope that those above signed for in a former incarnation, their receipts may be here before it."""
    for recipient in parts.address.ancestors:
        raw = receipts.receipt_of(tx, header.stream, header.sequence, recipient)
        if raw is not None:
            kept = read_receipt(raw)
            outbox.record_receipt(
                tx, kept.stream, kept.sequence, recipient, outcome=kept.outcome, code=kept.code, raw=raw
            )


def _keep(tx: Transaction, parts: NodeParts, envelope: Envelope, opened: Opened) -> str:
    """Let the content take effect, or nothing of it; the code of a refusal. Content that errs blocks no stream."""
    try:
        with tx.savepoint():
            return keeping.keep(tx, parts, envelope.header.origin, opened)
    except ExchangeError as error:
        return error.code
    except Exception as error:
        if is_database_away(error):
            raise
        return keeping.CONTENT_FAULT


def _receipt(tx: Transaction, parts: NodeParts, envelope: Envelope, refusal: str) -> bytes:
    """Our signature under what became of the envelope."""
    return sign_receipt(
        Receipt(
            stream=envelope.header.stream,
            sequence=envelope.header.sequence,
            digest=envelope.digest,
            recipient=parts.address,
            outcome="refused" if refusal else "accepted",
            code=refusal,
            checkpoint=(audit_log.latest_checkpoint(tx) or b"").decode(),
            received_at=parts.clock.now(),
        ),
        parts.keys.signing,
    )


def _is_sent_again(tx: Transaction, header: EnvelopeHeader, head: StreamHead | None) -> bool:
    """Whether what is missing before an envelope was lost here with the database, and its origin sends it again."""
    lost = node_state.cursor(tx, lost_up_to(header.stream))
    return (head.sequence if head else 0) < lost and header.sequence <= lost + 1


def _note_gap(tx: Transaction, parts: NodeParts, header: EnvelopeHeader, head: StreamHead | None) -> None:
    """Say in the log which places of a stream this incarnation never had."""
    first = head.sequence + 1 if head else 1
    entry = node_journal(
        parts,
        kind="gap",
        action="receive",
        peer=str(header.origin),
        reason="lost with the database; the origin sends again what they told",
        summary=f"{header.stream}/{first}-{header.sequence - 1}",
    )
    log(tx, entry)


def _alarm(tx: Transaction, parts: NodeParts, envelope: Envelope, error: ExchangeError) -> ExchangeError:
    """``error``, once it stands in the log."""
    header = envelope.header
    log(
        tx,
        node_journal(
            parts,
            kind="alarm",
            action="receive",
            outcome="refused",
            peer=str(header.origin),
            reason=error.code,
            summary=f"{header.stream}/{header.sequence}",
        ),
    )
    return error

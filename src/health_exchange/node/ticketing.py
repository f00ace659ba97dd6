"""Tickets at both ends: a key holder that logs, evaluates and signs; an asking node that gets pseudonym and ticket.

The pseudonym of a look-up is kept nowhere: whoever wants the person's records again asks the key holders again.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard
from health_exchange.model.errors import ExchangeError, UnavailableError
from health_exchange.model.powers import Power
from health_exchange.node.callers import Caller
from health_exchange.node.holders import Holders
from health_exchange.node.journal import log, node_journal
from health_exchange.node.keyholding import NoKeyShareError, QuotaExceededError, is_within_quota
from health_exchange.node.letterbox import ask_peer, open_request, seal_answer
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.instants import read_instant, write_instant
from health_exchange.protocol.tickets import (
    LIFETIME,
    LogReceipt,
    RetargetedTicketError,
    StaleTicketError,
    Ticket,
    TicketAnswer,
    TicketClaims,
    TicketRequest,
    reason_digest,
    sign_receipt,
    verify_receipt,
)
from health_exchange.pseudonym.group import decode_element
from health_exchange.pseudonym.identities import Identity
from health_exchange.pseudonym.threshold import (
    EvaluationRequest,
    EvaluationResponse,
    LyingShareError,
    Name,
    blind,
    decode_response,
    encode_response,
    evaluate,
    unblind,
)
from health_exchange.store.engine import Transaction

TICKETS_PATH = "/exchange/v1/tickets"
LETTER = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticketed:
    """What the asking node has after the key holders were asked, for the length of one look-up.

    Attributes:
        name: The person, and the link key.
        blinding: What undoes the ticket's blinding.
        ticket: To be shown.
    """

    name: Name
    blinding: int
    ticket: Ticket


async def answer_ticket(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """A key holder's part: the entry in the log first, then the evaluation, and a receipt for the entry.

    Raises:
        NoKeyShareError: It keeps no share, or the sender may not see identities.
        RetargetedTicketError: The claims are another node's.
        StaleTicketError: They are not of now.
        QuotaExceededError: Beyond the sender's quota; logged as an alarm.
        ExchangeError: Malformed, or for another epoch or share version.
    """
    if not parts.membership.shares:
        raise NoKeyShareError(f"{parts.address} keeps no share of the pseudonym key")
    if not parts.directory.nodes[sender].may(Power.SEES_NATIONAL_IDS):
        raise NoKeyShareError(f"{sender} has no power to ask for pseudonyms")
    request_id, asked = open_request(parts, raw, sender, LETTER, TicketRequest)
    claims = asked.claims
    if (claims.node, claims.request_id) != (str(sender), request_id):
        raise RetargetedTicketError("a node asks for tickets of its own only")
    now = parts.clock.now()
    if abs(now - _instant(claims)) > LIFETIME:
        raise StaleTicketError("the request for a ticket is not of now")
    share = parts.membership.share(claims.epoch, claims.version)
    if share is None or (claims.epoch, claims.version) != (share.epoch, share.version):
        raise StaleTicketError("the request for a ticket is for another pseudonym key")
    decode_element(claims.element)
    leaf = await parts.store.write(partial(_enter, parts=parts, sender=sender, claims=claims))
    if leaf is None:
        raise QuotaExceededError(f"{sender} has asked for more evaluations today than its quota", retry_after_s=3600)
    request = EvaluationRequest(epoch=claims.epoch, version=claims.version, elements=[claims.element])
    evaluation = encode_response(evaluate(share, request, parts.randomness))
    receipt = sign_receipt(claims, holder=parts.address, leaf=leaf, at=now, seed=parts.keys.log_seed)
    return seal_answer(parts, sender, LETTER, request_id, TicketAnswer(evaluation=evaluation, receipt=receipt))


async def obtain_ticket(
    parts: NodeParts, holders: Holders, identity: Identity, caller: Caller, reason: str
) -> Ticketed:
    """Pseudonym and ticket for one look-up, from t key holders.

    Raises:
        UnavailableError: Fewer than t key holders answer.
    """
    key = parts.membership.key
    blinded = await asyncio.to_thread(blind, [identity], parts.randomness)
    claims = TicketClaims(
        request_id=caller.request_id,
        node=str(parts.address),
        practitioner=caller.principal.id,
        kind=caller.principal.kind,
        organization=caller.principal.organization,
        purpose=caller.purpose,
        reason_sha256=reason_digest(reason),
        at=write_instant(parts.clock.now()),
        epoch=key.epoch,
        version=key.share_version,
        element=blinded.elements[0],
    )

    async def one(holder: HolderCard) -> tuple[EvaluationResponse, LogReceipt]:
        message = TicketRequest(claims=claims)
        answer = await ask_peer(parts, holder.address, TICKETS_PATH, LETTER, claims.request_id, message, TicketAnswer)
        if not _is_receipt_of(parts, claims, answer.receipt, holder):
            raise LyingShareError(f"key holder {holder.address} signs for no look-up of now", index=holder.index)
        return decode_response(answer.evaluation), answer.receipt

    request = EvaluationRequest(epoch=key.epoch, version=key.share_version, elements=[claims.element])
    answers = await holders.ask(key, request, one)
    if len(answers) < key.threshold:
        raise UnavailableError(
            f"{len(answers)} key holders answer, a look-up takes {key.threshold}; nobody was asked for records",
            retry_after_s=5.0,
        )
    responses = {index: response for index, (response, _receipt) in answers.items()}
    names = await asyncio.to_thread(unblind, blinded, responses, epoch=key.epoch)
    receipts = tuple(receipt for _response, receipt in answers.values())
    return Ticketed(name=names[0], blinding=blinded.blindings[0], ticket=Ticket(claims=claims, receipts=receipts))


def _is_receipt_of(parts: NodeParts, claims: TicketClaims, receipt: LogReceipt, holder: HolderCard) -> bool:
    """Whether it is the key holder's own, made for these claims, now."""
    try:
        return verify_receipt(claims, receipt, parts.directory.nodes, parts.clock.now()) == holder.address
    except ExchangeError:
        return False


def _instant(claims: TicketClaims) -> datetime:
    """When the claims were made.

    Raises:
        StaleTicketError: At no instant.
    """
    try:
        return read_instant(claims.at)
    except ValueError:
        pass
    raise StaleTicketError("the request for a ticket names no instant")


def _enter(tx: Transaction, parts: NodeParts, sender: NodeAddress, claims: TicketClaims) -> bytes | None:
    """Enter the look-up in the log; the entry's commitment, or ``None`` beyond the quota."""
    allowed, used = is_within_quota(tx, parts, sender, 1)
    entry = node_journal(
        parts,
        kind="evaluate" if allowed else "alarm",
        action="look-up",
        outcome="allowed" if allowed else "refused",
        peer=str(sender),
        reason="" if allowed else "quota-exceeded",
        summary=f"1 blinded element, {used} today",
    )
    asked = msgspec.structs.replace(
        entry,
        principal=claims.practitioner,
        principal_kind=claims.kind,
        organization=claims.organization,
        purpose=claims.purpose,
        request_id=claims.request_id,
    )
    entered = log(tx, asked)
    return entered.leaf if allowed else None

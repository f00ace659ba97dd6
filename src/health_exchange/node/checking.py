"""Checking tickets at whoever is shown them: the nation, a province, a holder. A bad one is an alarm in the log."""

from datetime import datetime

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.journal import log_each, node_journal
from health_exchange.node.parts import NodeParts
from health_exchange.policy.decisions import Principal
from health_exchange.protocol.tickets import (
    LIFETIME,
    ForgedTicketError,
    RetargetedTicketError,
    SpentTicketError,
    Ticket,
    TicketClaims,
    reason_digest,
    verify_ticket,
)
from health_exchange.store import replays
from health_exchange.store.engine import Transaction

KIND = "ticket"


async def check_ticket(
    parts: NodeParts, ticket: Ticket, sender: NodeAddress, *, request_id: str, reason: str
) -> tuple[TicketClaims, Caller]:
    """The claims of a good ticket for this look-up, and who looks up; it still has to be spent.

    Raises:
        ExchangeError: As :func:`verify_ticket`, or it is for another request or another reason; an alarm tells of it.
    """
    try:
        claims = _checked(parts, ticket, sender, request_id=request_id, reason=reason)
        return claims, _caller_of(claims)
    except ExchangeError as error:
        await alarm(parts, sender, request_id, error)
        raise


async def alarm(parts: NodeParts, sender: NodeAddress, request_id: str, error: ExchangeError) -> None:
    """Enter in the log that a node has shown a ticket that is not good."""
    entry = node_journal(parts, kind="alarm", action="look-up", outcome="refused", peer=str(sender), reason=error.code)
    entry = msgspec.structs.replace(entry, request_id=request_id[:64])
    await parts.store.write_each(log_each, entry)


def _checked(parts: NodeParts, ticket: Ticket, sender: NodeAddress, *, request_id: str, reason: str) -> TicketClaims:
    """The claims, once everything about the ticket fits."""
    claims = verify_ticket(ticket, sender=sender, directory=parts.directory, now=parts.clock.now())
    if claims.request_id != request_id:
        raise RetargetedTicketError("the ticket was made for another look-up")
    if claims.reason_sha256 != reason_digest(reason):
        raise ForgedTicketError("the reason is not the one that key holders have signed for")
    return claims


async def check_unspent(parts: NodeParts, claims: TicketClaims, sender: NodeAddress) -> None:
    """Refuse a ticket that was used here before anything is done for it; it is spent with the answer's entry.

    Raises:
        SpentTicketError: It was used before; an alarm tells of it.
    """
    if await parts.store.read(lambda tx: replays.is_spent(tx, KIND, _key(claims))):
        spent = SpentTicketError("the ticket was used here before")
        await alarm(parts, sender, claims.request_id, spent)
        raise spent


def spend_ticket(tx: Transaction, claims: TicketClaims, now: datetime) -> bool:
    """Use the ticket up at this node; ``False`` where it was used before."""
    return replays.spend(tx, KIND, _key(claims), now + 2 * LIFETIME)


def _key(claims: TicketClaims) -> str:
    """What names a ticket."""
    return f"{claims.node}|{claims.request_id}"


def _caller_of(claims: TicketClaims) -> Caller:
    """Who looks up, as policy sees it: registered at the asking node, which answers for it.

    Raises:
        ForgedTicketError: The purpose is none.
    """
    if claims.purpose not in set(Purpose):
        raise ForgedTicketError("the ticket's purpose is none that is known")
    principal = Principal(
        kind=claims.kind, id=claims.practitioner, organization=claims.organization, address=claims.node
    )
    return Caller(principal=principal, purpose=Purpose(claims.purpose), request_id=RequestId(claims.request_id))

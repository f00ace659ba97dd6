"""Directions: the nation says which nodes hold something of a person, against a ticket; a province for its own subtree.

A node that keeps locators gives those. A node that aggregates knows the origins of what it keeps, and no more: it
gives directions while the nation is away.
"""

from dataclasses import dataclass

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.powers import Power
from health_exchange.node.callers import Caller
from health_exchange.node.checking import alarm, check_ticket, spend_ticket
from health_exchange.node.journal import journal, log
from health_exchange.node.letterbox import open_request, seal_answer
from health_exchange.node.parts import NodeParts
from health_exchange.node.refusals import facts_of
from health_exchange.node.rights import most_open, question_of, refusal
from health_exchange.policy.consent_rules import combined
from health_exchange.policy.consents import NOTHING_SAID
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question, decision_on
from health_exchange.protocol.instants import write_instant
from health_exchange.protocol.lookups import Directions, LocateRequest, sign_directions
from health_exchange.protocol.tickets import SpentTicketError, TicketClaims
from health_exchange.store import locators, resources, subjects
from health_exchange.store.engine import Transaction

LOCATORS_PATH = "/exchange/v1/locators"
LETTER = "locate"


class NoLocatorsError(ExchangeError):
    """This node does not know who holds what."""

    category = Category.UNSUPPORTED
    code = "no-locators"


async def answer_locate(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """Signed directions for one look-up, sealed to the asking node; logged before they leave.

    Raises:
        NoLocatorsError: This node neither keeps locators for the country nor aggregates.
        ForbiddenError: Policy refuses the look-up whatever is held.
        ExchangeError: The letter, the ticket or the reason is not good.
    """
    if not parts.card.may(Power.AGGREGATES):
        raise NoLocatorsError(f"{parts.address} does not say who holds what")
    request_id, request = open_request(parts, raw, sender, LETTER, LocateRequest)
    claims, caller = await check_ticket(parts, request.ticket, sender, request_id=request_id, reason=request.reason)
    question = question_of(caller, Action.LOOK_UP, most_open(parts, "Patient"), reasoned=bool(request.reason.strip()))
    decision = decision_on(parts.policies, question)
    asked = Asked(claims=claims, caller=caller, pseudonym=request.pseudonym, question=question, decision=decision)
    directions = await parts.store.write(lambda tx: _directions(tx, parts, asked))
    if directions is None:
        spent = SpentTicketError("the ticket was used here before")
        await alarm(parts, sender, request_id, spent)
        raise spent
    if not decision.allowed:
        raise refusal(decision)
    return seal_answer(parts, sender, LETTER, request_id, sign_directions(directions, parts.keys.log_seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A look-up whose ticket is good, and what policy says to it."""

    claims: TicketClaims
    caller: Caller
    pseudonym: Pseudonym
    question: Question
    decision: Decision


def _directions(tx: Transaction, parts: NodeParts, asked: Asked) -> Directions | None:
    """The directions, with their entry in the log; ``None`` where the ticket was used before."""
    claims, pseudonym, decision = asked.claims, asked.pseudonym, asked.decision
    now = parts.clock.now()
    if not spend_ticket(tx, claims, now):
        return None
    holders = [str(address) for address in _holders(tx, parts, pseudonym)] if decision.allowed else []
    entry = journal(
        parts,
        asked.caller,
        kind="locate" if decision.allowed else "refuse",
        action=Action.LOOK_UP,
        outcome="allowed" if decision.allowed else "refused",
        reason="" if decision.allowed else "; ".join(decision.reasons),
        policy=decision.digest,
        subjects=[pseudonym],
        summary=f"{len(holders)} holders",
        peer=claims.node,
        facts=None if decision.allowed else facts_of(asked.question, decision),
    )
    log(tx, entry)
    return Directions(
        request_id=claims.request_id,
        pseudonym=pseudonym,
        by=str(parts.address),
        at=write_instant(now),
        holders=tuple(holders),
        consent=_objections(tx, pseudonym),
    )


def _holders(tx: Transaction, parts: NodeParts, pseudonym: Pseudonym) -> list[NodeAddress]:
    """Who holds something of the person, as far as this node knows."""
    known = {holding.node for holding in locators.holders_of(tx, pseudonym)}
    known |= {NodeAddress.parse(origin) for origin in resources.origins_of(tx, pseudonym)}
    return sorted(known - {parts.address}, key=str)


def _objections(tx: Transaction, pseudonym: Pseudonym) -> str:
    """What the person objects to, by all that holders and those who sent copies have told; no holder's grants."""
    holders = [holding.consent for holding in locators.holders_of(tx, pseudonym)]
    copies = [subject.consent for subject in subjects.subjects_of(tx, pseudonym)]
    return combined(NOTHING_SAID, [*holders, *copies])

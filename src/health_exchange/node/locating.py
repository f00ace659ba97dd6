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
from health_exchange.node.journal import log
from health_exchange.node.letterbox import open_request, seal_answer
from health_exchange.node.parts import NodeParts
from health_exchange.node.refusals import decision_entry
from health_exchange.node.rights import most_open, question_of, refusal
from health_exchange.node.surveying import behind
from health_exchange.policy.consent_rules import combined
from health_exchange.policy.consents import NOTHING_SAID
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question, decision_on
from health_exchange.protocol.instants import write_instant
from health_exchange.protocol.letters import seal_letter
from health_exchange.protocol.lookups import (
    Directions,
    Located,
    LocateRequest,
    SignedDirections,
    letter_about,
    sign_directions,
)
from health_exchange.protocol.tickets import SpentTicketError, TicketClaims, claims_digest
from health_exchange.store import locators, resources, subjects
from health_exchange.store.engine import Transaction

LOCATORS_PATH = "/exchange/v1/locators"
LETTER = "locate"
CONSENT = "consent"


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
    known = await parts.store.write(lambda tx: _locate(tx, parts, asked))
    if known is None:
        spent = SpentTicketError("the ticket was used here before")
        await alarm(parts, sender, request_id, spent)
        raise spent
    if not decision.allowed:
        raise refusal(decision)
    # The asking node is told what binds it, too: only itself knows whether it keeps something just admitted.
    ours = [sender] if parts.address.contains(sender) else []
    holders = sorted({*known.holders, *ours}, key=str)
    directions = tuple(_directions(parts, asked, known.consent, holder) for holder in holders)
    return seal_answer(parts, sender, LETTER, request_id, Located(directions=directions, behind=known.behind))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A look-up whose ticket is good, and what policy says to it."""

    claims: TicketClaims
    caller: Caller
    pseudonym: Pseudonym
    question: Question
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Who holds something of a person, what the person objects to, and who was not heard of lately."""

    holders: tuple[NodeAddress, ...]
    consent: str
    behind: tuple[str, ...]


def _locate(tx: Transaction, parts: NodeParts, asked: Asked) -> Known | None:
    """What is known, once it stands in the log that it was asked; ``None`` where the ticket was used before."""
    claims, pseudonym, decision = asked.claims, asked.pseudonym, asked.decision
    if not spend_ticket(tx, claims, parts.clock.now()):
        return None
    holders = _holders(tx, parts, pseudonym) if decision.allowed else []
    entry = decision_entry(
        parts,
        asked.caller,
        asked.question,
        decision,
        kind="locate",
        subjects=[pseudonym],
        summary=f"{len(holders)} holders",
        peer=claims.node,
    )
    log(tx, entry)
    return Known(holders=tuple(holders), consent=_objections(tx, pseudonym), behind=behind(tx, parts))


def _directions(parts: NodeParts, asked: Asked, consent: str, holder: NodeAddress) -> SignedDirections:
    """The directions to one holder: what the person objects to is for the holder, not for whoever asks."""
    digest = claims_digest(asked.claims)
    letter = seal_letter(
        parts.directory.nodes[holder].box_key,
        consent.encode(),
        about=letter_about(CONSENT, sender=parts.address, recipient=holder, request_id=digest),
        randomness=parts.randomness,
    )
    directions = Directions(
        ticket_sha256=digest,
        pseudonym=asked.pseudonym,
        by=str(parts.address),
        at=write_instant(parts.clock.now()),
        holder=str(holder),
        consent=letter,
    )
    return sign_directions(directions, parts.keys.log_seed)


def _holders(tx: Transaction, parts: NodeParts, pseudonym: Pseudonym) -> list[NodeAddress]:
    """Who holds something of the person, as far as this node knows."""
    known = {holding.node for holding in locators.holders_of(tx, pseudonym)}
    known |= {NodeAddress.parse(origin) for origin in resources.origins_of(tx, pseudonym)}
    return sorted((known - {parts.address}) & parts.directory.nodes.keys(), key=str)


def _objections(tx: Transaction, pseudonym: Pseudonym) -> str:
    """What the person objects to, by all that holders and those who sent copies have told; no holder's grants."""
    holders = [holding.consent for holding in locators.holders_of(tx, pseudonym)]
    copies = [subject.consent for subject in subjects.subjects_of(tx, pseudonym)]
    return combined(NOTHING_SAID, [*holders, *copies])

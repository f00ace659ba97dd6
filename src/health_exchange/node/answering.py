"""Answering a look-up: check the ticket and whom it is for, decide by one's own policy, log, prove, and then answer.

The holder answers with originals. What its policy or the person keeps back is left out without a word: neither their
number nor that there are any is told, nor does it stand in the entry that the asker is shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from hashlib import sha256

import msgspec

from health_exchange.audit.entries import AuditEntry
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.callers import Caller
from health_exchange.node.checking import alarm, check_ticket, spend_ticket
from health_exchange.node.journal import Entered, journal, log
from health_exchange.node.letterbox import open_request, seal_answer
from health_exchange.node.parts import NodeParts
from health_exchange.node.persons import best_identity
from health_exchange.node.proving import prove_entry
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.refusals import facts_of
from health_exchange.node.rights import consent_for, decide_on, most_open, question_of
from health_exchange.node.searchsets import with_source
from health_exchange.policy.consent_rules import combined, of_any_date
from health_exchange.policy.consents import NOTHING_SAID
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import decision_on
from health_exchange.protocol.lookups import (
    LookupAnswer,
    LookupRequest,
    ProvenAnswer,
    check_directions,
    check_period,
)
from health_exchange.protocol.tickets import RetargetedTicketError, SpentTicketError, TicketClaims
from health_exchange.pseudonym.binding import is_bound
from health_exchange.pseudonym.identities import Identity, InvalidIdentityError
from health_exchange.store import pending, resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject, SubjectState

LOOKUP_PATH = "/exchange/v1/lookup"
LETTER = "look-up"
RESOURCES_MAX = 5_000
SCAN_MAX = 50_000
_DAY = timedelta(days=1)


async def answer_lookup(parts: NodeParts, pseudonyms: PseudonymClient, raw: bytes, sender: NodeAddress) -> bytes:
    """The proven answer to a peer's look-up, sealed to it.

    Raises:
        ExchangeError: As :func:`answer_request`, or the letter cannot be read.
    """
    request_id, request = open_request(parts, raw, sender, LETTER, LookupRequest)
    answer = await answer_request(parts, pseudonyms, request, sender, request_id=request_id)
    return seal_answer(parts, sender, LETTER, request_id, answer)


async def answer_request(
    parts: NodeParts, pseudonyms: PseudonymClient, request: LookupRequest, sender: NodeAddress, *, request_id: str
) -> ProvenAnswer:
    """What this node lets the asker have of a person, with the proof that its log says so.

    Raises:
        ForgedTicketError, StaleTicketError, SpentTicketError, RetargetedTicketError, ForgedDirectionsError: The look-up
            is not what key holders have signed for; an alarm in the log tells of it.
    """
    claims, caller = await check_ticket(parts, request.ticket, sender, request_id=request_id, reason=request.reason)
    check_period(request.since, request.until)
    directions = check_directions(
        request.directions,
        request_id=request_id,
        pseudonym=request.pseudonym,
        holder=parts.address,
        cards=parts.directory.nodes,
        now=parts.clock.now(),
    )
    bound = await _whom_for(parts, pseudonyms, request, request_id)
    if bound is not None:
        await alarm(parts, sender, request_id, bound)
        raise bound
    asked = Asked(claims=claims, caller=caller, request=request, consent=directions.consent)
    answer, entry = await parts.store.read(lambda tx: _answer(tx, parts, asked))
    entered = await parts.store.write(partial(_enter, parts=parts, claims=claims, entry=entry))
    if entered is None:
        spent = SpentTicketError("the ticket was used here before")
        await alarm(parts, sender, request_id, spent)
        raise spent
    proof = await prove_entry(parts, entered.number)
    return ProvenAnswer(
        answer=answer,
        entry=entered.salted,
        position=proof.position,
        path=list(proof.path),
        checkpoint=proof.checkpoint,
    )


class UncheckableTicketError(ExchangeError):
    """The person's Patient was deleted here, so nobody can tell whom a ticket is for."""

    category = Category.UNAVAILABLE
    code = "ticket-uncheckable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A look-up whose ticket is good: what was claimed, by whom, for what, under which objections made elsewhere."""

    claims: TicketClaims
    caller: Caller
    request: LookupRequest
    consent: str


async def _whom_for(
    parts: NodeParts, pseudonyms: PseudonymClient, request: LookupRequest, request_id: str
) -> ExchangeError | None:
    """Why the ticket is not seen to be for the person asked for; ``None`` where it is.

    Of whom nothing is kept here nobody can be told apart, and nothing can be given.
    """
    people, identities = await parts.store.read(lambda tx: _identities(tx, request.pseudonym))
    if not people:
        return None
    if not identities:
        return UncheckableTicketError("the identity that the ticket would be checked against is no longer kept here")
    element, about = request.ticket.claims.element, request_id.encode()
    names = await pseudonyms.names(identities)
    for identity, name in names.items():
        ours = name.pseudonym == request.pseudonym
        if ours and is_bound(name.link, request.blinding, element, identity, about=about):
            return None
    return RetargetedTicketError("the ticket was made for another person")


def _identities(tx: Transaction, pseudonym: Pseudonym) -> tuple[int, list[Identity]]:
    """How many subjects a person is here, and the identities that their Patients give."""
    found: dict[Identity, None] = {}
    people = _people(tx, pseudonym)
    for subject in people:
        for patient in resources.of_subject(tx, subject.sid, "Patient"):
            try:
                identity = best_identity(msgspec.json.decode(patient.body or b"{}"), where="Patient")
            except InvalidIdentityError:
                continue
            if identity is not None:
                found[identity] = None
    return len(people), list(found)


def _enter(tx: Transaction, parts: NodeParts, claims: TicketClaims, entry: AuditEntry) -> Entered | None:
    """Spend the ticket and enter the answer in the log; ``None`` where it was used before."""
    return log(tx, entry) if spend_ticket(tx, claims, parts.clock.now()) else None


def _answer(tx: Transaction, parts: NodeParts, asked: Asked) -> tuple[bytes, AuditEntry]:
    """The encoded answer and its entry."""
    request, caller = asked.request, asked.caller
    people = _people(tx, request.pseudonym)
    consent = combined(NOTHING_SAID, [*(person.consent for person in people), asked.consent])
    own = {person.sid: combined(person.consent, [consent]) for person in people}
    reasoned = bool(request.reason.strip())
    # Of whom some dates may not be seen, others may: each record is asked for by its own date below.
    plain = consent_for(parts, caller, of_any_date(consent))
    question = question_of(caller, Action.LOOK_UP, most_open(parts, "Patient"), plain, reasoned=reasoned)
    general = decision_on(parts.policies, question)
    all_kept = _kept(tx, people) if general.allowed else []
    found = [
        kept
        for kept in all_kept
        if _is_wanted(kept, request) and _is_permitted(parts, asked, kept, own.get(kept.sid, consent))
    ]
    answer = msgspec.msgpack.encode(
        LookupAnswer(
            resources=[with_source(kept) for kept in found[:RESOURCES_MAX]],
            refusal="" if general.allowed else "; ".join(general.reasons),
            is_cut=len(found) > RESOURCES_MAX or len(all_kept) >= SCAN_MAX,
            waiting=pending.count(tx),
        )
    )
    entry = journal(
        parts,
        caller,
        kind="answer" if general.allowed else "refuse",
        action=Action.LOOK_UP,
        outcome="allowed" if general.allowed else "refused",
        reason=request.reason if general.allowed else "; ".join(general.reasons),
        policy=general.digest,
        subjects=[request.pseudonym],
        summary=_summary(found[:RESOURCES_MAX]),
        peer=asked.claims.node,
        facts=None if general.allowed else facts_of(question, general),
        digest=sha256(answer).hexdigest(),
    )
    return answer, entry


def _people(tx: Transaction, pseudonym: Pseudonym) -> list[Subject]:
    """The subjects that are the person; one whose identity was taken back or is being corrected may be another."""
    return [each for each in subjects.subjects_of(tx, pseudonym) if each.state is SubjectState.KNOWN]


def _kept(tx: Transaction, people: Iterable[Subject]) -> list[StoredResource]:
    """Everything kept of them, latest clinical date first."""
    found = [kept for person in people for kept in resources.of_subject(tx, person.sid, None, SCAN_MAX)]
    return sorted(found, key=lambda kept: kept.instant or "", reverse=True)


def _is_wanted(kept: StoredResource, request: LookupRequest) -> bool:
    """Whether type and day are asked for; what has no day belongs to every period.

    A day begins in Beijing and ends in Greenwich, because a date without a time is kept as its beginning there: what
    may lie in the period is given.
    """
    if request.types and kept.type not in request.types:
        return False
    if kept.instant is None:
        return True
    begins = f"{date.fromisoformat(request.since) - _DAY}T16" if request.since else ""
    ends = f"{date.fromisoformat(request.until) + _DAY}" if request.until else "~"
    return begins <= kept.instant < ends


def _is_permitted(parts: NodeParts, asked: Asked, kept: StoredResource, consent: str) -> bool:
    """Policy's word on a resource's class and date; remembered, so cheap for every further resource like it."""
    reasoned = bool(asked.request.reason.strip())
    decision = decide_on(
        parts, asked.caller, Action.LOOK_UP, kept.resource_class, consent, reasoned=reasoned, data_at=kept.instant
    )
    return decision.allowed


def _summary(found: Sequence[StoredResource]) -> str:
    """How many of each type were given."""
    counts: dict[str, int] = {}
    for kept in found:
        counts[kept.type] = counts.get(kept.type, 0) + 1
    return f"{len(found)} resources: " + ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))

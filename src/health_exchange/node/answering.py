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
from health_exchange.model.errors import ExchangeError
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import Sensitivity
from health_exchange.node.callers import Caller
from health_exchange.node.checking import alarm, check_ticket, check_unspent, spend_ticket
from health_exchange.node.entitlement import Told, UncheckableTicketError, check_person, people_of, told_by
from health_exchange.node.journal import Entered, journal, log
from health_exchange.node.letterbox import open_request, seal_answer
from health_exchange.node.parts import NodeParts
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
    RESOURCES_MAX,
    LookupAnswer,
    LookupRequest,
    ProvenAnswer,
    check_period,
)
from health_exchange.protocol.tickets import SpentTicketError, TicketClaims
from health_exchange.store import pending, resources
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject

LOOKUP_PATH = "/exchange/v1/lookup"
LETTER = "look-up"
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
    await check_unspent(parts, claims, sender)
    try:
        check_period(request.since, request.until)
        told = told_by(parts, request, claims)
        await check_person(parts, pseudonyms, request, claims)
    except UncheckableTicketError:
        raise
    except ExchangeError as error:
        await alarm(parts, sender, request_id, error)
        raise
    asked = Asked(claims=claims, caller=caller, request=request, told=told)
    answer, entries = await parts.store.read(lambda tx: _answer(tx, parts, asked))
    entered = await parts.store.write(partial(_enter, parts=parts, claims=claims, entries=entries))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A look-up whose ticket and directions are good."""

    claims: TicketClaims
    caller: Caller
    request: LookupRequest
    told: Told


def _enter(tx: Transaction, parts: NodeParts, claims: TicketClaims, entries: Sequence[AuditEntry]) -> Entered | None:
    """Spend the ticket and enter the answer in the log; ``None`` where it was used before."""
    if not spend_ticket(tx, claims, parts.clock.now()):
        return None
    shown, *others = entries
    entered = log(tx, shown)
    for entry in others:
        log(tx, entry)
    return entered


def _answer(tx: Transaction, parts: NodeParts, asked: Asked) -> tuple[bytes, list[AuditEntry]]:
    """The encoded answer and its entries, the one that the asker is shown first.

    What a refusal was decided on is for auditors, so it has an entry of its own.
    """
    request, caller = asked.request, asked.caller
    people = people_of(tx, request.pseudonym)
    consent = combined(NOTHING_SAID, [*(person.consent for person in people), asked.told.consent])
    own = {person.sid: combined(person.consent, [consent]) for person in people}
    # Of whom some dates may not be seen, others may: each record is asked for by its own date below.
    plain = consent_for(parts, caller, of_any_date(consent))
    reasoned = bool(request.reason.strip())
    question = question_of(caller, Action.LOOK_UP, most_open(parts, "Patient"), plain, reasoned=reasoned)
    general = decision_on(parts.policies, question)
    all_kept = _kept(tx, people, request.types) if general.allowed else []
    found = [
        kept
        for kept in all_kept
        if _is_wanted(kept, request) and _is_permitted(parts, asked, kept, own.get(kept.sid, consent))
    ]
    answer = msgspec.msgpack.encode(
        LookupAnswer(
            resources=[with_source(kept, here=str(parts.address)) for kept in found[:RESOURCES_MAX]],
            refusal="" if general.allowed else "; ".join(general.reasons),
            is_cut=len(found) > RESOURCES_MAX or len(all_kept) >= SCAN_MAX,
            waiting=pending.count(tx),
        )
    )
    shown = journal(
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
        digest=sha256(answer).hexdigest(),
    )
    if general.allowed:
        return answer, [shown]
    return answer, [shown, msgspec.structs.replace(shown, digest=msgspec.UNSET, facts=facts_of(question, general))]


def _kept(tx: Transaction, people: Iterable[Subject], types: Sequence[str]) -> list[StoredResource]:
    """Everything of some types kept of them, latest clinical date first."""
    found = [
        kept
        for person in people
        for wanted in types or (None,)
        for kept in resources.of_subject(tx, person.sid, wanted, SCAN_MAX)
    ]
    return sorted(found, key=lambda kept: kept.instant or "", reverse=True)


def _is_wanted(kept: StoredResource, request: LookupRequest) -> bool:
    """Whether the day is asked for; what has no day belongs to every period.

    A day begins in Beijing and ends in Greenwich, because a date without a time is kept as its beginning there: what
    may lie in the period is given.
    """
    if kept.instant is None:
        return True
    since = date.fromisoformat(request.since) if request.since else date.min
    until = date.fromisoformat(request.until) if request.until else date.max
    begins = f"{since - _DAY}T16" if since > date.min else ""
    ends = f"{until + _DAY}" if until < date.max else "~"
    return begins <= kept.instant < ends


def _is_permitted(parts: NodeParts, asked: Asked, kept: StoredResource, consent: str) -> bool:
    """Policy's word on a resource's class and date; remembered, so cheap for every further resource like it.

    Where the nation has not told what the person objects to, nothing sensitive is given but through broken glass.
    """
    is_sensitive = kept.resource_class.sensitivity >= Sensitivity.SENSITIVE
    if is_sensitive and not asked.told.by_nation and asked.caller.purpose is not Purpose.BREAK_THE_GLASS:
        return False
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

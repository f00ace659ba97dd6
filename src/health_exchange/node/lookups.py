"""Looking a person up across the country: identity in, originals out, with proof that it was asked and answered.

The order is fixed: policy here, the key holders (pseudonym and ticket), the nation (who holds something, what the
person objects to), the holders in parallel, and an entry in this node's log before anything is shown. An answer without
a proof from its holder's log is refused. Nothing of an answer is kept, and neither is the pseudonym.

Whatever did not work is named: a result never pretends to be complete.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import msgspec

from health_exchange.audit.entries import Facts
from health_exchange.audit.wording import printable
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.answering import LETTER, LOOKUP_PATH, answer_request
from health_exchange.node.callers import Caller
from health_exchange.node.guidance import guidance_for
from health_exchange.node.holders import Holders
from health_exchange.node.journal import journal, log
from health_exchange.node.letterbox import PeerRefusedError, ask_peer
from health_exchange.node.lookup_results import HolderOutcome, LookupResult, Wanted
from health_exchange.node.parts import NodeParts
from health_exchange.node.persons import best_identity
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.reading import Reading
from health_exchange.node.refusals import facts_of
from health_exchange.node.rights import most_open, question_of, refusal
from health_exchange.node.ticketing import Ticketed, obtain_ticket
from health_exchange.node.vouching import check_answer
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import decision_on
from health_exchange.protocol.lookups import LookupRequest, ProvenAnswer, SignedDirections, blinding_about
from health_exchange.pseudonym.binding import seal_blinding
from health_exchange.pseudonym.identities import Identity, holds_national_id
from health_exchange.store import counters
from health_exchange.store.engine import Transaction
from health_exchange.telemetry.trace import note

NONCE_BYTES = 12
REASON_CHARACTERS_MAX = 500


class GlassTooOftenError(ExchangeError):
    """The practitioner has broken the glass as often as one may in a day."""

    category = Category.FORBIDDEN
    code = "glass-broken-too-often"


class BadReasonError(ExchangeError):
    """The reason for breaking the glass is missing or too long."""

    category = Category.INCORRECT
    code = "bad-reason"


class LookUps:
    """Looks persons up for practitioners registered at this node.

    Args:
        parts: The node's.
        holders: The key holders as it sees them.
        pseudonyms: Tells whom tickets are for, where this node holds something itself.
        reading: Reads the Patient that a look-up is by.
    """

    def __init__(self, parts: NodeParts, holders: Holders, pseudonyms: PseudonymClient, reading: Reading) -> None:
        self._parts = parts
        self._holders = holders
        self._pseudonyms = pseudonyms
        self._reading = reading

    async def look_up(self, wanted: Wanted, caller: Caller) -> LookupResult:
        """What the practitioner gets of a person's records in the whole country.

        Raises:
            ForbiddenError: Policy refuses the look-up, whoever it is about.
            BadReasonError, GlassTooOftenError: Breaking the glass takes a reason, and is bounded.
            UnavailableError: Too few key holders answer, or neither the nation nor any province says where to ask.
        """
        asking = replace(caller, purpose=wanted.purpose)
        await self._permit(wanted, asking)
        # A ticket is good once, so its name is ours to give: a client that asks again under its own name is answered.
        asking = replace(asking, request_id=RequestId(str(UUID(bytes=self._parts.randomness(16), version=4))))
        note(ticket=asking.request_id)
        ticketed: Ticketed | None = None
        try:
            ticketed = await obtain_ticket(self._parts, self._holders, wanted.identity, asking, wanted.reason)
            guidance = await guidance_for(self._parts, ticketed, wanted.reason)
        except ExchangeError as error:
            await self._give_back(asking)
            await self._enter(asking, wanted, ticketed, (), failure=error)
            raise
        outcomes = await asyncio.gather(
            *(self._ask(node, directions, ticketed, wanted) for node, directions in guidance.routes.items())
        )
        await self._enter(asking, wanted, ticketed, outcomes)
        return LookupResult(
            request_id=asking.request_id,
            ticket_holders=tuple(receipt.holder for receipt in ticketed.ticket.receipts),
            directions_by=guidance.by,
            lost=guidance.lost,
            behind=guidance.behind,
            outcomes=tuple(sorted(outcomes, key=lambda each: str(each.node))),
        )

    async def identity_of(self, patient_id: str, caller: Caller) -> Identity:
        """The exchange-wide identity of a Patient kept here, for a look-up of the same person elsewhere.

        Raises:
            NotFoundError: No such Patient is kept here, the caller may not see it, or it has no such identity.
        """
        found = await self._reading.read("Patient", patient_id, caller)
        identity = best_identity(msgspec.json.decode(found.body), where="Patient")
        if identity is None:
            raise NotFoundError("this Patient has no identity that the exchange knows")
        return identity

    async def _permit(self, wanted: Wanted, caller: Caller) -> None:
        """Refuse what this node's own policy refuses, and count broken glass."""
        if len(wanted.reason) > REASON_CHARACTERS_MAX:
            raise BadReasonError(f"a reason has at most {REASON_CHARACTERS_MAX} characters")
        if holds_national_id(wanted.reason):
            raise BadReasonError("a reason stands in logs of other nodes: it must not hold an identity number")
        reasoned = bool(wanted.reason.strip())
        question = question_of(caller, Action.LOOK_UP, most_open(self._parts, "Patient"), reasoned=reasoned)
        decision = decision_on(self._parts.policies, question)
        refused: ExchangeError | None = None
        facts: Facts | None = None
        if not decision.allowed:
            refused, facts = refusal(decision), facts_of(question, decision)
        elif wanted.purpose is Purpose.BREAK_THE_GLASS:
            allowed = self._parts.limits.broken_glass_per_day
            if await self._parts.store.write(lambda tx: self._count(tx, caller)) > allowed:
                refused = GlassTooOftenError(f"one practitioner may break the glass {allowed} times a day")
        if refused is not None:
            await self._enter(caller, wanted, None, (), failure=refused, facts=facts)
            raise refused

    def _count(self, tx: Transaction, caller: Caller, amount: int = 1) -> int:
        """One more breaking of the glass by the practitioner today; how many that makes."""
        day = self._parts.clock.now().date().isoformat()
        return counters.add(tx, f"broken-glass:{caller.principal.id}", day, amount)

    async def _give_back(self, caller: Caller) -> None:
        """Nobody was asked for records, so no glass was broken."""
        if caller.purpose is Purpose.BREAK_THE_GLASS:
            await self._parts.store.write(lambda tx: self._count(tx, caller, -1))

    async def _ask(
        self, node: NodeAddress, directions: SignedDirections, ticketed: Ticketed, wanted: Wanted
    ) -> HolderOutcome:
        """Ask one holder, and believe it only with its log's proof."""
        request_id = ticketed.ticket.claims.request_id
        request = LookupRequest(
            ticket=ticketed.ticket,
            pseudonym=ticketed.name.pseudonym,
            reason=wanted.reason,
            blinding=seal_blinding(
                ticketed.name.link,
                ticketed.blinding,
                about=blinding_about(ticketed.ticket.claims, node),
                nonce=self._parts.randomness(NONCE_BYTES),
            ),
            directions=directions,
            types=wanted.types,
            since=wanted.since,
            until=wanted.until,
        )
        try:
            async with asyncio.timeout(self._parts.limits.holder_deadline_s):
                proven = await self._proven(node, request, request_id)
            card = self._parts.directory.nodes[node]
            answer = check_answer(
                proven, ticketed.ticket.claims, ticketed.name.pseudonym, card, self._parts.clock.now()
            )
        except TimeoutError:
            return HolderOutcome(node=node, problem=f"no answer within {self._parts.limits.holder_deadline_s:g} s")
        except ExchangeError as error:
            if isinstance(error, PeerRefusedError) and error.by_policy:
                return HolderOutcome(node=node, refusal=error.detail)
            return HolderOutcome(node=node, problem=error.detail)
        return HolderOutcome(
            node=node,
            resources=answer.resources,
            refusal=printable(answer.refusal),
            is_cut=answer.is_cut,
            waiting=answer.waiting,
            position=proven.position,
        )

    async def _proven(self, node: NodeAddress, request: LookupRequest, request_id: str) -> ProvenAnswer:
        """The holder's answer; this node asks itself without a wire."""
        parts = self._parts
        if node == parts.address:
            return await answer_request(parts, self._pseudonyms, request, node, request_id=request_id)
        return await ask_peer(parts, node, LOOKUP_PATH, LETTER, request_id, request, ProvenAnswer)

    async def _enter(
        self,
        caller: Caller,
        wanted: Wanted,
        ticketed: Ticketed | None,
        outcomes: Sequence[HolderOutcome],
        failure: ExchangeError | None = None,
        facts: Facts | None = None,
    ) -> None:
        """Make the look-up's own entry durable, before anything is shown."""
        refused = failure is not None and failure.category is Category.FORBIDDEN
        entry = journal(
            self._parts,
            caller,
            kind="refuse" if refused else "look-up",
            action=Action.LOOK_UP,
            outcome="allowed" if failure is None else "refused" if refused else "failed",
            reason="; ".join(part for part in (failure.detail if failure is not None else "", wanted.reason) if part),
            policy=self._parts.policies.digest,
            subjects=[ticketed.name.pseudonym] if ticketed is not None else [],
            summary=_summary(outcomes),
            facts=facts,
        )
        await self._parts.store.write(partial(log, entry=entry))


def _summary(outcomes: Sequence[HolderOutcome]) -> str:
    """Who gave how much, and who did not."""
    given = sum(len(each.resources) for each in outcomes)
    answered = [str(each.node) for each in outcomes if each.position is not None]
    others = [str(each.node) for each in outcomes if each.position is None]
    parts = [f"{given} resources", f"answered: {' '.join(sorted(answered)) or '-'}"]
    return "; ".join([*parts, f"not answered: {' '.join(sorted(others))}"] if others else parts)

"""What a refusal was decided on: kept in its entry of the log, and made into the explanation that an auditor reads.

The refused hears the reasons that policy lets it tell, and a reference: the request's id. What the refusal was decided
on (the class of the record, the person's consents) is for auditors; finding it is itself an entry of the log, with a
row for each person it is about.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from health_exchange.audit.entries import AuditEntry, Facts, decode_entry
from health_exchange.model.errors import NotFoundError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.node.callers import Caller
from health_exchange.node.journal import SALT_BYTES, journal, log_each
from health_exchange.node.parts import NodeParts
from health_exchange.node.rights import question_of, refusal
from health_exchange.policy.decisions import Action, Decision, Principal
from health_exchange.policy.explanation import Explanation, explain
from health_exchange.policy.questions import Question, decision_on
from health_exchange.store import audit_log

REFUSALS_MAX = 100
"""Most refusals shown under one reference; a client that names its requests may use a name again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRefusal:
    """One refusal, for an auditor.

    Attributes:
        entry: What the log says.
        explanation: What today's policies say to the same question; ``None`` where it was no policy that refused.
        decided_alike: Whether today's policies refuse by the same policies; ``None`` as above.
    """

    entry: AuditEntry
    explanation: Explanation | None
    decided_alike: bool | None


def facts_of(question: Question, decision: Decision) -> Facts:
    """What the log keeps of a refused question, beside what every entry says."""
    asked = question.resource_class
    return Facts(
        address=question.principal.address,
        tier=question.principal.tier,
        type=asked.type if asked else "",
        sensitivity=int(asked.sensitivity) if asked else 0,
        category=str(asked.category) if asked else "",
        jurisdiction=asked.jurisdiction if asked else "",
        consent=question.consent,
        reasoned=question.reasoned,
        policies=decision.policies,
    )


def decision_entry(  # noqa: PLR0913  # a decision, and what its entry says beside it
    parts: NodeParts,
    caller: Caller,
    question: Question,
    decision: Decision,
    *,
    kind: str,
    outcome: str = "allowed",
    subjects: Iterable[Pseudonym] = (),
    summary: str = "",
    peer: str = "",
) -> AuditEntry:
    """The entry of what policy decided: a refusal with its reasons and facts, else what was done.

    Args:
        parts: The node's.
        caller: Who asked, for the purpose that was decided on.
        question: What policy was asked.
        decision: Its word.
        kind: Kind of entry where it is allowed.
        outcome: What came of it where it is allowed.
        subjects: Whom it is about.
        summary: What of.
        peer: Node that asked, where one did.
    """
    allowed = decision.allowed
    return journal(
        parts,
        caller,
        kind=kind if allowed else "refuse",
        action=str(question.action),
        outcome=outcome if allowed else "refused",
        reason="" if allowed else "; ".join(decision.reasons),
        policy=decision.digest,
        subjects=subjects,
        summary=summary,
        peer=peer,
        facts=None if allowed else facts_of(question, decision),
    )


async def permit(  # a question with its parts
    parts: NodeParts, caller: Caller, question: Question, *, summary: str, subjects: Iterable[Pseudonym] = ()
) -> Decision:
    """Go on only where policy lets the caller; a refusal is in the log before he hears of it.

    Args:
        parts: The node's.
        caller: Who asks, for the purpose that is asked about.
        question: What policy is asked.
        summary: What of, for the refusal's entry.
        subjects: Whose records it is about, for that entry.

    Raises:
        ForbiddenError: Policy refuses.
    """
    decision = decision_on(parts.policies, question)
    if not decision.allowed:
        entry = decision_entry(parts, caller, question, decision, kind="refuse", subjects=subjects, summary=summary)
        await parts.store.write_each(log_each, entry)
        raise refusal(decision)
    return decision


def question_in(entry: AuditEntry) -> Question | None:
    """The question that a refusal in the log answered; ``None`` where it was no policy that refused."""
    facts = entry.facts
    if facts is msgspec.UNSET:
        return None
    return Question(
        principal=Principal(
            kind=entry.principal_kind,
            id=entry.principal,
            organization=entry.organization,
            tier=facts.tier,
            address=facts.address,
        ),
        action=Action(entry.action),
        resource_class=ResourceClass(
            type=facts.type,
            sensitivity=Sensitivity(facts.sensitivity),
            category=SensitiveCategory(facts.category),
            jurisdiction=facts.jurisdiction,
        )
        if facts.type
        else None,
        purpose=Purpose(entry.purpose),
        consent=facts.consent,
        reasoned=facts.reasoned,
    )


class Refusals:
    """Finds refusals by the reference that the refused was given."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def explain(self, reference: str, caller: Caller) -> list[ExplainedRefusal]:
        """Every refusal under a reference, the latest first; reading it is in the log before it is answered.

        Raises:
            ForbiddenError: The caller may not read the log; his own refusal is in it.
            NotFoundError: No refusal here has that reference.
        """
        parts = self._parts
        question = question_of(caller, Action.READ_LOG, None)
        decision = decision_on(parts.policies, question)
        found = (
            await parts.store.read(lambda tx: audit_log.entries_under(tx, reference, REFUSALS_MAX))
            if decision.allowed
            else []
        )
        entries = [decode_entry(raw[SALT_BYTES:]) for raw in found]
        own = decision_entry(
            parts,
            caller,
            question,
            decision,
            kind="log-read",
            subjects={subject for entry in entries for subject in entry.subjects},
            summary=f"{len(entries)} refusals by reference",
        )
        await parts.store.write_each(log_each, own)
        if not decision.allowed:
            raise refusal(decision)
        if not entries:
            raise NotFoundError("no refusal here has that reference")
        return [self._explained(entry) for entry in entries]

    def _explained(self, entry: AuditEntry) -> ExplainedRefusal:
        """The same question again, to today's policies."""
        question = question_in(entry)
        if question is None or entry.facts is msgspec.UNSET:
            return ExplainedRefusal(entry=entry, explanation=None, decided_alike=None)
        explanation = explain(self._parts.policies, question)
        alike = not explanation.allowed and tuple(rule.id for rule in explanation.policies) == entry.facts.policies
        return ExplainedRefusal(entry=entry, explanation=explanation, decided_alike=alike)

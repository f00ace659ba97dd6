"""What reading comes to, whatever is read: an answer, its entry in the log, and only then what is handed out.

Every answer, refusal and miss is an entry in the log, durable before the first byte leaves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from health_exchange.audit.entries import AuditEntry, Facts
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.callers import Caller
from health_exchange.node.journal import journal, log_each
from health_exchange.node.parts import NodeParts
from health_exchange.node.refusals import facts_of
from health_exchange.node.rights import consent_for, question_of, refusal
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question, decision_on
from health_exchange.search.finding import FoundPage
from health_exchange.store.database import TooSlowError
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject

ABSENT = "nothing is kept here under that reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a read found, with what the log says of it.

    Attributes:
        error: What the caller hears instead of a resource.
        kept: The resource, where he gets one.
        action: What was asked for.
        outcome: ``allowed``, ``refused`` or ``failed``.
        reason: Why not.
        policy: Digest of the policies that decided.
        facts: What a refusal was decided on.
        subjects: Whose records were touched.
        summary: Types and counts.
    """

    action: Action
    outcome: str
    error: ExchangeError | None = None
    kept: Sequence[StoredResource] = ()
    page: FoundPage | None = None
    total: int | None = None
    reason: str = ""
    policy: str = ""
    facts: Facts | None = None
    subjects: tuple[Pseudonym, ...] = ()
    summary: str = ""


async def asked(  # a question with its parts
    parts: NodeParts,
    caller: Caller,
    ask: Callable[[Transaction], Answer],
    *,
    action: Action,
    subjects: Iterable[Pseudonym] = (),
    summary: str = "",
) -> Answer:
    """The answer to what may take long, once its entry in the log is durable.

    Args:
        parts: The node's.
        caller: Who asks.
        ask: Finds the answer.
        action: What is asked for.
        subjects: Whom it names: asking for someone is logged even where it is ended.
        summary: What the log says of it then.

    Raises:
        ExchangeError: As the answer says.
        TooSlowError: It takes too long, which is in the log, too.
    """
    late = Answer(
        action=action,
        outcome="failed",
        policy=parts.policies.digest,
        subjects=tuple(sorted(subjects)),
        summary=summary,
    )
    answer = await _at_length(parts, caller, ask, late)
    return await told(parts, caller, answer)


async def told(parts: NodeParts, caller: Caller, answer: Answer) -> Answer:
    """An answer that is there already, once its entry is durable; raises as it says."""
    await enter(parts, caller, answer)
    if answer.error is not None:
        raise answer.error
    return answer


async def _at_length(parts: NodeParts, caller: Caller, ask: Callable[[Transaction], Answer], late: Answer) -> Answer:
    """An answer that may take long, or ``late`` with why it was ended."""
    try:
        return await parts.store.read(ask, asker=caller.principal.id)
    except TooSlowError as error:
        return replace(late, error=error, reason=error.code)


async def enter(parts: NodeParts, caller: Caller, answer: Answer) -> None:
    """Make the entry of an answer durable."""
    await parts.store.write_each(log_each, entry_of(parts, caller, answer))


def entry_of(parts: NodeParts, caller: Caller, answer: Answer) -> AuditEntry:
    """What the log says of an answer."""
    return journal(
        parts,
        caller,
        kind="refuse" if answer.outcome == "refused" else "read",
        action=str(answer.action),
        outcome=answer.outcome,
        reason=answer.reason,
        policy=answer.policy,
        subjects=answer.subjects,
        summary=answer.summary,
        facts=answer.facts,
    )


def hiding(
    parts: NodeParts, caller: Caller, owners: Mapping[int, Subject], kept: StoredResource, now: StoredResource
) -> tuple[Question, Decision] | None:
    """What hides a version of a resource from the caller; ``None`` where he may read it.

    A former version is as sensitive as what is known now, so that what was raised since then is not read around. Where
    it was another person's, both have a say: whose it was, and whose it is.

    Args:
        parts: The node's.
        caller: Who asks.
        owners: Whose the versions are, by row.
        kept: The version.
        now: The current one.
    """
    same = kept.version == now.version
    for version, sid in [(now, now.sid)] if same else [(kept, kept.sid), (kept, now.sid), (now, now.sid)]:
        owner = owners.get(sid)
        consent = owner.consent if owner is not None else ""
        plain = consent_for(parts, caller, consent, data_at=version.instant)
        question = question_of(caller, Action.READ, version.resource_class, plain)
        decision = decision_on(parts.policies, question)
        if not decision.allowed:
            return question, decision
    return None


def refused(
    question: Question,
    decision: Decision,
    *,
    error: ExchangeError | None = None,
    subjects: tuple[Pseudonym, ...] = (),
    summary: str = "",
) -> Answer:
    """A refusal: the caller hears ``error`` or else the reasons, the log keeps what it was decided on."""
    return Answer(
        action=question.action,
        outcome="refused",
        error=error or refusal(decision),
        reason="; ".join(decision.reasons) or "no policy allows this",
        policy=decision.digest,
        facts=facts_of(question, decision),
        subjects=subjects,
        summary=summary,
    )

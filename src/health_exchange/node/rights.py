"""What a caller may see here, decided per class of resource and consent class of its subject, never per resource.

The answer is a condition for the search below (``search.finding.Permitted``) and one decision that stands for it in the
log. A caller whom policy refuses even the most open record of a type is told so; one who may see some of a type cannot
tell a refused resource from an absent one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from health_exchange.model.errors import ForbiddenError
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity, class_of
from health_exchange.node.callers import Caller
from health_exchange.node.parts import NodeParts
from health_exchange.policy.consent_rules import effective
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question, decision_on
from health_exchange.search.permission import Permitted, classes_of, consents_of
from health_exchange.store.engine import Transaction

NO_CONSENT = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What one caller may do with some resources.

    Attributes:
        permitted: The condition for the search.
        decision: An allowing decision if anything is permitted, else the refusal of the most open record.
        question: What that record's decision was asked.
    """

    permitted: Permitted
    decision: Decision
    question: Question

    @property
    def is_refused(self) -> bool:
        """Whether the caller is to be told that he may not."""
        return self.permitted.is_empty and not self.decision.allowed


def question_of(  # the parts of a question
    caller: Caller,
    action: Action,
    resource_class: ResourceClass | None,
    consent: str = NO_CONSENT,
    *,
    reasoned: bool = False,
) -> Question:
    """What policy is asked about one class of resource under one consent class."""
    return Question(
        principal=caller.principal,
        action=action,
        resource_class=resource_class,
        purpose=caller.purpose,
        consent=consent,
        reasoned=reasoned,
    )


def decide_on(  # a question with its parts
    parts: NodeParts,
    caller: Caller,
    action: Action,
    resource_class: ResourceClass | None,
    consent: str = NO_CONSENT,
    *,
    reasoned: bool = False,
    data_at: str | None = None,
) -> Decision:
    """Policy's word on one class of resource under what a person has said, for this caller now.

    Args:
        parts: The node's.
        caller: Who asks, and why.
        action: What for.
        resource_class: About what.
        consent: All that the person has said, with its conditions.
        reasoned: Whether whoever breaks the glass has said why.
        data_at: Clinical date of the one resource that is asked for, where it is one.
    """
    plain = consent_for(parts, caller, consent, data_at=data_at)
    return decision_on(parts.policies, question_of(caller, action, resource_class, plain, reasoned=reasoned))


def consent_for(parts: NodeParts, caller: Caller, consent: str, *, data_at: str | None = None) -> str:
    """What all that a person has said comes to for this caller now, as the plain text that policy takes."""
    return effective(
        consent,
        at=parts.clock.now(),
        organization=caller.principal.organization,
        purpose=caller.purpose,
        data_at=data_at,
    )


def most_open(parts: NodeParts, resource_type: str) -> ResourceClass:
    """The least sensitive class that a resource of a type could have here."""
    return class_of(resource_type, Sensitivity.OPEN, SensitiveCategory.GENERAL, str(parts.address))


def rights(  # a question with its parts
    tx: Transaction,
    parts: NodeParts,
    caller: Caller,
    action: Action,
    *,
    resource_type: str | None = None,
    sids: Iterable[int] | None = None,
) -> Rights:
    """What the caller may see, as of this transaction.

    Args:
        tx: The transaction that the search runs in, so that no class slips in between.
        parts: The node's.
        caller: Who asks, and why.
        action: What for.
        resource_type: Only of this type.
        sids: Only of these subjects.
    """
    known = classes_of(tx, resource_type)
    question = question_of(caller, action, most_open(parts, resource_type or "Patient"))
    decision = decision_on(parts.policies, question)
    texts: dict[str, list[str]] = {}
    for consent in consents_of(tx, sids):
        texts.setdefault(consent_for(parts, caller, consent), []).append(consent)
    permitted: dict[str, frozenset[int]] = {}
    for plain, consents in texts.items():
        allowed = set()
        for number, resource_class in known.items():
            decided = decide_on(parts, caller, action, resource_class, plain)
            if decided.allowed:
                allowed.add(number)
                decision = decided
        permitted |= dict.fromkeys(consents, frozenset(allowed))
    is_whole = sids is None and all(len(allowed) == len(known) for allowed in permitted.values())
    return Rights(permitted=Permitted(classes=permitted, is_whole=is_whole), decision=decision, question=question)


def refusal(decision: Decision) -> ForbiddenError:
    """A refusal as the caller hears it."""
    return ForbiddenError("; ".join(decision.reasons) or "no policy allows this")

"""A question to policy as one value: what the explanation changes, the table enumerates and the log keeps."""

from dataclasses import dataclass

from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass
from health_exchange.policy.decisions import Action, Decision, Principal
from health_exchange.policy.engine import PolicySet, decide


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Everything a decision may depend on; the arguments of ``engine.decide``."""

    principal: Principal
    action: Action
    resource_class: ResourceClass | None
    purpose: Purpose
    consent: str = ""
    reasoned: bool = False


def decision_on(policies: PolicySet, question: Question) -> Decision:
    """What ``policies`` say to ``question``."""
    return decide(
        policies,
        question.principal,
        question.action,
        question.resource_class,
        purpose=question.purpose,
        consent=question.consent,
        reasoned=question.reasoned,
    )

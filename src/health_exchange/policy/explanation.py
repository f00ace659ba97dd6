"""Why a question was decided as it was: the policies, the facts they looked at, and what would turn a refusal.

The smallest change is found by asking again: each fact that the asker or the person could change, changed alone, then
two at a time. How sensitive a record is and where it comes from are facts of the record; nobody changes those to be
let in. Explaining tells only what the question holds already: whoever makes up a question learns about policies, never
about records. Questions that were really refused are explained to auditors (``node.refusals``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from types import MappingProxyType

from health_exchange.model.purposes import Purpose
from health_exchange.policy.conditions import Fact
from health_exchange.policy.consents import read_consent_class
from health_exchange.policy.decisions import Action, PrincipalKind
from health_exchange.policy.engine import PolicySet, Rule
from health_exchange.policy.questions import Question, decision_on
from health_exchange.policy.wording import CATEGORIES, LEVELS, PURPOSES, say, with_article

CHANGED_MAX = 2
"""Most things done otherwise together."""
CHANGES_MAX = 6
"""Most changes told; they are sorted by how near they are to what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidingPolicy:
    """One policy that decided."""

    id: str
    effect: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedFact:
    """One fact that was looked at, with its value in the question."""

    fact: Fact
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Facts that, changed together, turn the refusal, and the words for it."""

    facts: tuple[Fact, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything there is to say of one decision.

    Attributes:
        question: In a sentence.
        allowed: What was decided.
        policies: Those that decided; none where nothing permits.
        reasons: Why, a sentence each.
        facts: What the deciding policies looked at, or else those that permit such a thing.
        changes: The smallest that would turn a refusal, nearest first; none where nothing small would.
        advice: The same in one sentence; empty where it was allowed.
        digest: Of the policies.
    """

    question: str
    allowed: bool
    policies: tuple[DecidingPolicy, ...]
    reasons: tuple[str, ...]
    facts: tuple[UsedFact, ...]
    changes: tuple[Change, ...]
    advice: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing done otherwise: a fact changed, or the two that breaking the glass is."""

    facts: tuple[Fact, ...]
    clause: str
    changed: Callable[[Question], Question]


def explain(policies: PolicySet, question: Question) -> Explanation:
    """The decision on ``question``, and why; some hundred decisions where it is a refusal."""
    decision = decision_on(policies, question)
    rules = [policies.rules[name] for name in decision.policies if name in policies.rules]
    changes = () if decision.allowed else tuple(_smallest(policies, question))[:CHANGES_MAX]
    return Explanation(
        question=say(question),
        allowed=decision.allowed,
        policies=tuple(
            DecidingPolicy(id=rule.name, effect="permit" if rule.permits else "forbid", reason=rule.reason)
            for rule in rules
        ),
        reasons=decision.reasons,
        facts=tuple(
            UsedFact(fact=fact, value=_VALUES[fact](question)) for fact in _looked_at(policies, question, rules)
        ),
        changes=changes,
        advice="" if decision.allowed else _advice(changes),
        digest=decision.digest,
    )


def _looked_at(policies: PolicySet, question: Question, rules: Sequence[Rule]) -> list[Fact]:
    """The facts that deciding policies look at; where none decided, those of all that permit the action."""
    speaking = rules or [rule for rule in policies.rules.values() if rule.permits and rule.speaks_of(question.action)]
    used = {Fact.KIND, Fact.ACTION} | {fact for rule in speaking for fact in rule.facts}
    return [fact for fact in Fact if fact in used]


def _smallest(policies: PolicySet, question: Question) -> Iterator[Change]:
    """The fewest things done otherwise that turn the refusal."""
    steps = list(_steps(question))
    found = False
    for size in range(1, CHANGED_MAX + 1):
        for chosen in sorted(combinations(range(len(steps)), size), key=sum):
            taken = [steps[index] for index in chosen]
            facts = tuple(fact for step in taken for fact in step.facts)
            if len(set(facts)) < len(facts):
                continue
            changed = question
            for step in taken:
                changed = step.changed(changed)
            if decision_on(policies, changed).allowed:
                found = True
                yield Change(facts=facts, sentence=" and ".join(step.clause for step in taken))
        if found:
            return


def _advice(changes: Sequence[Change]) -> str:
    if not changes:
        return f"no {CHANGED_MAX} changes would turn this refusal"
    return f"it would be allowed {'; or '.join(change.sentence for change in changes)}"


def _steps(question: Question) -> Iterator[_Step]:
    """Every single change that somebody could bring about, the nearest first."""
    if not question.reasoned:
        yield _Step((Fact.REASON,), "with a reason", partial(replace, reasoned=True))
    yield from _other_purposes(question)
    if question.action in {Action.READ, Action.SEARCH, Action.VIEW_PERSON}:
        yield _Step((Fact.ACTION,), "as a look-up, with a ticket", partial(replace, action=Action.LOOK_UP))
    yield from _other_consents(question)
    if question.purpose is not Purpose.BREAK_THE_GLASS:
        clause = "with a reason: breaking the glass"
        broken = partial(replace, purpose=Purpose.BREAK_THE_GLASS, reasoned=True)
        yield _Step((Fact.PURPOSE, Fact.REASON), clause, broken)
    yield from _other_places(question)
    yield from _other_kinds(question)


def _other_purposes(question: Question) -> Iterator[_Step]:
    for purpose, name in PURPOSES.items():
        if purpose not in {question.purpose, Purpose.BREAK_THE_GLASS}:
            yield _Step((Fact.PURPOSE,), f"for {name} ({purpose})", partial(replace, purpose=purpose))


def _other_consents(question: Question) -> Iterator[_Step]:
    """What the person could say otherwise: take an objection back, or grant."""
    said, asked = read_consent_class(question.consent), question.resource_class
    if said.objects:
        clause = "if the person took back the objection to all sharing"
        yield _Step((Fact.CONSENT,), clause, partial(replace, consent=""))
        return
    if asked is None:
        return
    mine, name = str(asked.category), CATEGORIES[asked.category]
    if mine in said.objections:
        without = str(replace(said, objections=said.objections - {mine}))
        clause = f"if the person took back the objection to sharing {name} records"
        yield _Step((Fact.CONSENT,), clause, partial(replace, consent=without))
    if mine not in said.grants:
        granted = str(replace(said, grants=said.grants | {mine}))
        clause = f"if the person consented to sharing {name} records"
        yield _Step((Fact.CONSENT,), clause, partial(replace, consent=granted))


def _other_places(question: Question) -> Iterator[_Step]:
    """Where else whoever asks could be: at the record's origin; a node, above it and as deep as it is."""
    who, asked = question.principal, question.resource_class
    if asked is None or not who.address:
        return
    place = asked.jurisdiction
    if who.kind == PrincipalKind.NODE:
        place = "/".join(place.split("/")[: len(who.address.split("/"))])
    if place != who.address:
        yield _Step((Fact.PLACE,), f"at {place}", partial(_as, address=place))


def _other_kinds(question: Question) -> Iterator[_Step]:
    """As whom else a person could ask; a node is what it is."""
    if question.principal.kind == PrincipalKind.NODE:
        return
    for kind in PrincipalKind:
        if kind not in {question.principal.kind, PrincipalKind.NODE}:
            yield _Step((Fact.KIND,), f"as {with_article(kind)}", partial(_as, kind=str(kind)))


def _as(question: Question, **changes: str) -> Question:
    """The question with another principal."""
    return replace(question, principal=replace(question.principal, **changes))


def _place(question: Question) -> str:
    here = question.principal.address or "the deciding node"
    asked = question.resource_class
    return here if asked is None else f"{here}; the record comes from {asked.jurisdiction}"


def _of_class(name: Callable[..., str]) -> Callable[[Question], str]:
    """A value of the class asked about, where there is one."""
    return lambda question: name(question.resource_class) if question.resource_class is not None else "about no record"


_VALUES: Mapping[Fact, Callable[[Question], str]] = MappingProxyType(
    {
        Fact.KIND: lambda question: question.principal.kind,
        Fact.ORGANIZATION: lambda question: question.principal.organization or "none",
        Fact.TIER: lambda question: question.principal.tier or "none",
        Fact.PLACE: _place,
        Fact.ACTION: lambda question: str(question.action),
        Fact.TYPE: _of_class(lambda asked: asked.type),
        Fact.SENSITIVITY: _of_class(lambda asked: f"{int(asked.sensitivity)} ({LEVELS[asked.sensitivity]})"),
        Fact.CATEGORY: _of_class(lambda asked: str(asked.category)),
        Fact.PURPOSE: lambda question: f"{question.purpose} ({PURPOSES[question.purpose]})",
        Fact.CONSENT: lambda question: question.consent or "nothing said",
        Fact.REASON: lambda question: "given" if question.reasoned else "not given",
    }
)

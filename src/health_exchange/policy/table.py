"""Everything that policies come to: each combination of facts decided, equal ones grouped until a person can read it.

Enumerated are action, kind of principal, where it is registered as it lies to the record's origin, purpose, reason,
consent as it lies to the record's category, category, type and level. Values that no policy names cannot be told apart
by any (Cedar compares texts; where a policy compares with a pattern nothing is left out), so one of them stands for
all; nor can situations that differ only in facts at which no policy looks that could speak of them. Only what is
allowed has a line; everything else is refused.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff
from itertools import product
from types import MappingProxyType
from typing import Any

from health_exchange.fhir.elements import resource_types
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.conditions import Fact
from health_exchange.policy.consents import OBJECTS_TO_ALL
from health_exchange.policy.decisions import Action, Decision, Principal, PrincipalKind
from health_exchange.policy.engine import PolicySet
from health_exchange.policy.questions import Question, decision_on
from health_exchange.policy.wording import ON_HOLDINGS

ORIGIN = "cn/33/3305/330521"
STRANGER = "anybody else"
"""A kind of principal that policies do not know."""
COLUMNS = ("who", "action", "where", "purpose", "reason", "consent", "type", "category", "levels")

_PLACES: Mapping[str, str] = MappingProxyType(
    {"here": "", "origin": ORIGIN, "above": "cn/33", "elsewhere": "cn/51/5101/510121"}
)
"""Where a person's organisation is registered: at the node that decides, the record's origin, a node above it, or
another; and the addresses that stand for these."""
_NODES: Mapping[Tier, Mapping[str, str]] = MappingProxyType(
    {
        Tier.NATION: {"above": "cn"},
        Tier.PROVINCE: {"above": "cn/33", "elsewhere": "cn/51"},
        Tier.CITY: {"above": "cn/33/3305", "elsewhere": "cn/51/5101"},
        Tier.COUNTY: {"origin": ORIGIN, "elsewhere": "cn/51/5101/510121"},
        Tier.ATTACHED: {"origin": ORIGIN, "elsewhere": "cn/51/5100"},
        Tier.STANDALONE: {"elsewhere": "zz"},
    }
)
_CONSENTS: Mapping[str, str] = MappingProxyType(
    {
        "-": "",
        "deny this": "deny:{this}",
        "deny other": "deny:{other}",
        "grant this": "permit:{this}",
        "grant other": "permit:{other}",
        "deny+grant this": "deny:{this};permit:{this}",
        "deny all": OBJECTS_TO_ALL,
    }
)
_REASONS: Mapping[str, bool] = MappingProxyType({"no": False, "yes": True})
_PERSONS = [str(kind) for kind in PrincipalKind if kind is not PrincipalKind.NODE]
_ANY_CATEGORY = str(SensitiveCategory.GENERAL)
_FEW = 5
"""A group that lacks fewer than one of so many values is named by what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One combination.

    Attributes:
        action: What is asked for.
        who: A kind of principal, ``node <tier>``, or :data:`STRANGER`.
        where: A key of the places.
        purpose: Why; one purpose may stand for all that no policy names.
        reasoned: Whether a reason is given.
        consent: What the person has said, as it lies to the category.
        type: Of the record, or ``-``.
        category: Of the record, or ``-``.
        level: Of the record, or ``-``.
    """

    action: Action
    who: str
    where: str
    purpose: Purpose
    reasoned: bool
    consent: str
    type: str
    category: str
    level: int | str

    @property
    def is_on_records(self) -> bool:
        """Whether it is about records, not about a node's log, counts or locators."""
        return self.action not in ON_HOLDINGS

    def question(self) -> Question:
        """The situation as policy is asked."""
        this = SensitiveCategory.GENERAL if self.category == "-" else SensitiveCategory(self.category)
        other = next(category for category in reversed(SensitiveCategory) if category is not this)
        return Question(
            principal=_principal(self.who, self.where),
            action=self.action,
            resource_class=ResourceClass(
                type=self.type, sensitivity=Sensitivity(self.level), category=this, jurisdiction=ORIGIN
            )
            if isinstance(self.level, int)
            else None,
            purpose=self.purpose,
            consent=_CONSENTS[self.consent].format(this=this, other=other),
            reasoned=self.reasoned,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTable:
    """All situations, decided.

    Attributes:
        decisions: By situation.
        stands_for: Each purpose, type or category with those it stands for.
    """

    decisions: Mapping[Situation, Decision]
    stands_for: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, policies: PolicySet) -> "DecisionTable":
        """Decide everything; some 15 s."""
        purposes = standing_for_all(policies, list(Purpose))
        categories = standing_for_all(policies, list(SensitiveCategory))
        types = standing_for_all(policies, sorted(resource_types(), key=lambda name: (name != "Observation", name)))
        looked_at = _looked_at(policies)
        decided: dict[Situation, Decision] = {}
        decisions: dict[Situation, Decision] = {}
        for situation in _situations([Purpose(name) for name in purposes], list(types), list(categories)):
            seen = _seen(situation, looked_at[situation.who.partition(" ")[0], situation.action])
            if seen not in decided:
                decided[seen] = decision_on(policies, seen.question())
            decisions[situation] = decided[seen]
        return cls(decisions=decisions, stands_for=MappingProxyType(purposes | categories | types))

    def lines(self) -> list[str]:
        """The table as text: a line for each group of situations that is allowed."""
        tree: dict[Any, Any] = {}
        for situation, decision in self.decisions.items():
            *path, last = _path(situation)
            branch = tree
            for value in path:
                branch = branch.setdefault(value, {})
            branch[last] = decision.allowed
        return [" | ".join(COLUMNS), *(" | ".join(labels) for labels in self._grouped(tree, 0))]

    def _grouped(self, branch: Mapping[Any, Any], depth: int) -> Iterator[tuple[str, ...]]:
        """Labels of everything allowed below a branch, values with equal branches together."""
        if depth == len(COLUMNS) - 1:
            if any(branch.values()):
                yield (_levels([level for level, allowed in branch.items() if allowed]),)
            return
        groups: list[tuple[list[Any], Any]] = []
        for value, below in branch.items():
            equal = next((values for values, known in groups if known == below), None)
            if equal is None:
                groups.append(([value], below))
            else:
                equal.append(value)
        for values, below in groups:
            label = _label(self._meant(values), self._meant(branch))
            yield from ((label, *labels) for labels in self._grouped(below, depth + 1))

    def _meant(self, values: Iterable[str]) -> list[str]:
        """Values with all that they stand for."""
        return [other for value in values for other in self.stands_for.get(value, (value,))]


def standing_for_all(policies: PolicySet, values: Sequence[str]) -> dict[str, list[str]]:
    """Those values that policies can tell apart, each with the ones it stands for."""
    named = {text for rule in policies.rules.values() for text in rule.values}
    if any(rule.is_patterned for rule in policies.rules.values()):
        named = set(values)
    found: dict[str, list[str]] = {str(value): [str(value)] for value in values if value in named}
    unnamed = [str(value) for value in values if value not in named]
    return found | ({unnamed[0]: unnamed} if unnamed else {})


def moved(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Lines that a change of policy takes away (``-``) and brings (``+``)."""
    changes = unified_diff(list(before), list(after), lineterm="", n=0)
    return [line for line in changes if not line.startswith(("---", "+++", "@@"))]


def _looked_at(policies: PolicySet) -> dict[tuple[str, Action], frozenset[Fact]]:
    """By kind of principal and action, what any policy that could speak of them looks at."""
    return {
        (kind, action): frozenset(
            fact
            for rule in policies.rules.values()
            if rule.kind in {"", kind.capitalize()} and rule.speaks_of(action)
            for fact in rule.facts
        )
        for kind in (*PrincipalKind, STRANGER.partition(" ")[0])
        for action in Action
    }


def _seen(situation: Situation, looked_at: frozenset[Fact]) -> Situation:
    """The one situation that stands for all that differ only in what nobody looks at."""
    who, places = situation.who, _PLACES
    if who.startswith(PrincipalKind.NODE):
        tier = Tier(who.partition(" ")[2]) if looked_at & {Fact.TIER, Fact.PLACE} else next(iter(_NODES))
        who, places = f"{PrincipalKind.NODE} {tier}", _NODES[tier]
    return replace(
        situation,
        who=who,
        where=situation.where if Fact.PLACE in looked_at else next(iter(places)),
        reasoned=situation.reasoned and Fact.REASON in looked_at,
        consent=situation.consent if Fact.CONSENT in looked_at else "-",
        category=situation.category if Fact.CATEGORY in looked_at or situation.category == "-" else _ANY_CATEGORY,
        level=situation.level if Fact.SENSITIVITY in looked_at or situation.level == "-" else 1,
    )


def _situations(purposes: Sequence[Purpose], types: Sequence[str], categories: Sequence[str]) -> Iterator[Situation]:
    """Every combination."""
    principals = [(who, where) for who in [*_PERSONS, STRANGER] for where in _PLACES]
    principals += [(f"node {tier}", where) for tier, places in _NODES.items() for where in places]
    for action in Action:
        classes: Iterable[tuple[str, str, int | str]] = [("-", "-", "-")]
        if action not in ON_HOLDINGS:
            classes = list(product(types, categories, map(int, Sensitivity)))
        everything = product(principals, purposes, _REASONS.values(), _CONSENTS, classes)
        for (who, where), purpose, reasoned, consent, (resource_type, category, level) in everything:
            yield Situation(
                action=action,
                who=who,
                where=where,
                purpose=purpose,
                reasoned=reasoned,
                consent=consent,
                type=resource_type,
                category=category,
                level=level,
            )


def _path(situation: Situation) -> tuple[Any, ...]:
    """The values in the order of the columns."""
    one = situation
    reason = "yes" if one.reasoned else "no"
    return (one.who, str(one.action), one.where, one.purpose, reason, one.consent, one.type, one.category, one.level)


def _label(values: Sequence[str], possible: Sequence[str]) -> str:
    """A group's name: its values, or those that are missing where they are few."""
    missing = [value for value in possible if value not in values]
    if len(missing) * _FEW >= len(possible) or len(possible) == 1:
        return ", ".join(values)
    return f"all but {', '.join(missing)}" if missing else "any"


def _principal(who: str, where: str) -> Principal:
    kind, _space, tier = who.partition(" ")
    if kind == PrincipalKind.NODE:
        address = _NODES[Tier(tier)][where]
        return Principal(kind=kind, id=address, tier=tier, address=address)
    return Principal(kind=who, id=who, organization="121000001000791901", address=_PLACES[where])


def _levels(levels: Sequence[int | str]) -> str:
    """``1-4``, or ``yes`` where there are no levels."""
    if "-" in levels:
        return "yes"
    spans: list[list[int]] = []
    for level in map(int, levels):
        if spans and spans[-1][-1] == level - 1:
            spans[-1].append(level)
        else:
            spans.append([level])
    return ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)

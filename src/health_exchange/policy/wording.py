"""Questions to policy in words: read from a line that an operator types, and said in a sentence that anybody reads.

A line is a list of words in any order, each of one vocabulary: ``clinician look-up Observation level 5 HIV from
cn/33/3305/330521 at cn/51/5101/510121 for TREAT with reason consent permit:HIV``. Nothing in it is guessed: a word that
no vocabulary has is refused by its place in the line and is not repeated, for it may name somebody.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from health_exchange.fhir.elements import resource_types
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.consents import read_consent_class
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import HOLDINGS
from health_exchange.policy.questions import Question

PURPOSES: Mapping[Purpose, str] = MappingProxyType(
    {
        Purpose.TREATMENT: "treatment",
        Purpose.EMERGENCY_TREATMENT: "emergency treatment",
        Purpose.BREAK_THE_GLASS: "breaking the glass",
        Purpose.PAYMENT: "payment",
        Purpose.OPERATIONS: "running a health service",
        Purpose.SYSTEM_ADMINISTRATION: "system administration",
        Purpose.PUBLIC_HEALTH: "public health",
        Purpose.RESEARCH: "research",
        Purpose.PATIENT_REQUEST: "a request of the person",
        Purpose.AUDIT: "an audit",
    }
)
CATEGORIES: Mapping[SensitiveCategory, str] = MappingProxyType(
    {
        SensitiveCategory.GENERAL: "general",
        SensitiveCategory.PSYCHIATRIC: "psychiatric",
        SensitiveCategory.REPRODUCTIVE: "reproductive",
        SensitiveCategory.GENETIC: "genetic",
        SensitiveCategory.ABUSE: "abuse",
        SensitiveCategory.SUBSTANCE: "substance use",
        SensitiveCategory.HIV: "HIV",
    }
)
LEVELS: Mapping[Sensitivity, str] = MappingProxyType({level: level.name.lower() for level in Sensitivity})
ON_HOLDINGS = frozenset(HOLDINGS)
"""Actions that are about no record."""
HERE = "cn/33/3305/330521"
"""Where a record comes from if a question does not say: some admitting node."""
_MEANT_FOR_PEOPLE = frozenset({"a", "an", "asks", "to", "of", "the", "records", "record", "for", "because"})

Value = TypeVar("Value")


class UnclearQuestionError(ExchangeError):
    """Words or fields that no question to policy can be made of."""

    category = Category.INCORRECT
    code = "unclear-question"


def read_words(line: str) -> Question:
    """The question that a line of words asks.

    Raises:
        UnclearQuestionError: A word is in no vocabulary, a word that another must follow is the last, or who, what or
            why is missing.
    """
    fields: dict[str, str] = {}
    words = enumerate(line.split(), start=1)
    for place, word in words:
        if word.lower() in _MEANT_FOR_PEOPLE:
            continue
        name = _FOLLOWED.get(word.lower()) or _vocabulary_of(word)
        if name is None:
            known = f"a kind ({_list(PrincipalKind)}), an action ({_list(Action)}), a purpose ({_list(Purpose)})"
            raise UnclearQuestionError(f"word {place} is not known: say {known}, a type, 'level N', a category")
        value = next(words, (0, ""))[1] if word.lower() in _FOLLOWED else word
        if not value:
            raise UnclearQuestionError(f"word {place} must be followed by what it announces")
        if name in fields:
            raise UnclearQuestionError(f"word {place} says again what was said before: {name}")
        fields[name] = value if word.lower() != "without" else ""
    return read_fields(fields)


def read_fields(fields: Mapping[str, object]) -> Question:
    """The question that named fields ask; which they are, and what each can be, is ``_ALLOWED``.

    Raises:
        UnclearQuestionError: A field is unknown, missing, or has a value that it cannot have.
    """
    if fields.keys() - _FIELDS:
        raise UnclearQuestionError(f"a question has the fields {_list(_FIELDS)}")
    given = {name: str(value) for name, value in fields.items() if value is not None}
    for name in ("kind", "action", "purpose"):
        if name not in given:
            raise UnclearQuestionError(f"{name} is missing: who asks, what for, and why", where=name)
    if given["kind"].lower() == PrincipalKind.NODE and not given.keys() >= {"tier", "at"}:
        raise UnclearQuestionError("a node asks as a tier and at a place: say both", where="kind")
    action = _read("action", given, lambda text: Action(text.lower()))
    principal = Principal(
        kind=_read("kind", given, lambda text: PrincipalKind(text.lower())),
        id="somebody",
        organization=given.get("organization", ""),
        tier=str(_read("tier", given, lambda text: Tier(text.lower()))) if "tier" in given else "",
        address=str(_read("at", given, NodeAddress.parse)) if "at" in given else "",
    )
    return Question(
        principal=principal,
        action=action,
        resource_class=None if action in ON_HOLDINGS else _class_in(given),
        purpose=_read("purpose", given, lambda text: Purpose(text.upper())),
        consent=_read("consent", given, _consent) if "consent" in given else "",
        reasoned=given.get("reason", "").lower() not in {"", "no", "false", "none"},
    )


def question_fields() -> Mapping[str, str]:
    """The fields of a question by name, and what each can be."""
    return _ALLOWED


def say(question: Question) -> str:
    """The question as a sentence."""
    who, asked = question.principal, question.resource_class
    parts = [with_article(f"{who.tier} node" if who.tier else who.kind)]
    parts.append(f"at {who.address}" if who.address else "at the deciding node")
    parts.append(f"asks to {question.action}")
    if asked is not None:
        parts.append(f"{asked.type} of level {int(asked.sensitivity)} ({LEVELS[asked.sensitivity]}),")
        parts.append(f"category {CATEGORIES[asked.category]}, from {asked.jurisdiction},")
    parts.append(f"for {PURPOSES[question.purpose]} ({question.purpose}),")
    parts.append("with a reason;" if question.reasoned else "without a reason;")
    parts.append(f"the person has said {question.consent or 'nothing'}")
    return " ".join(parts)


def with_article(noun: str) -> str:
    """``a clinician``, ``an auditor``."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _class_in(given: Mapping[str, str]) -> ResourceClass:
    """The class of record that is asked about; what is not said is the most ordinary."""
    return ResourceClass(
        type=_read("type", given, _resource_type) if "type" in given else "Observation",
        sensitivity=_read("level", given, lambda text: Sensitivity(int(text))) if "level" in given else Sensitivity(3),
        category=_read("category", given, _category) if "category" in given else SensitiveCategory.GENERAL,
        jurisdiction=str(_read("from", given, NodeAddress.parse)) if "from" in given else HERE,
    )


def _read(name: str, given: Mapping[str, str], read: Callable[[str], Value]) -> Value:
    """One field as what it stands for.

    Raises:
        UnclearQuestionError: It cannot have this value; the value is not repeated.
    """
    try:
        return read(given[name])
    except ValueError:
        pass
    raise UnclearQuestionError(f"{name} cannot be that: it is {_ALLOWED[name]}", where=name)


def _consent(text: str) -> str:
    """A consent class as written; one that nobody writes would object to everything and only confuse here."""
    if str(read_consent_class(text)) != text:
        raise ValueError("no consent class")
    return text


def _category(text: str) -> SensitiveCategory:
    return SensitiveCategory(text.lower() if text.lower() == SensitiveCategory.GENERAL else text.upper())


def _resource_type(text: str) -> str:
    if text not in resource_types():
        raise ValueError("no type")
    return text


def _vocabulary_of(word: str) -> str | None:
    """The field that a word is a value of."""
    lower, upper = word.lower(), word.upper()
    if lower in set(PrincipalKind):
        return "kind"
    if lower in set(Action):
        return "action"
    if upper in set(Purpose):
        return "purpose"
    if lower == SensitiveCategory.GENERAL or upper in set(SensitiveCategory):
        return "category"
    if lower in set(Tier):
        return "tier"
    return "type" if word in resource_types() else None


def _list(words: Iterable[str]) -> str:
    return ", ".join(map(str, words))


_FOLLOWED: Mapping[str, str] = MappingProxyType(
    {
        "level": "level",
        "from": "from",
        "at": "at",
        "consent": "consent",
        "organization": "organization",
        "with": "reason",
        "without": "reason",
    }
)
"""Words that announce the next one, and what field it is of."""

_ALLOWED: Mapping[str, str] = MappingProxyType(
    {
        "kind": f"one of {_list(PrincipalKind)}",
        "organization": "a unified social credit code",
        "at": "a node's address like cn/33/3305",
        "tier": f"one of {_list(Tier)}",
        "action": f"one of {_list(Action)}",
        "type": "a FHIR R4 resource type like Observation",
        "level": "1 to 5",
        "category": f"one of {_list(SensitiveCategory)}",
        "from": "a node's address like cn/33/3305/330521",
        "purpose": f"one of {_list(Purpose)}",
        "consent": "a consent class like deny:PSY;permit:HIV or deny:*",
        "reason": "yes or no",
    }
)
_FIELDS = _ALLOWED.keys()

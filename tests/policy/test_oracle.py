"""A million random questions, to the policies and to an oracle that was written from the sentences: one answer."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from tests.policy.oracle import may
from tests.policy.test_engine import SCHEMA, TEXTS

from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import PolicySet
from health_exchange.policy.questions import Question, decision_on

POLICIES = PolicySet.load(TEXTS, SCHEMA)
TYPES = ("Patient", "Observation", "Condition", "Consent", "Claim", "Immunization", "Location")
CATEGORIES = list(SensitiveCategory)
ODD_CONSENTS = (
    "deny:",
    "permit:*",
    "deny:HIV,GDIS",
    "permit:HIV;deny:PSY",
    "nonsense",
    "deny:hiv",
    ";",
    "deny:*;permit:HIV",
    "permit:R",
    'rules:{"objections":[{"kinds":["PSY"],"purposes":["PUBHLTH"]}]}',
)
WORLDS = 10
SMALL_WORLDS = 40
"""Most that are looked through for a slip; most slips are in the first."""
PER_WORLD = 100_000
PRINCIPALS, CLASSES, CONSENTS = 10, 8, 4
"""How many there are in a world: at most 57,600 different questions, so that each is decided but once."""


def _address(dice: Random) -> str:
    """Any place of the country."""
    province, city, county = (dice.randrange(1, 10) for _level in range(3))
    segments = ["cn", f"{province}1", f"{province}10{city}", f"{province}10{city}0{county}"]
    return "/".join(segments[: dice.choice((1, 2, 3, 4, 4))])


def _near(dice: Random, addresses: Sequence[str]) -> str:
    """One of ``addresses``, or a place above it."""
    segments = dice.choice(addresses).split("/")
    return "/".join(segments[: dice.randrange(1, len(segments) + 1)])


def _consent(dice: Random) -> str:
    """What a person may have said, and now and then what nobody says."""
    if dice.random() < 0.15:
        return dice.choice(ODD_CONSENTS)
    if dice.random() < 0.15:
        return "deny:*"
    kinds = {"deny": [*map(str, CATEGORIES), "R"], "permit": [*map(str, CATEGORIES)]}
    lists = {verb: sorted(dice.sample(known, dice.randrange(len(known) // 2))) for verb, known in kinds.items()}
    return ";".join(f"{verb}:{','.join(names)}" for verb, names in lists.items() if names)


def _principal(dice: Random, origins: Sequence[str]) -> Principal:
    return Principal(
        kind=dice.choice([*PrincipalKind, PrincipalKind.NODE, PrincipalKind.CLINICIAN, "stranger"]),
        id=f"client-{dice.randrange(10**6)}",
        organization=f"{dice.randrange(10**18):018d}",
        tier=dice.choice([*Tier, ""]),
        address=dice.choice(("", _address(dice), _near(dice, origins), dice.choice(origins))),
    )


def _questions(seed: int, count: int) -> Iterator[Question]:
    """Questions of one world: its people, records and consents, in any combination."""
    dice = Random(seed)
    classes = [
        ResourceClass(
            type=dice.choice(TYPES),
            sensitivity=dice.choice(list(Sensitivity)),
            category=dice.choice(CATEGORIES),
            jurisdiction=_address(dice),
        )
        for _each in range(CLASSES)
    ]
    origins = [each.jurisdiction for each in classes]
    principals = [_principal(dice, origins) for _each in range(PRINCIPALS)]
    consents = [_consent(dice) for _each in range(CONSENTS)]
    actions, purposes = list(Action), list(Purpose)
    for _each in range(count):
        yield Question(
            principal=dice.choice(principals),
            action=dice.choice(actions),
            resource_class=dice.choice(classes),
            purpose=dice.choice(purposes),
            consent=dice.choice(consents),
            reasoned=dice.random() < 0.5,
        )


def _disagreements(seed: int, count: int, policies: PolicySet = POLICIES) -> list[Question]:
    allowed, found = 0, []
    for question in _questions(seed, count):
        expected = may(question)
        allowed += expected
        if decision_on(policies, question).allowed != expected:
            found.append(question)
    assert count // 100 < allowed < count // 2, "questions that are nearly all refused would show little"
    return found


def test_policies_and_oracle_agree_on_a_small_world() -> None:
    assert _disagreements(1000, 10_000) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "slip"),
    [
        ("readers.cedar", "resource.sensitivity <= 3", "resource.sensitivity <= 4"),
        ("look-ups.cedar", "resource.sensitivity <= 4", "resource.sensitivity <= 5"),
        ("look-ups.cedar", "context.grants.contains", "context.objections.contains"),
        ("look-ups.cedar", 'context.purpose == "BTG" && context.reasoned', 'context.purpose == "ETREAT"'),
        ("facilities.cedar", '"TREAT", "ETREAT"', '"TREAT"'),
        ("facilities.cedar", "resource.origin == principal.place", "resource in principal.place"),
        ("sharing.cedar", "resource in principal.place && ", ""),
        ("consents.cedar", "context.objects", "false"),
        ("oversight.cedar", '"HLEGAL"', '"HOPERAT"'),
    ],
)
def test_a_slip_in_a_policy_is_a_disagreement(file: str, text: str, slip: str) -> None:
    assert text in TEXTS[file]
    slipped = PolicySet.load({**TEXTS, file: TEXTS[file].replace(text, slip)}, SCHEMA)

    assert any(_disagreements(seed, 10_000, slipped) for seed in range(1000, 1000 + SMALL_WORLDS))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(WORLDS))
def test_policies_and_oracle_agree_on_a_million_questions(seed: int) -> None:
    assert _disagreements(seed, PER_WORLD) == []

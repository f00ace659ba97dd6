"""Who goes which way: the cast list, repeated with other people until enough are on stage."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

from health_exchange.cli.samples.dice import Dice
from health_exchange.cli.samples.facilities import REGIONS
from health_exchange.cli.samples.pathways import (
    checkup,
    chronic,
    corrections,
    encephalitis,
    foreigner,
    hiv,
    pneumonia,
    pregnancy,
    psychiatric,
    stroke,
    tcm,
    village,
)
from health_exchange.cli.samples.people import Person, make_foreigner, make_person
from health_exchange.cli.samples.visit import Tale


class Role(NamedTuple):
    """One line of the cast list."""

    pathway: str
    tell: Callable[[Tale], None]
    ages: tuple[int, int]
    home: str
    away: str


CAST: tuple[Role, ...] = (
    Role("chronic", chronic.tell, (48, 76), "jintang", "pudong"),
    Role("encephalitis", encephalitis.tell, (2, 8), "deqing", "deqing"),
    Role("pneumonia", pneumonia.tell, (30, 80), "jintang", "deqing"),
    Role("stroke", stroke.tell, (55, 80), "jintang", "jintang"),
    Role("pregnancy", pregnancy.tell, (23, 38), "jintang", "pudong"),
    Role("foreigner", foreigner.tell, (30, 55), "deqing", "pudong"),
    Role("hiv", hiv.tell, (24, 50), "pudong", "deqing"),
    Role("psychiatric", psychiatric.tell, (18, 45), "deqing", "pudong"),
    Role("tcm", tcm.tell, (45, 70), "deqing", "pudong"),
    Role("village", village.tell, (20, 70), "jintang", "pudong"),
    Role("wrong-id", corrections.tell_wrong_id, (25, 60), "jintang", "jintang"),
    Role("wrong-result", corrections.tell_wrong_result, (25, 60), "pudong", "deqing"),
    Role("unknown", stroke.tell_unknown, (50, 75), "jintang", "jintang"),
    Role("pregnancy-id", pregnancy.tell_with_id, (23, 38), "deqing", "deqing"),
    Role("checkup", checkup.tell, (30, 60), "pudong", "deqing"),
    Role("never-known", stroke.tell_never_known, (40, 70), "deqing", "deqing"),
    Role("chronic", chronic.tell, (48, 76), "deqing", "deqing"),
    Role("encephalitis", encephalitis.tell, (2, 8), "jintang", "jintang"),
    Role("pneumonia", pneumonia.tell, (30, 80), "pudong", "pudong"),
    Role("stroke", stroke.tell, (55, 80), "deqing", "deqing"),
    Role("chronic", chronic.tell, (48, 76), "pudong", "jintang"),
    Role("village", village.tell, (20, 70), "deqing", "pudong"),
    Role("checkup", checkup.tell, (30, 60), "jintang", "pudong"),
    Role("tcm", tcm.tell, (45, 70), "deqing", "jintang"),
    Role("chronic", chronic.tell, (48, 76), "jintang", "deqing"),
    Role("pneumonia", pneumonia.tell, (30, 80), "deqing", "jintang"),
    Role("checkup", checkup.tell, (30, 60), "deqing", "pudong"),
    Role("village", village.tell, (20, 70), "pudong", "jintang"),
)
_ONCE = frozenset({"never-known"})
_NEWBORNS = frozenset({"pregnancy", "pregnancy-id"})
_FIRST_DAY = date(2025, 1, 6)


def tell_all(*, seed: int, people: int) -> list[tuple[str, Tale]]:
    """The tales of ``people`` persons (a pregnancy counts two), each with its pathway."""
    tales: list[tuple[str, Tale]] = []
    line = 0
    told = 0
    while told < people:
        role = CAST[line % len(CAST)]
        crowded = role.pathway in _NEWBORNS and told + 2 > people
        if crowded or (role.pathway in _ONCE and line >= len(CAST)):
            role = CAST[0]
        key = f"{line:03d}-{role.pathway}"
        line += 1
        tale = _begin(seed, key, role)
        role.tell(tale)
        tales.append((role.pathway, tale))
        told += len(tale.persons)
    return tales


def _begin(seed: int, key: str, role: Role) -> Tale:
    dice = Dice(seed, key)
    person = _cast(key, dice, role)
    start = _FIRST_DAY + timedelta(days=dice.below(150))
    return Tale(seed=seed, person=person, dice=dice, home=REGIONS[role.home], away=REGIONS[role.away], start=start)


def _cast(key: str, dice: Dice, role: Role) -> Person:
    if role.pathway == "foreigner":
        return make_foreigner(key, dice)
    gender = "female" if role.pathway in _NEWBORNS else ""
    return make_person(key, dice, ages=role.ages, gender=gender)

"""Invented people: composed names, birth dates, identities.

No name is taken from anyone: surname and given name are drawn apart. National IDs have the date and check digit of
GB 11643 but stand on division codes whose first two digits GB/T 2260 never gave to a province, so that no such number
was ever issued. 81 to 83 are left out (residence permits use them) and 9x too (permanent residence of foreigners).
"""

from dataclasses import dataclass, field
from datetime import date, timedelta

from health_exchange.cli.samples.dice import Dice

NATIONAL_ID_SYSTEMS = ("urn:oid:2.16.156.10011.1.3", "urn:oid:2.16.840.1.113883.2.23.1.19.1")
BIRTH_CERTIFICATE_SYSTEM = "https://health-exchange.example/birth-certificate"
PASSPORT_SYSTEM = "http://hl7.org/fhir/sid/passport-GBR"

NEVER_ASSIGNED_PREFIXES = (
    *("10", "16", "17", "18", "19", "20", "24", "25", "26", "27", "28", "29", "30"),
    *("38", "39", "40", "47", "48", "49", "55", "56", "57", "58", "59", "60"),
)
"""First two digits of division codes that belong to no province, now or before."""

TODAY = date(2026, 6, 30)
"""The end of the story; nothing in the samples is later."""

SURNAMES = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏窦章云苏潘葛范彭郎鲁韦马苗方俞任袁柳"
)
COMPOUND_SURNAMES = ("欧阳", "上官", "司徒", "夏侯", "慕容")
GIVEN_FEMALE = (
    "婉",
    "素",
    "兰",
    "芷",
    "蕙",
    "岚",
    "雅",
    "静",
    "秀",
    "月",
    "琴",
    "霞",
    "瑶",
    "梅",
    "洁",
    "晴",
    "欣",
    "怡",
)
GIVEN_MALE = (
    "建",
    "国",
    "志",
    "浩",
    "宇",
    "轩",
    "军",
    "勇",
    "松",
    "涛",
    "磊",
    "峰",
    "俊",
    "明",
    "康",
    "安",
    "博",
    "远",
)
GIVEN_EITHER = ("文", "清", "和", "思", "嘉", "宁", "子", "雨", "晨", "一", "佳", "永", "书", "云", "景", "若")

_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_CHECK_DIGITS = "10X98765432"


@dataclass(slots=True, kw_only=True)
class Person:
    """Someone who needs care. The identity may come late, or wrong first."""

    key: str
    family: str
    given: str
    gender: str
    born: date
    national_id: str = ""
    passport: str = ""
    birth_certificate: str = ""
    record_numbers: dict[str, str] = field(default_factory=dict)
    """Facility-local numbers by client id."""

    @property
    def is_foreign(self) -> bool:
        """Whether a passport is the identity."""
        return bool(self.passport)


def check_digit(first_17: str) -> str:
    """The last character of a national ID. Source: GB 11643, ISO 7064 MOD 11-2."""
    return _CHECK_DIGITS[sum(int(digit) * weight for digit, weight in zip(first_17, _WEIGHTS, strict=True)) % 11]


def make_national_id(dice: Dice, born: date, gender: str) -> str:
    """A number with a right date and check digit that was never issued; the 17th digit is odd for men."""
    division = dice.pick(NEVER_ASSIGNED_PREFIXES) + dice.digits(4)
    order = dice.digits(2) + str(2 * dice.below(5) + (gender == "male"))
    first_17 = f"{division}{born:%Y%m%d}{order}"
    return first_17 + check_digit(first_17)


def make_person(key: str, dice: Dice, *, ages: tuple[int, int], gender: str = "") -> Person:
    """Someone within ``ages`` (full years at the end of the story), with a national ID."""
    gender = gender or dice.pick(("female", "male"))
    born = TODAY - timedelta(days=dice.between(ages[0] * 366, ages[1] * 365 + 300))
    rare = dice.below(12) == 0
    family = dice.pick(COMPOUND_SURNAMES) if rare else dice.pick(SURNAMES)
    pool = (GIVEN_FEMALE if gender == "female" else GIVEN_MALE) + GIVEN_EITHER
    given = dice.pick(pool) + (dice.pick(pool) if dice.below(4) else "")
    person = Person(key=key, family=family, given=given, gender=gender, born=born)
    person.national_id = make_national_id(dice, born, gender)
    return person


def make_foreigner(key: str, dice: Dice) -> Person:
    """A guest with a passport. Nine digits that start with 000: no series begins so."""
    family, given = dice.pick((("Ashdown", "Rowan"), ("Thornbury", "Ellis"), ("Marlowe", "Quinn")))
    born = TODAY - timedelta(days=dice.between(30 * 366, 55 * 365))
    person = Person(key=key, family=family, given=given, gender=dice.pick(("female", "male")), born=born)
    person.passport = "000" + dice.digits(6)
    return person


def make_newborn(key: str, dice: Dice, mother: Person, born: date) -> Person:
    """A child of ``mother`` that nobody has registered yet."""
    gender = dice.pick(("female", "male"))
    return Person(key=key, family=mother.family, given="", gender=gender, born=born)

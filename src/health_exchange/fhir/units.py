"""Units of UCUM, exactly: what a code means in base units, and one quantity in the unit of another.

Pure. Numbers are fractions, so nothing is rounded: a gram is a thousand milligrams and no hair less. Codes are
case-sensitive; what stands in braces means nothing. The atoms are a table made by ``scripts/compile_units.py``, read
when the first code is looked at.

Source: The Unified Code for Units of Measure, version 2.2.
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

UCUM = "http://unitsofmeasure.org"
_CODE_MAX = 80
_EXPONENT_MAX = 64
"""Beyond it a decimal is no measured number, and as a fraction it would fill the memory."""
_BITS_MAX = 2_000
"""Of a factor's numerator and denominator: 10^99 three times has half of it, some atoms to the 99th ten times it."""
_REMEMBERED = 1 << 10
_PREFIX_MAX = 2
_ATOM = r"(?P<atom>10[*^]|(?:[!#-'*,:-Z\\^_`a-z|~]|\[[!-Z\\^-z|~]*\])+)(?P<power>[+-]?[0-9]{1,2})?"
_NUMBER = r"(?P<number>[0-9]{1,18})"
_COMPONENT = re.compile(f"{_ATOM}|{_NUMBER}")
_NOTE = re.compile(r"\{[!-z|~ ]*\}")
_ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit in base units: ``(number + offset) * factor`` of its dimension.

    Attributes:
        factor: Of one of it.
        dimension: Base units and their powers, in order.
        offset: What is added before; zero but on scales whose zero is elsewhere.
    """

    factor: Fraction
    dimension: tuple[tuple[str, int], ...] = ()
    offset: Fraction = Fraction(0)

    def base(self, number: Fraction) -> Fraction:
        """A number of this unit in base units."""
        return (number + self.offset) * self.factor


def unit_of(code: str) -> Unit | None:
    """What a code of UCUM means; ``None`` where it is none. Untrusted."""
    return _unit(code) if len(code) <= _CODE_MAX else None


@functools.lru_cache(maxsize=_REMEMBERED)
def _unit(code: str) -> Unit | None:
    """What a code that is not too long means."""
    try:
        unit, at = _term(code, 0)
    except _NoUnitError:
        return None
    return unit if at == len(code) else None


def converted(number: Decimal, code: str, to: str) -> Fraction | None:
    """A number of one unit in another one; ``None`` where one is no code of UCUM or nothing converts them."""
    # What is too long is no code, and is not remembered either.
    line = _between(code, to) if max(len(code), len(to)) <= _CODE_MAX else None
    if line is None or not _is_measured(number):
        return None
    return Fraction(number) * line[0] + line[1]


def base_of(number: Decimal, code: str) -> tuple[str, Fraction] | None:
    """The name of the base unit that a code of UCUM comes to, and the number in it; ``None`` where it is no code."""
    unit = unit_of(code)
    if unit is None or not _is_measured(number):
        return None
    return ".".join(f"{base}{power}" for base, power in unit.dimension), unit.base(Fraction(number))


@functools.lru_cache(maxsize=_REMEMBERED)
def _between(code: str, to: str) -> tuple[Fraction, Fraction] | None:
    """What a number of one unit is multiplied by, and what is added then, to be one of another."""
    here, there = unit_of(code), unit_of(to)
    if here is None or there is None or here.dimension != there.dimension:
        return None
    scale = here.factor / there.factor
    return scale, here.offset * scale - there.offset


def _is_measured(number: Decimal) -> bool:
    """Whether a decimal may be taken for a fraction."""
    return number.is_finite() and max(abs(number.adjusted()), len(number.as_tuple().digits)) <= _EXPONENT_MAX


class _NoUnitError(Exception):
    """What stands there is no unit; never leaves this module."""


def _term(code: str, at: int) -> tuple[Unit, int]:
    """The units multiplied and divided from ``at`` on, from left to right, and where they end."""
    whole, divided, first = Unit(_ONE), code.startswith("/", at), True
    at += divided
    while True:
        unit, at = _component(code, at)
        more = code[at : at + 1] in {".", "/"}
        if first and not divided and not more:
            return unit, at
        if unit.offset:
            raise _NoUnitError
        whole, first = _product(whole, _power(unit, -1) if divided else unit), False
        if not more:
            return whole, at
        divided, at = code[at] == "/", at + 1


def _component(code: str, at: int) -> tuple[Unit, int]:
    """One unit, number or term in parentheses, with or without a note, or the note alone; and where it ends."""
    note = _NOTE.match(code, at)
    if note is not None:
        return Unit(_ONE), note.end()
    unit, at = _without_note(code, at)
    note = _NOTE.match(code, at)
    return unit, note.end() if note is not None else at


def _without_note(code: str, at: int) -> tuple[Unit, int]:
    """What a note may stand behind."""
    if code.startswith("(", at):
        unit, at = _term(code, at + 1)
        if not code.startswith(")", at):
            raise _NoUnitError
        return unit, at + 1
    match = _COMPONENT.match(code, at)
    if match is None or (match["number"] and not int(match["number"])):
        raise _NoUnitError
    if match["number"]:
        return Unit(Fraction(int(match["number"]))), match.end()
    unit = _atom(match["atom"])
    if match["power"]:
        if unit.offset:
            raise _NoUnitError
        unit = _power(unit, int(match["power"]))
    return unit, match.end()


@functools.cache
def _atom(code: str) -> Unit:
    """An atom, with its prefix where it has one."""
    table = _table()
    for rows in (table["metric"], table["plain"]):
        if code in rows:
            return _defined(code, rows[code])
    for length in range(1, _PREFIX_MAX + 1):
        prefix, rest = code[:length], code[length:]
        if prefix in table["prefixes"] and rest in table["metric"]:
            unit, times = _atom(rest), Fraction(table["prefixes"][prefix])
            return Unit(unit.factor * times, unit.dimension, unit.offset / times)
    raise _NoUnitError


def _defined(code: str, row: str) -> Unit:
    """An atom as its row says."""
    if not row:
        return Unit(_ONE, ((code, 1),))
    value, of, *offset = row.split(" ")
    unit, _end = _term(of, 0)
    return Unit(Fraction(value) * unit.factor, unit.dimension, Fraction(offset[0][1:]) if offset else Fraction(0))


def _product(one: Unit, other: Unit) -> Unit:
    powers = Counter(dict(one.dimension))
    for base, power in other.dimension:
        powers[base] += power
    dimension = tuple(sorted((base, power) for base, power in powers.items() if power))
    return _computable(Unit(one.factor * other.factor, dimension))


def _power(unit: Unit, power: int) -> Unit:
    # What has n bits has at least (n - 1) * power + 1 in its power: told before it is computed.
    if (_bits(unit) - 1) * abs(power) >= _BITS_MAX:
        raise _NoUnitError
    dimension = tuple((base, each * power) for base, each in unit.dimension) if power else ()
    return _computable(Unit(unit.factor**power, dimension))


def _computable(unit: Unit) -> Unit:
    """A unit that is cheap to go on with; one that nobody measures in, and that fills the time, is none."""
    if _bits(unit) > _BITS_MAX:
        raise _NoUnitError
    return unit


def _bits(unit: Unit) -> int:
    return max(unit.factor.numerator.bit_length(), unit.factor.denominator.bit_length())


@functools.cache
def _table() -> Mapping[str, Mapping[str, str]]:
    """UCUM's atoms."""
    path = files("health_exchange.fhir.definitions").joinpath("units.json")
    table: Mapping[str, Mapping[str, str]] = json.loads(path.read_bytes())
    return table

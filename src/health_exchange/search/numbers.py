"""Numbers and quantities in searches: how precise a number is as written, and how two of them compare.

Pure. ``100`` means 99.5 up to 100.5, ``100.00`` means 99.995 up to 100.005; behind any prefix but ``ne`` and ``ap`` it
means exactly what it says. What is kept is taken as it is written, between its ends where it has two. A quantity of
another unit of UCUM is converted into the unit that is asked for, exactly; units that nothing converts are only what
they are written as.

Source: FHIR R4, sections 3.1.1.4.3 "number" and 3.1.1.4.9 "quantity".
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from health_exchange.fhir.parameter_table import Located
from health_exchange.fhir.units import UCUM, base_of, converted
from health_exchange.search.spans import Comparator
from health_exchange.search.terms import QuantityTerm

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?")
_CURRENCIES = "urn:iso:std:iso:4217"
_TENTH = Fraction(1, 10)
Number: TypeAlias = Decimal | Fraction
_End: TypeAlias = tuple[Decimal | None, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From ``low`` to ``high``, ``None`` where there is no end; an end that is left out is not part of it."""

    low: Number | None
    high: Number | None
    is_low_left_out: bool = False
    is_high_left_out: bool = False


def number_of(text: str) -> Decimal | None:
    """A number as precise as it is written; ``None`` where the text is none. Untrusted."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def interval_of(found: Located, asked: QuantityTerm | None = None) -> Interval | None:
    """The numbers that a kept value may mean; ``None`` where it says none, or none in the unit that is asked for."""
    ends = _ends(found)
    if ends is None:
        return None
    low, high = (_in_unit(asked, *end) if asked is not None and asked.code else end[0] for end in ends)
    if (low is None, high is None) != tuple(number is None for number, _quantity in ends):
        return None
    comparator = found.value.get("comparator", "") if isinstance(found.value, dict) else ""
    return Interval(
        low=None if comparator[:1] == "<" else low,
        high=None if comparator[:1] == ">" else high,
        is_low_left_out=comparator == ">",
        is_high_left_out=comparator == "<",
    )


def rank_of(found: Located, *, descending: bool) -> tuple[str, Number] | None:
    """What a kept value is sorted by: its unit, and its lowest or highest number; ``None`` where it says none.

    All units that UCUM converts into each other are one, and come in the order of what they measure.
    """
    ends = _ends(found)
    number, quantity = (None, None) if ends is None else ends[descending]
    if number is None:
        return None
    if not isinstance(quantity, dict):
        return "", number
    code = quantity.get("code") or quantity.get("unit") or quantity.get("currency") or ""
    in_base = base_of(number, code) if quantity.get("system") == UCUM else None
    return in_base or (code, number)


def compare_number(comparator: Comparator, number: Decimal, kept: Interval) -> bool:
    """Whether what is kept lies as asked."""
    # As fractions: a decimal is rounded to 28 digits wherever it is added to.
    asked, half = Fraction(number), _half(number)
    low, high = kept.low, kept.high
    reaches_above = high is None or high > asked
    reaches_below = low is None or low < asked
    touches_high = high == asked and not kept.is_high_left_out
    touches_low = low == asked and not kept.is_low_left_out
    margin = max(abs(asked) * _TENTH, half)
    return {
        Comparator.EQ: _is_within(asked, half, kept),
        Comparator.NE: not _is_within(asked, half, kept),
        Comparator.GT: reaches_above,
        Comparator.GE: reaches_above or touches_high,
        Comparator.LT: reaches_below,
        Comparator.LE: reaches_below or touches_low,
        Comparator.SA: not (reaches_below or touches_low),
        Comparator.EB: not (reaches_above or touches_high),
        Comparator.AP: (high is None or high >= asked - margin) and (low is None or low <= asked + margin),
    }[comparator]


def _ends(found: Located) -> tuple[_End, _End] | None:
    """The lowest and the highest number of a kept value, each with what its unit stands in; ``None`` where it has none.

    Only a Range may have one of them.
    """
    value = found.value
    if found.type == "Range":
        ends = [(_number_in(value.get(end)), value.get(end)) for end in ("low", "high")]
        return (ends[0], ends[1]) if any(number is not None for number, _quantity in ends) else None
    if found.type == "SampledData":
        low, high = _decimal(value.get("lowerLimit")), _decimal(value.get("upperLimit"))
        origin = value.get("origin")
        return ((low, origin), (high, origin)) if low is not None and high is not None else None
    number = _number_in(value)
    return ((number, value), (number, value)) if number is not None else None


def _in_unit(asked: QuantityTerm, number: Decimal | None, quantity: Any) -> Number | None:  # noqa: ANN401  # any JSON value
    """A number of a kept Quantity or Money in the unit that is asked for; ``None`` where it is not in such a unit."""
    if number is None or not isinstance(quantity, dict):
        return None
    if "currency" in quantity:
        return number if asked.code == quantity["currency"] and asked.system in {None, _CURRENCIES} else None
    system, code = quantity.get("system"), quantity.get("code")
    written = {code} if asked.system else {code, quantity.get("unit")}
    if asked.code in written and asked.system in {None, system}:
        return number
    if isinstance(code, str) and system == UCUM and asked.system in {None, UCUM}:
        return converted(number, code, asked.code)
    return None


def _is_within(asked: Fraction, half: Fraction, kept: Interval) -> bool:
    """Whether all that is kept lies in what a number means by its precision."""
    if kept.low is None or kept.high is None:
        return False
    return asked - half <= kept.low and kept.high < asked + half


def _half(asked: Decimal) -> Fraction:
    """Half of a number's last place."""
    exponent = asked.as_tuple().exponent
    return 5 * Fraction(10) ** (exponent - 1) if isinstance(exponent, int) else Fraction(0)


def _number_in(value: Any) -> Decimal | None:  # noqa: ANN401  # any JSON value
    """The number that an element is or has."""
    return _decimal(value.get("value") if isinstance(value, dict) else value)


def _decimal(value: Any) -> Decimal | None:  # noqa: ANN401  # any JSON value
    """A JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value))

"""Numbers and quantities in searches: how precise a number is as written, and how two of them compare.

Pure. ``100`` means 99.5 up to 100.5, ``100.00`` means 99.995 up to 100.005; behind any prefix but ``ne`` and ``ap`` it
means exactly what it says. What is kept is taken as it is written, between its ends where it has two.

Source: FHIR R4, sections 3.1.1.4.3 "number" and 3.1.1.4.9 "quantity".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from health_exchange.fhir.parameter_table import Located
from health_exchange.search.spans import Comparator
from health_exchange.search.terms import QuantityTerm

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,2})?")
_CURRENCIES = "urn:iso:std:iso:4217"
_TENTH = Decimal("0.1")
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From ``low`` to ``high``, ``None`` where there is no end; an end that is left out is not part of it."""

    low: Decimal | None
    high: Decimal | None
    is_low_left_out: bool = False
    is_high_left_out: bool = False


def number_of(text: str) -> Decimal | None:
    """A number as precise as it is written; ``None`` where the text is none. Untrusted."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def interval_of(found: Located) -> Interval | None:
    """The numbers that a kept value may mean; ``None`` where it says none."""
    value = found.value
    if found.type == "Range":
        low, high = _value_of(value.get("low")), _value_of(value.get("high"))
        return Interval(low=low, high=high) if low is not None or high is not None else None
    if found.type == "SampledData":
        low, high = _decimal(value.get("lowerLimit")), _decimal(value.get("upperLimit"))
        return Interval(low=low, high=high) if low is not None and high is not None else None
    number = _value_of(value) if isinstance(value, dict) else _decimal(value)
    if number is None:
        return None
    comparator = value.get("comparator", "") if isinstance(value, dict) else ""
    return Interval(
        low=None if comparator[:1] == "<" else number,
        high=None if comparator[:1] == ">" else number,
        is_low_left_out=comparator == ">",
        is_high_left_out=comparator == "<",
    )


def compare_number(comparator: Comparator, asked: Decimal, kept: Interval) -> bool:
    """Whether what is kept lies as asked."""
    low, high = kept.low, kept.high
    reaches_above = high is None or high > asked
    reaches_below = low is None or low < asked
    touches_high = high == asked and not kept.is_high_left_out
    touches_low = low == asked and not kept.is_low_left_out
    margin = max(abs(asked) * _TENTH, _half(asked))
    return {
        Comparator.EQ: _is_within(asked, kept),
        Comparator.NE: not _is_within(asked, kept),
        Comparator.GT: reaches_above,
        Comparator.GE: reaches_above or touches_high,
        Comparator.LT: reaches_below,
        Comparator.LE: reaches_below or touches_low,
        Comparator.SA: not (reaches_below or touches_low),
        Comparator.EB: not (reaches_above or touches_high),
        Comparator.AP: (high is None or high >= asked - margin) and (low is None or low <= asked + margin),
    }[comparator]


def is_of_unit(term: QuantityTerm, found: Located) -> bool:
    """Whether a kept quantity is in the unit that is asked for, as written: units are not converted."""
    if not term.code:
        return True
    value: Any = found.value
    if found.type == "Money":
        return term.code == value.get("currency") and term.system in {None, _CURRENCIES}
    ends = {"Range": ("low", "high"), "SampledData": ("origin",)}.get(found.type)
    quantities = [value] if ends is None else [value[end] for end in ends if end in value]
    return bool(quantities) and all(_is_in_unit(term, quantity) for quantity in quantities)


def _is_in_unit(term: QuantityTerm, quantity: Mapping[str, Any]) -> bool:
    """Whether one Quantity is."""
    if term.system is None:
        return term.code in {quantity.get("code"), quantity.get("unit")}
    return term.code == quantity.get("code") and term.system == quantity.get("system")


def _is_within(asked: Decimal, kept: Interval) -> bool:
    """Whether all that is kept lies in what a number means by its precision."""
    half = _half(asked)
    if kept.low is None or kept.high is None:
        return False
    return asked - half <= kept.low and kept.high < asked + half


def _half(asked: Decimal) -> Decimal:
    """Half of a number's last place."""
    exponent = asked.as_tuple().exponent
    return Decimal(5).scaleb(exponent - 1) if isinstance(exponent, int) else _NOTHING


def _value_of(quantity: Any) -> Decimal | None:  # noqa: ANN401  # any JSON value
    return _decimal(quantity.get("value")) if isinstance(quantity, dict) else None


def _decimal(value: Any) -> Decimal | None:  # noqa: ANN401  # any JSON value
    """A JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return value if isinstance(value, Decimal) else Decimal(str(value))

"""Units of UCUM: the library that carries them is the oracle of what is a code and what it comes to."""

import re
import time
import tracemalloc
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from health_exchange.fhir.units import Unit, _between, _table, _unit, base_of, converted, unit_of

EXPLAINED = {
    "Torr",  # UCUM's list of examples has it, UCUM's table has not
    "[LPF]",  # one hundred in UCUM's table, a thing to be counted in pint
    "{#}/[LPF]",
    "/[LPF]",
    "[in_i'H2O]",  # pint's inch of water is that of 39 degrees Fahrenheit
}


@cache
def registry() -> Any:  # noqa: ANN401  # no types
    """Pint with UCUM's units; a second to make."""
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


def example_codes() -> list[str]:
    """The codes that UCUM's authors give as examples for messages."""
    package = find_spec("ucumvert")
    assert package is not None
    assert package.origin is not None
    rows = (Path(package.origin).parent / "vendor/ucum_examples.tsv").read_text(encoding="utf-8").splitlines()
    return [row.split("\t")[1] for row in rows[1:]]


@pytest.mark.parametrize(
    ("number", "code", "other", "expected"),
    [
        ("1", "g", "mg", "1000"),
        ("37", "Cel", "[degF]", "98.6"),
        ("98.6", "[degF]", "Cel", "37"),
        ("0", "Cel", "K", "273.15"),
        ("1", "mCel", "K", "273.151"),
        ("80", "[degRe]", "Cel", "100"),
        ("5.4", "mmol/L", "umol/dL", "540"),
        ("1", "mg/dL", "g/L", "0.01"),
        ("120", "mm[Hg]", "kPa", "15.99864"),
        ("1", "m[IU]/mL", "[iU]/L", "1"),
        ("1", "10*3/uL", "10*9/L", "1"),
        ("60", "{beats}/min", "Hz", "1"),
        ("30", "kg/m2", "g/cm2", "3"),
        ("1", "[lb_av]", "kg", "0.45359237"),
        ("5", "%", "1", "0.05"),
        ("3", "U/L", "nkat/L", "50"),
        ("10", "dB", "B", "1"),
        ("1", "kg.m/s2", "N", "1"),
        ("1", "J/(kg.K)", "m2.s-2.K-1", "1"),
        ("1", "/100{cells}", "%", "1"),
        ("12", "mo", "a", "1"),
        ("1", "L", "dm3", "1"),
    ],
)
def test_a_number_is_converted_without_being_rounded(number: str, code: str, other: str, expected: str) -> None:
    assert converted(Decimal(number), code, other) == Fraction(expected)
    assert converted(Decimal(expected), other, code) == Fraction(number)


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("mg", "mL"),
        ("[IU]/mL", "/mL"),  # an arbitrary unit is nothing else, whatever it is counted in
        ("[IU]", "[arb'U]"),
        ("[pH]", "mol/L"),
        ("mmol/L", "mg/dL"),
        ("Cel/h", "K/h"),  # a scale whose zero is elsewhere is not multiplied
        ("Cel2", "K2"),
        ("MG", "mg"),
        ("Mg", "MG"),
    ],
)
def test_what_measures_something_else_is_not_converted(code: str, other: str) -> None:
    assert converted(Decimal(1), code, other) is None


@pytest.mark.parametrize(
    "code", ["", "mg ", "mmHg", "MM[HG]", "mg/", "mg//L", "(mg", "mg)", "kmin", "0", "m2.", "{", "mg{a", "mg{é}", "xyz",
             "m" * 81, "m+2+2", "(" * 80, "[", "[]", "k", "²", "Torr",
             "Ym99", "[pi]99", "[pi]-99", "[pi]9.[pi]9", "m/[pi]9/[pi]9"]
)  # fmt: skip
def test_what_is_no_code_is_told_without_a_fault(code: str) -> None:
    assert unit_of(code) is None
    assert converted(Decimal(1), code, code) is None


@pytest.mark.parametrize("number", ["1e999999999", "-1e-999999999", "Infinity", "NaN", "1" * 80])
def test_a_number_that_nobody_measured_is_not_converted(number: str) -> None:
    assert converted(Decimal(number), "g", "mg") is None
    assert base_of(Decimal(number), "g") is None


def test_every_example_of_ucum_is_read_and_comes_to_what_its_library_says() -> None:
    read, differing = 0, set()
    for code in example_codes():
        ours = unit_of(code)
        if ours is None:
            differing.add(code)
            continue
        read += 1
        if ours.offset or any(base.endswith("]") or base == "B" for base, _power in ours.dimension):
            continue
        if re.fullmatch(r"\{[^}]*\}", code):
            assert ours == Unit(Fraction(1))
            continue
        theirs = registry().from_ucum(code)
        if isinstance(theirs, float):  # it is of no dimension
            assert (ours.dimension, float(ours.factor)) == ((), theirs)
            continue
        theirs = theirs.to_base_units()
        bases = {"meter": "m", "second": "s", "kilogram": "g", "kelvin": "K", "ampere": "A", "candela": "cd",
                 "radian": "rad", "mole": "mol"}  # fmt: skip
        powers = {bases[base]: power for base, power in theirs.unit_items() if base in bases}
        # Where pint has its own base units, these are UCUM's.
        factor = Fraction(theirs.magnitude) * 1000 ** Fraction(powers.get("g", 0))
        factor *= Fraction(602_214_076 * 10**15) ** int(powers.pop("mol", 0))
        charge = powers.pop("A", 0)
        powers |= {"C": charge, "s": powers.get("s", 0) - charge}
        expected = {base: power for base, power in powers.items() if power}
        if dict(ours.dimension) != expected or abs(ours.factor / factor - 1) > Fraction(1, 10**5):
            differing.add(code)
    assert differing == EXPLAINED
    assert read > 800


def test_no_code_can_be_read_in_two_ways() -> None:
    table = _table()
    atoms = {**table["metric"], **table["plain"]}
    assert all(unit_of(atom) is not None for atom in atoms)
    prefixed = [prefix + atom for prefix, atom in product(table["prefixes"], table["metric"])]
    assert len(set(prefixed)) == len(prefixed)
    assert not atoms.keys() & set(prefixed)


@pytest.mark.parametrize(
    "code",
    [
        "m.[pi]99.[pi]99.[pi]99.[pi]99.[pi]99.[pi]99.[pi]97/10*99/10*99/10*99/10*50",
        "m.[pi]9" + "/[pi]9.[pi]9" * 6,
        "m" + ".[pi]9/[cml_i]7" * 5,
        "m.[pi]9.[pi]-9.'9.'-9.circ9.circ-9.gon9.gon-9.deg9.deg-9.sph9.sph-9.b20.b-20",
        "10*99.10*99.10*99.10*99.10*99.10*99/10*99/10*99/10*99/10*99/10*99/10*99/10*99",
        "m" + ".999999999999999999" * 4,
        "m" + ".[pi]" * 15,
    ],
)
def test_the_dearest_codes_take_a_thousandth_of_a_second(code: str) -> None:
    assert len(code) <= 80
    unit_of("m")
    started = time.process_time()
    for _number in range(10):
        _unit.__wrapped__(code)
        _between.__wrapped__(code, "m")
    assert time.process_time() - started < 0.03


def test_many_and_large_codes_do_not_fill_the_memory() -> None:
    tracemalloc.start()
    for number in range(1_100):
        unit_of(f"m9.{number}" + "m" * (1 << 16))
        converted(Decimal(1), "m", f"{number}" + "m" * (1 << 16))
        unit_of(f"Ym9.Ym-9.{number}/Ym9.Ym9.Ym9")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 << 20

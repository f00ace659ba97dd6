"""What it costs to compare quantities in units of UCUM: our table, and the library that it was made of.

Usage: ``python -m benchmarks.units``; each is loaded in a process of its own.
"""

import subprocess
import sys

_MEASURE = """
import time
from decimal import Decimal
from pathlib import Path

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

import dataclasses, decimal, fractions, functools, importlib.resources, json, re  # a node has them loaded

before, start = resident_mb(), time.perf_counter()
{load}
loaded = (time.perf_counter() - start) * 1e3
print(f"{name}: ready after {{loaded:.1f}} ms, {{resident_mb() - before:.1f}} MB more", end="; ")
start = time.perf_counter()
for _ in range(2_000):
    result = {convert}
print(f"{{(time.perf_counter() - start) / 2e-3:.0f}} us a conversion; 0.7 mmol/L is {{result}}")
"""
_WAYS = {
    "health_exchange.fhir.units": (
        "from health_exchange.fhir.units import converted, unit_of; unit_of('mmol/L')",
        "converted(Decimal('0.7'), 'mmol/L', 'umol/dL')",
    ),
    "ucumvert and pint": (
        "from ucumvert import PintUcumRegistry; units = PintUcumRegistry(); units.from_ucum('mmol/L')",
        "(0.7 * units.from_ucum('mmol/L')).to(units.from_ucum('umol/dL'))",
    ),
}


def main() -> None:
    """Print one line a way."""
    for name, (load, convert) in _WAYS.items():
        script = _MEASURE.format(name=name, load=load, convert=convert)
        subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603  # the scripts above


if __name__ == "__main__":
    main()

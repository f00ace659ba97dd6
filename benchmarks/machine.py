"""Where a number was measured, and medians over runs."""

import os
import platform
import sqlite3
import time
from collections.abc import Callable
from statistics import median

import msgspec


def describe_machine() -> str:
    """One line: cores, processor, Python, SQLite."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def yardstick_ms() -> float:
    """Processor time of a fixed piece of work: how fast a core is just now, with whatever else runs beside."""
    value = {str(number): [number, {"code": str(number)}] for number in range(2_000)}
    taken = []
    for _run in range(5):
        began = time.process_time()
        for _round in range(20):
            msgspec.json.decode(msgspec.json.encode(value))
        taken.append(1e3 * (time.process_time() - began))
    return min(taken)


def median_of(measure: Callable[[], float], runs: int) -> tuple[float, list[float]]:
    """The median of several measurements, and all of them."""
    found = [measure() for _run in range(runs)]
    return median(found), found

"""Where a number was measured, and medians over runs."""

import os
import platform
import sqlite3
from collections.abc import Callable
from statistics import median


def describe_machine() -> str:
    """One line: cores, processor, Python, SQLite."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def median_of(measure: Callable[[], float], runs: int) -> tuple[float, list[float]]:
    """The median of several measurements, and all of them."""
    found = [measure() for _run in range(runs)]
    return median(found), found

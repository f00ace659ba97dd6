"""Where a number was measured, and medians over runs."""

import os
import platform
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
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


def processor_seconds(process: int) -> float:
    """What a process and all that it has started, living or waited for, have taken of the processors."""
    return sum(_own_seconds(each) for each in _family(process))


def resident_mb(process: int) -> float:
    """Resident memory of a process and all that it has started, shared pages counted in each."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in _family(process))
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def _family(process: int) -> list[int]:
    """A process and its living descendants."""
    found = [process]
    for each in found:
        try:
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
        except OSError:
            continue
    return found


def _own_seconds(process: int) -> float:
    """User and system time of one process and of those children that have ended; 0 where it has ended itself."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

"""Fuzz every target: ``make fuzz``, or ``python -m tests.fuzz --runs N --seed N --processes N --folder DIR``.

Two targets at a time on two cores. What was reached stays in the folder as the corpus, and the next run begins there.
Ends with 0 where no target met an input that it could not take; else it says where that input lies and how to run it.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

RUNS = 10_000_000
SEED = 45
SHARES: Mapping[str, float] = MappingProxyType(
    {"bundle": 0.15, "resource": 0.15, "patch": 0.15, "arguments": 0.1, "search": 0.3, "link": 0.15}
)
"""What part of all executions each target has: those that are slow have fewer, and still the most time."""
TOLD_CHARACTERS = 6_000
_EXECUTED = re.compile(r"number_of_executed_units: (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """What came of one target.

    Attributes:
        target: Its name.
        executions: How many inputs it took.
        seconds: How long.
        status: Of the process; 0 where it took all of them.
        told: The end of what it printed.
        command: What runs it again.
    """

    target: str
    executions: int
    seconds: float
    status: int
    told: str
    command: str

    def __str__(self) -> str:
        rate = self.executions / max(self.seconds, 0.001)
        end = "ok" if self.status == 0 else f"FAILED ({self.status}): {self.command}"
        return f"{self.target:10} {self.executions:>12,} executions {self.seconds:>8.0f} s {rate:>8.0f}/s  {end}"


def fuzz(target: str, folder: Path, *, runs: int = 0, seconds: int = 0, seed: int = SEED) -> Fuzzed:
    """Fuzz one target in a process of its own.

    Args:
        target: Its name.
        folder: For its corpus, and for what it could not take.
        runs: How many executions; 0 for as many as the time allows.
        seconds: How long; 0 for as long as the runs take.
        seed: Of all choices.
    """
    words = [sys.executable, "-m", "tests.fuzz.fuzzer", target, "--runs", str(runs), "--seconds", str(seconds)]
    words += ["--seed", str(seed), "--folder", str(folder / target)]
    begun = time.monotonic()
    ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603  # our own
    text = ended.stdout.decode("utf-8", "replace")
    executed = _EXECUTED.findall(text)
    return Fuzzed(
        target=target,
        executions=int(executed[-1]) if executed else 0,
        seconds=time.monotonic() - begun,
        status=ended.returncode,
        told=text[-TOLD_CHARACTERS:],
        command=" ".join(words[1:]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz all targets, and say what came of it."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="executions of all targets together")
    parser.add_argument("--seed", type=int, default=SEED, help="another one goes other ways")
    parser.add_argument("--processes", type=int, default=2, help="targets at a time")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="for corpora, and for what is found")
    given = parser.parse_args(arguments)
    with ThreadPoolExecutor(given.processes) as pool:
        begun = [
            pool.submit(fuzz, target, given.folder, runs=max(1, int(given.runs * share)), seed=given.seed)
            for target, share in SHARES.items()
        ]
        found: list[Fuzzed] = []
        for waiting in begun:
            found.append(waiting.result())
            sys.stdout.write(f"{found[-1]}\n")
            sys.stdout.flush()
    failed = [each for each in found if each.status != 0]
    for each in failed:
        sys.stdout.write(f"\n{each.told}\n")
    total = sum(each.executions for each in found)
    sys.stdout.write(f"{total:,} executions, {len(failed)} targets failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

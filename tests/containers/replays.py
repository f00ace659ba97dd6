"""Replays in the containers, their reports, and what two reports on the same records must agree in."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.containers.engine import TREE, Compose

from health_exchange.wiring.plan_file import read_plan

WHOLE = ("records_in", "persons", "persons_across_provinces")
"""What the report counts over the whole tree."""
AT_NODES = ("held", "resources")
ENDS_WITHIN_S = 300.0
"""A replay, once its records are handed in: they come to rest, and the rest of the story is told."""

Report = dict[str, Any]


def nodes(network: str = "national") -> dict[str, str]:
    """The plan's nodes: service by address."""
    plan = read_plan(TREE / "deploy" / "networks" / f"{network}.toml")
    return {str(node.address): str(node.address).replace("/", "-") for node in plan.nodes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    """A replay that runs in a container.

    Attributes:
        process: The command that waits for it.
        folder: Where its report and what it prints go.
    """

    process: "subprocess.Popen[bytes]"
    folder: Path

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def report(self, *, within_s: float = ENDS_WITHIN_S) -> Report:
        """What it reports once it has ended; fails if it found anything wrong."""
        self.process.wait(timeout=within_s)
        file = self.folder / "report.json"
        assert file.is_file(), (self.folder / "said").read_text()[-4000:]
        return read_report(file)


@contextmanager
def replaying(
    network: Compose, folder: Path, *, samples: Path | None = None, per_s: float = 0.0
) -> Iterator[Replaying]:
    """``make replay``, which has begun to start; ended if whoever asked for it leaves before.

    Args:
        network: Where.
        folder: For its report.
        samples: Other records than those that ship.
        per_s: Bundles a second; 0 is as fast as they are answered.
    """
    folder.chmod(0o777)  # the container's user is nobody here
    mounts = ["-v", f"{folder}:/report"]
    words = ["--dir", "/exchange", "--json", "/report/report.json", "--rate", f"{per_s:g}"]
    if samples is not None:
        mounts += ["-v", f"{samples}:/samples:ro"]
        words += ["--samples", "/samples"]
    command = [str(TREE / "deploy" / "compose"), "run", "--rm", "-T", *mounts, "replay", "replay", *words]
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(  # noqa: S603  # our own script
            command, env=network.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield Replaying(process=process, folder=folder)
        finally:
            process.kill()


def read_report(file: Path) -> Report:
    """The report in ``file``; fails if it found anything wrong."""
    report: Report = msgspec.json.decode(file.read_bytes())
    # Before the counts, what was found wrong, and beside it what it was found by.
    assert report["disagreements"] == [], (report["break_glass"], report["lookup"], report["consent"])
    assert report["audit"]["failures"] == 0
    return report


def counts(report: Report) -> dict[str, Any]:
    """What two reports on the same records must agree in."""
    return {name: report[name] for name in WHOLE} | {
        node["address"]: {name: node[name] for name in AT_NODES} for node in report["nodes"]
    }

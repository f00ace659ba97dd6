"""The drills as typed, each once, small, from one seed: real processes, and every promise checked from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.requirements import missing

from health_exchange.cli.drill import namespaces, servers
from health_exchange.cli.drill.clocks import find_library
from health_exchange.cli.drill.scenarios import SCENARIOS, Need

SEED, BUNDLES_PER_S = "20260630", "1"

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def drill(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``health-exchange drill`` in a folder of its own."""
    common = ["--dir", str(folder / "drill"), "--json", str(folder / "report.json"), "--rate", BUNDLES_PER_S]
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange", "drill", *words, "--seed", SEED, *common],
        capture_output=True,
        text=True,
        check=False,
    )


def report_of(folder: Path) -> Any:  # noqa: ANN401  # whatever JSON holds
    [scenario] = json.loads((folder / "report.json").read_bytes())["scenarios"]
    return scenario


def needs(name: str) -> None:
    """Skip, or fail where everything must run, without what the scenario takes."""
    if Need.CLOCKS in SCENARIOS[name].needs and find_library() is None:
        missing("libfaketime", "libfaketime is not installed: apt-get install faketime")


@pytest.mark.parametrize("name", [row.name for row in SCENARIOS.values() if Need.SERVERS not in row.needs])
def test_a_network_on_sqlite_keeps_its_promises(name: str, tmp_path: Path) -> None:
    needs(name)
    done = drill(tmp_path, name)

    assert done.returncode == 0, done.stdout + done.stderr
    report = report_of(tmp_path)
    assert report["findings"] == []
    assert report["bundles"] > 5
    assert report["versions"] >= report["at_nation"] > 50


@pytest.mark.parametrize("name", ["kill-databases", "full-disk"])
def test_a_network_on_postgresql_keeps_its_promises(name: str, tmp_path: Path) -> None:
    if reason := servers.lacks():
        missing("postgresql", reason)
    done = drill(tmp_path, name, "--database", "postgresql")

    assert done.returncode == 0, done.stdout + done.stderr
    assert report_of(tmp_path)["findings"] == []


def test_a_province_whose_wires_are_cut_in_network_namespaces_loses_nothing(tmp_path: Path) -> None:
    if reason := namespaces.lacks():
        missing("namespaces", reason)
    done = drill(tmp_path, "cut-off-province", "--stage", "namespaces")

    assert done.returncode == 0, done.stdout + done.stderr
    assert report_of(tmp_path)["stage"] == "namespaces"


def test_whoever_ends_a_drill_finds_nothing_left_running(tmp_path: Path) -> None:
    process = subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange", "drill", "full-disk", "--dir", str(tmp_path / "drill")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not running_under(tmp_path) and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert running_under(tmp_path) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text("utf-8")


def running_under(folder: Path) -> list[str]:
    """Command lines of nodes whose settings lie there."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and place.name != str(os.getpid()):
            try:
                words = (place / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"{folder}/drill/full-disk/nodes" in words:
                found.append(words)
    return found

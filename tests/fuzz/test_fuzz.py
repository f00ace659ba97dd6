"""Fuzzing in CI: two minutes, shared by the targets; ``make fuzz`` goes on to ten million executions.

What was found before is tried every time, and so is every seed, without instruments.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.fuzz.__main__ import SHARES, fuzz
from tests.fuzz.seeds import FOUND, found_by, seeds_of
from tests.fuzz.targets import TARGETS, attempt

from health_exchange.model.errors import ExchangeError

SECONDS = {"bundle": 30, "resource": 30, "patch": 15, "arguments": 10, "search": 25, "link": 10}
"""Two minutes."""
FEWEST = {"bundle": 500, "resource": 500, "patch": 1_000, "arguments": 500, "search": 1_000, "link": 5_000}
"""Executions in that time even on a busy machine; fewer mean that the target does not run."""
FIND_NOTHING_FROM = {"link"}
"""Targets whose seeds cannot be sound: nobody but a node can write a link."""


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_before_is_answered(target: str) -> None:
    for raw in found_by(target).values():
        attempt(TARGETS[target], raw)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_reach_behind_the_first_check(target: str) -> None:
    taken = 0
    for raw in seeds_of(target)[:100]:
        try:
            TARGETS[target].run(raw)
        except ExchangeError:
            continue
        taken += 1

    assert taken > 0 or target in FIND_NOTHING_FROM


def test_every_target_has_its_share_and_every_find_its_target() -> None:
    assert TARGETS.keys() == SHARES.keys() == SECONDS.keys() == FEWEST.keys()
    assert sum(SHARES.values()) == pytest.approx(1)
    assert {folder.name for folder in FOUND.iterdir()} <= TARGETS.keys()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine or this Python")
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_is_more_than_a_target_can_take(target: str, tmp_path: Path) -> None:
    done = fuzz(target, tmp_path, seconds=SECONDS[target])

    kept = {file.name: file.read_bytes() for file in (tmp_path / target).glob("*-*") if file.is_file()}
    assert done.status == 0, f"{done.told}\n{kept}\nagain: {done.command}"
    assert done.executions > FEWEST[target], done

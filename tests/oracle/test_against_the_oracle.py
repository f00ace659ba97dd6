"""A node that stands alone does what a naive server in memory does, whatever it is asked, on both databases."""

from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.databases import NewDatabase
from tests.oracle.machine import Machine

pytestmark = pytest.mark.enable_socket
_NUMBERS = count(1)


def check(folder: Path, new_database: NewDatabase, examples: int, steps: int) -> None:
    """Compare a node with the oracle, again and again from nothing."""
    run_state_machine_as_test(
        lambda: Machine(folder / f"node-{next(_NUMBERS)}", new_database()),  # type: ignore[arg-type]  # what makes one
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_node_answers_as_the_oracle_does(tmp_path: Path, new_database: NewDatabase) -> None:
    check(tmp_path, new_database, examples=1, steps=20)


@pytest.mark.slow
def test_a_node_answers_as_the_oracle_does_for_long(tmp_path: Path, new_database: NewDatabase) -> None:
    check(tmp_path, new_database, examples=15, steps=40)

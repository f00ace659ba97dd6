"""``--seeds``: over how many seeds the fault stories run; the fast loop takes few, ``make drill`` ten thousand."""

import pytest

FAST_SEEDS = 12
SLOW_SEEDS = 1000


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=SLOW_SEEDS, help="seeds of the slow fault stories")

"""For all tests: the number of seeds of the fault stories, and no deadlines where two cores are shared.

``--seeds``: over how many seeds the slow stories run; ``make drill`` takes ten thousand.
"""

import pytest
from hypothesis import settings

pytest_plugins = ["tests.databases"]

FAST_SEEDS = 8
SLOW_SEEDS = 1000

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=SLOW_SEEDS, help="seeds of the slow fault stories")

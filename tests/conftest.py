"""For all tests: the number of seeds of the fault stories, and no deadlines where two cores are shared.

``--seeds``: over how many seeds the slow stories run; ``make drill`` takes ten thousand.
``--racing``: how many conditional creates race; ``make drill`` takes a hundred thousand.
"""

import gc
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

TOGETHER = ("tests/containers/", "tests/processes/", "tests/policy/test_decision_table.py")
"""Modules whose tests share something costly, or the machine: each goes to one worker, the long ones first."""
ONE_NETWORK = "tests/containers/"
"""A folder whose modules share something costly, too."""
ON_BOTH_DATABASES = ("tests/federation/", "tests/api/")
"""Folders whose tests run a second time, on PostgreSQL."""
ROWS_ON_POSTGRESQL = 2
"""So many of a table's rows do, in ``make test``, others by the order of each run, and the rest do not: rows differ in
what is asked and told, not in how it is kept."""
FAST_ON_BOTH_DATABASES = ("tests/search/",)
"""Folders whose tests run on PostgreSQL in ``make check`` already: of a table one row, the others in ``make test``."""
ALL_ROWS = (
    "tests/federation/test_faults.py",
    "tests/federation/test_lost_databases",
    "tests/federation/test_rotation.py",
    "tests/search/test_shapes.py",
    "tests/search/test_oracle.py",
)
"""Modules of those folders that run on PostgreSQL with every row: there, rows are other faults or other statements."""
pytest_plugins = ["tests.databases"]

FAST_SEEDS = 4
SLOW_SEEDS = 1000
RACING = 4_000

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=SLOW_SEEDS, help="seeds of the slow fault stories")
    parser.addoption("--racing", type=int, default=RACING, help="conditional creates that race at two processes")


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests go to whichever worker is free, but for what stays together."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ONE_NETWORK):
            return ONE_NETWORK
        return nodeid.partition("::")[0] if nodeid.startswith(TOGETHER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> LoadScopeScheduling:
    return _ByModule(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    for item in _further_rows(items, FAST_ON_BOTH_DATABASES, beyond=1):
        item.add_marker(pytest.mark.slow)
    yield
    left_out = _further_rows(items, ON_BOTH_DATABASES, beyond=ROWS_ON_POSTGRESQL)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER))


def pytest_collection_finish() -> None:
    # What was imported stays to the end: no later collection of garbage need walk through it.
    gc.collect()
    gc.freeze()


def _further_rows(items: Iterable[pytest.Item], folders: tuple[str, ...], beyond: int) -> Mapping[pytest.Item, None]:
    """What tables of cases ask of PostgreSQL after so many rows, in the order of ``items``."""
    left_out: dict[pytest.Item, None] = {}
    rows: Counter[str] = Counter()
    for item in items:
        test, _bracket, row = item.nodeid.partition("[")
        if item.nodeid.startswith(folders) and "postgresql" in row and not item.nodeid.startswith(ALL_ROWS):
            rows[test] += 1
            if rows[test] > beyond:
                left_out[item] = None
    return left_out

"""Stories run on SQLite files; those that are fast run a second time, on PostgreSQL, in ``make test``."""

from collections.abc import Iterator

import pytest
from tests.federation import keeping


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = [*metafunc.definition.iter_markers()]
    kinds = ["sqlite"]
    if not any(mark.name == "slow" for mark in marks):
        kinds.append(pytest.param("postgresql", marks=pytest.mark.slow))  # type: ignore[arg-type]  # a value and its marks
    metafunc.parametrize("kind_of_database", kinds)


@pytest.fixture(autouse=True)
def database(kind_of_database: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the networks of a test keep what they keep."""
    with keeping.kept_on(kind_of_database, request):
        yield

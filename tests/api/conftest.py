"""Doors keep on SQLite files; modules that say ``ON_BOTH_DATABASES`` run again on PostgreSQL, in ``make test``."""

from collections.abc import Iterator

import pytest
from tests.federation import keeping


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = ["sqlite"]
    if getattr(metafunc.module, "ON_BOTH_DATABASES", False):
        kinds.append(pytest.param("postgresql", marks=pytest.mark.slow))  # type: ignore[arg-type]  # a value and its marks
        metafunc.fixturenames.insert(0, "kept_on")
        metafunc.parametrize("kept_on", kinds, indirect=True)


@pytest.fixture
def kept_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the networks of a test keep what they keep."""
    with keeping.kept_on(request.param, request):
        yield


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Networks end with their test: left open, they are memory that every collection of garbage walks through."""
    yield
    keeping.let_go()

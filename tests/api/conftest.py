"""Doors keep on SQLite files; modules that say ``ON_BOTH_DATABASES`` run again on PostgreSQL, in ``make test``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.federation import network

if TYPE_CHECKING:
    from tests.databases import PostgresqlServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = ["sqlite"]
    if getattr(metafunc.module, "ON_BOTH_DATABASES", False):
        kinds.append(pytest.param("postgresql", marks=pytest.mark.slow))  # type: ignore[arg-type]  # a value and its marks
        metafunc.fixturenames.insert(0, "kept_on")
        metafunc.parametrize("kept_on", kinds, indirect=True)


@pytest.fixture
def kept_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the networks of a test keep what they keep."""
    server: PostgresqlServer | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
    token = network.SERVER.set(server)
    yield
    for each in network.OPEN:
        each.close()
    network.OPEN.clear()
    network.SERVER.reset(token)
    if server is not None:
        server.drop_databases()

"""Where the networks of one test keep what they keep: SQLite files, or the PostgreSQL server of the test process."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.federation import network


@contextmanager
def kept_on(kind: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Networks made meanwhile keep on databases of ``kind``, and are closed with them afterwards."""
    server = request.getfixturevalue("postgresql") if kind == "postgresql" else None
    token = network.SERVER.set(server)
    yield
    let_go()
    network.SERVER.reset(token)


def let_go() -> None:
    """Close the networks of the test that has ended."""
    for each in network.OPEN:
        each.close()
    network.OPEN.clear()

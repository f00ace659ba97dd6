"""A store on a disk and a clock that the test sets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.databases import NewDatabase
from tests.store.troubles import SetClock

from health_exchange.model.secrecy import Secret
from health_exchange.store.engine import Store, StoreKeys

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
def store(database: str, clock: SetClock) -> Iterator[Store]:
    opened = Store.open(database, KEYS, clock, os.urandom)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path: Path, clock: SetClock) -> Iterator[Store]:
    """For tests of a full disk, which a test can make for one file but not for a server."""
    opened = Store.open(f"sqlite:///{tmp_path}/node.db", KEYS, clock, os.urandom)
    yield opened
    opened.close()

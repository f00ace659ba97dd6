"""A store on a disk and a clock that the test sets."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.troubles import SetClock

from health_exchange.model.secrecy import Secret
from health_exchange.store.engine import Store, StoreKeys


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


@pytest.fixture
def store(database: Path, clock: SetClock) -> Iterator[Store]:
    keys = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
    opened = Store.open(f"sqlite:///{database}", keys, clock, os.urandom)
    yield opened
    opened.close()

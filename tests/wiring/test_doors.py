"""Further processes of a node: their commits are heard, they are replaced, and none outlives its node."""

import multiprocessing
import queue
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import pytest
from tests.wiring.door_process import serve

from health_exchange.wiring.doors import Doors

WITHIN_S = 20.0


@pytest.fixture
def heard() -> "queue.Queue[AbstractSet[str]]":
    return queue.Queue()


@pytest.fixture
def doors(heard: "queue.Queue[AbstractSet[str]]") -> Iterator[Doors]:
    settings: Any = "settings"  # what it serves is not looked at here
    made = Doors(serve, settings, "run", 2, heard.put)
    yield made
    made.stop()
    assert multiprocessing.active_children() == []


def test_commits_of_every_door_are_heard(doors: Doors, heard: "queue.Queue[AbstractSet[str]]") -> None:
    assert [heard.get(timeout=WITHIN_S) for _door in range(2)] == [{"settings", "run"}] * 2
    assert set(multiprocessing.active_children()) >= {door.process for door in doors._doors}


def test_a_door_that_was_killed_is_replaced(doors: Doors, heard: "queue.Queue[AbstractSet[str]]") -> None:
    for _door in range(2):
        heard.get(timeout=WITHIN_S)
    doors._doors[0].process.kill()
    assert heard.get(timeout=WITHIN_S) == {"settings", "run"}


def test_no_door_is_started_behind_a_stopping_node(doors: Doors, heard: "queue.Queue[AbstractSet[str]]") -> None:
    for _door in range(2):
        heard.get(timeout=WITHIN_S)
    doors._doors[0].process.kill()
    time.sleep(0.4)  # the watcher has seen it and waits to start another
    doors.stop()
    assert multiprocessing.active_children() == []

"""Nodes and databases killed, and a province cut off, while hospitals hand in records: none is lost, none doubled.

What the network counts afterwards is what the demo counts, on the same records and without any of that.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.containers.engine import Compose
from tests.containers.replays import Report, counts, nodes, replaying

from health_exchange.cli.demo.samples import read_samples

SEED = 41
LOAD_S = 150.0
"""How long hospitals hand in at least: longer than killing everything takes."""
BEGINS_WITHIN_S = 60.0
DEAD_MS = (200, 1200)
REST_MS = (500, 2000)
PROVINCE = "cn-51"
"""A key holder that relays for a city and hospitals."""
CUT_OFF_S = 12.0

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What is done to the network; told as it happens, for whoever reads of a failure."""

    network: Compose
    dice: random.Random
    began: float = field(default_factory=time.monotonic)

    def tell(self, what: str) -> None:
        """Tell what happens now."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}")  # noqa: T201  # pytest keeps it for failures

    def kill_each(self, services: list[str]) -> None:
        """Kill each and start it again, in an order and for a time of the dice."""
        for service in self.dice.sample(services, k=len(services)):
            with self._told(f"{service} is killed", f"{service} is started"):
                self.network.kill(service)
                self._rest(DEAD_MS)
                self.network.start(service)
            self._rest(REST_MS)

    def cut_off(self, service: str, for_s: float) -> None:
        """Cut a node off from all others, and let it come back."""
        with self._told(f"{service} is cut off", f"{service} is back"):
            self.network.cut_off(service)
            time.sleep(for_s)
            self.network.until_away([service.replace("-", "/")])
            self.network.join(service)

    def _rest(self, between: tuple[int, int]) -> None:
        time.sleep(self.dice.randint(*between) / 1000)

    @contextmanager
    def _told(self, before: str, after: str) -> Iterator[None]:
        self.tell(before)
        yield
        self.tell(after)


def test_what_is_killed_and_cut_off_under_load_loses_nothing_and_doubles_nothing(
    network: Compose, replayed: Report, demo: tuple[Report, Report], further: Path, tmp_path: Path
) -> None:
    _first, undisturbed = demo
    faults = Faults(network=network, dice=random.Random(SEED))
    everyone = [*nodes().values(), *(f"database-{each}" for each in nodes().values())]
    before = received(network)

    with replaying(network, tmp_path, samples=further, per_s=read_samples(further).count / LOAD_S) as load:
        deadline = time.monotonic() + BEGINS_WITHIN_S
        while received(network) == before:
            assert not load.is_over()
            assert time.monotonic() < deadline, "no record comes in"
            time.sleep(0.5)
        faults.tell("records come in")
        faults.kill_each(everyone)
        all_killed = received(network)
        faults.cut_off(PROVINCE, CUT_OFF_S)
        report = load.report()

    assert counts(report) == counts(undisturbed)
    assert report["audit"]["entries"] > replayed["audit"]["entries"]
    # Some came in before the first fault, some while all were killed, and some after: the faults were under load.
    assert before < all_killed < received(network)


def received(network: Compose) -> int:
    """Records that came in anywhere, as the nation hears of it once everybody answers."""
    return sum(node.received for node in network.until_all_answer().nodes)

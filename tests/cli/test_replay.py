"""Replaying: what makes a Bundle the same one, how fast it goes, and when the network has come to rest."""

import dataclasses
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from rich.console import Console

from health_exchange.cli.demo import live
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.samples import Samples, read_samples
from health_exchange.model.purposes import Purpose
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.plan_file import read_plan
from health_exchange.wiring.registration import Registration, register

PLAN = read_plan(Path(__file__).parents[2] / "deploy" / "networks" / "national.toml")
NATION_URL = "https://nation.example:8443"
AT_REST = NetworkStatus(nodes=[], away=[], silences={})
ONE_AWAY = NetworkStatus(nodes=[], away=["cn/51"], silences={})


class Doors:
    """Every node's door as a client sees it: takes every Bundle, and tells the tree's numbers in the order given."""

    def __init__(self, *statuses: NetworkStatus | None) -> None:
        self.statuses = list(statuses)
        self.request_ids: list[str] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 300})
        if request.url.path == "/fhir":
            self.request_ids.append(request.headers["X-Request-Id"])
            return httpx.Response(200, json={"entry": [{}]})
        status = self.statuses.pop(0)
        return httpx.Response(503) if status is None else httpx.Response(200, content=msgspec.json.encode(status))


@pytest.fixture(scope="module")
def registration() -> Registration:
    return register(
        client_id="any", kind="facility", organization="o", name="n", purpose=Purpose.TREATMENT, randomness=bytes
    )


def few(samples: Samples, number: int) -> Samples:
    address, bundles = next(iter(samples.bundles.items()))
    return Samples(facilities=samples.facilities, bundles={address: bundles[:number]})


def replay_of(samples: Samples, doors: Doors, registration: Registration, per_s: float = 0.0) -> Replay:
    keys = {facility.client_id: registration.private_key_pem for facility in samples.facilities}
    return Replay(plan=PLAN, samples=samples, keys=keys, http=doors.http, per_s=per_s)


async def test_a_bundle_has_its_request_id_of_its_bytes(tmp_path: Path, registration: Registration) -> None:
    doors, samples = Doors(), few(read_samples(), 1)
    (bundle,) = next(iter(samples.bundles.values()))
    other = tmp_path / bundle.path.name
    other.write_bytes(bundle.path.read_bytes() + b"\n")
    changed = {address: [dataclasses.replace(bundle, path=other)] for address in samples.bundles}

    for each in (samples, samples, Samples(facilities=samples.facilities, bundles=changed)):
        await replay_of(each, doors, registration).run()

    first, again, changed_id = doors.request_ids
    assert first == again
    assert changed_id != first


async def test_at_a_rate_a_replay_takes_its_time(registration: Registration) -> None:
    doors = Doors()
    replay = replay_of(few(read_samples(), 5), doors, registration, per_s=20)
    began = time.monotonic()

    await replay.run()

    assert time.monotonic() - began >= 4 / 20
    assert replay.records_in == len(doors.request_ids) == 5


async def test_numbers_of_before_do_not_tell_that_the_network_is_at_rest(
    registration: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    doors = Doors(AT_REST, *[None] * 40, ONE_AWAY, None, AT_REST, AT_REST)
    replay = replay_of(few(read_samples(), 1), doors, registration)

    status = await live.watch(replay, doors.http, NATION_URL, Console(quiet=True), [])

    assert status == AT_REST
    assert doors.statuses == []

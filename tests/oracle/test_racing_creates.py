"""Clients who know nothing of each other bring the same things: each is kept once, whoever was first.

``--racing``: how many conditional creates race at two processes of one node; ``make drill`` takes a hundred thousand.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.databases import NODE_ROLE, NewDatabase, PostgresqlServer
from tests.oracle.door import FHIR, opened
from tests.oracle.server import Ask
from tests.processes.alone import free_port, started

from health_exchange.cli.demo.network import HOST
from health_exchange.wiring.standalone import Wish, starting

SYSTEM = "http://hospital.example"
CLIENTS = 4
A_BUNDLE = 200
AGAIN = {429, 503}

pytestmark = [pytest.mark.enable_socket]


def organization(number: int) -> dict[str, Any]:
    """One thing that everybody brings."""
    return {"resourceType": "Organization", "identifier": [{"system": SYSTEM, "value": str(number)}], "name": "x"}


def condition(number: int) -> tuple[tuple[str, str], ...]:
    """That it is there."""
    return (("identifier", f"{SYSTEM}|{number}"),)


@pytest.mark.slow
async def test_racing_conditional_creates_at_two_processes_leave_no_duplicate(
    tmp_path: Path, postgresql: PostgresqlServer, pytestconfig: pytest.Config
) -> None:
    racing: int = pytestconfig.getoption("--racing")
    port, database = free_port(), postgresql.url(postgresql.new_database(), NODE_ROLE)
    with starting(Wish(folder=tmp_path / "node", port=port, database=database)):
        pass
    settings = tmp_path / "node" / "node.toml"
    settings.write_text(settings.read_text("utf-8").replace("processes = 1", "processes = 2"), "utf-8")
    things = racing // CLIENTS
    async with started(tmp_path / "node", port, "--open"):
        base = f"http://{HOST}:{port}/fhir"
        told = await asyncio.gather(*(bring_all(base, things, client) for client in range(CLIENTS)))
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            counted = (await http.get(f"{base}/Organization?_summary=count")).json()["total"]

    assert counted == things
    assert all(one == told[0] for one in told), "two clients were told of two resources for one thing"
    assert len(set(told[0].values())) == things


async def bring_all(base: str, things: int, client: int) -> dict[int, str]:
    """Where each of the things is, by what one client is told: it brings them in Bundles, in an order of its own."""
    found: dict[int, str] = {}
    bundles = [range(begin, min(begin + A_BUNDLE, things)) for begin in range(0, things, A_BUNDLE)]
    # Half of the clients go the same way at the same time, the others the other way around.
    for numbers in bundles if client % 2 else reversed(bundles):
        # A client for each Bundle is a connection for each: the kernel shares them out among the processes.
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            found |= await bring(http, base, numbers)
    return found


async def bring(http: httpx.AsyncClient, base: str, numbers: Sequence[int]) -> dict[int, str]:
    """Where some of the things are, once a transaction has created those that were not there."""
    entries = [
        {
            "resource": organization(number),
            "request": {
                "method": "POST",
                "url": "Organization",
                "ifNoneExist": f"identifier={SYSTEM}|{number}",
            },
        }
        for number in numbers
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    while (answer := await http.post(base, json=bundle, headers={"Content-Type": FHIR})).status_code in AGAIN:
        await asyncio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    told = [entry["response"]["location"].split("/")[1] for entry in answer.json()["entry"]]
    return dict(zip(numbers, told, strict=True))


@pytest.mark.parametrize("things", [2, pytest.param(30, marks=pytest.mark.slow)])
async def test_racing_single_conditional_creates_leave_no_duplicate(
    tmp_path: Path, new_database: NewDatabase, things: int
) -> None:
    racers = 10
    async with opened(tmp_path / "node", new_database()) as door:

        async def create(number: int) -> tuple[int, str]:
            ask = Ask(method="POST", type="Organization", body=organization(number), condition=condition(number))
            while (answer := await door.write(ask)).status_code in AGAIN:
                await asyncio.sleep(0.01)
            assert answer.json()["meta"]["versionId"] == "1"
            return answer.status_code, answer.headers["Location"]

        for number in range(things):
            told = Counter(await asyncio.gather(*(create(number) for _racer in range(racers))))
            assert sorted(told.values()) == [1, racers - 1]
            assert {place for _status, place in told} == {next(iter(told))[1]}
        found = (await door.http.get("/fhir/Organization?_summary=count")).json()

    assert found["total"] == things

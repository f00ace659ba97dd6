"""A node that stands alone under what costs most: a crowd of expensive searches, one large write."""

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.wiring.alone import Alone, alone

from health_exchange.store import lane

pytestmark = pytest.mark.enable_socket

RESOURCES, CROWD = 1_500, 200
EXPENSIVE = (
    "Observation?code:not=x&_sort=-date&_total=accurate&_count=200&_include=Observation:subject",
    "Observation?value-quantity=gt0&subject:Patient.name:contains=n&_sort=date&_count=200",
    "Patient?_has:Observation:subject:value-quantity=gt0&name:contains=n",
)


def entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


async def filled(node: Alone) -> None:
    people: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": f"p{each}", "name": [{"text": "n"}]} for each in range(50)
    ]
    values: list[dict[str, Any]] = [
        {
            "resourceType": "Observation",
            "id": f"o{each}",
            "status": "final",
            "code": {"coding": [{"system": "urn:x", "code": f"c{each % 7}"}]},
            "subject": {"reference": f"Patient/p{each % 50}"},
            "effectiveDateTime": f"20{each % 20:02d}-01-01",
            "valueQuantity": {"value": each + 1},
        }
        for each in range(RESOURCES)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry(each) for each in [*people, *values]]}
    assert (await node.send("POST", "/fhir", bundle)).is_success


async def test_hundreds_of_the_most_expensive_searches_leave_the_latency_of_reads_by_id_bounded(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        await filled(node)
        crowd = [
            asyncio.create_task(node.send("GET", f"/fhir/{EXPENSIVE[each % len(EXPENSIVE)]}")) for each in range(CROWD)
        ]
        await asyncio.sleep(0.5)
        took = []
        for each in range(30):
            begun = time.monotonic()
            assert (await node.send("GET", f"/fhir/Observation/o{each}")).status_code == 200
            took.append(time.monotonic() - begun)
        answered = [task.result() for task in crowd if task.done()]
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)

    assert len(answered) < CROWD / 2
    assert {answer.status_code for answer in answered} <= {200, 400, 429}
    assert sorted(took)[len(took) // 2] < 0.5
    assert max(took) < 2.5


@pytest.fixture
def searched() -> Iterator[list[str]]:
    """What has been asked of the resources by the threads of searches."""
    asked: list[str] = []

    def hear(statement: str) -> None:
        if threading.current_thread().name.startswith("store-search") and "FROM resources" in statement:
            asked.append(statement)

    def listen(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(hear)

    event.listen(Engine, "connect", listen)
    yield asked
    event.remove(Engine, "connect", listen)


def people(count: int) -> dict[str, Any]:
    written = [entry({"resourceType": "Patient", "id": f"p{count}-{each}"}) for each in range(count)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": written}


async def test_what_a_transaction_has_written_is_read_at_once_where_searches_are(
    searched: list[str], tmp_path: Path
) -> None:
    async with alone(tmp_path, is_open=True) as node:
        for count in (2, 60):
            searched.clear()
            answer = await node.send("POST", "/fhir", people(count), Prefer="return=representation")

            assert [each["resource"]["id"] for each in answer.json()["entry"]] == [
                f"p{count}-{n}" for n in range(count)
            ]
            assert len(searched) == 1


async def test_a_transaction_that_was_carried_out_in_a_crowd_is_answered_without_its_resources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lane, "WAIT_S", 0.2)
    is_over = threading.Event()
    async with alone(tmp_path, is_open=True) as node:
        store = node.assembled.node.parts.store
        askers = [f"asker-{number}" for number in range(lane.THREADS)]
        long = [asyncio.create_task(store.read(lambda _tx: is_over.wait(60), asker=asker)) for asker in askers]
        await asyncio.sleep(0)
        answer = await node.send("POST", "/fhir", people(2), Prefer="return=representation")
        is_over.set()
        await asyncio.gather(*long)
        kept = await node.send("GET", "/fhir/Patient/p2-0")

    assert [each["response"]["status"] for each in answer.json()["entry"]] == ["201 Created"] * 2
    assert not any("resource" in each for each in answer.json()["entry"])
    assert kept.status_code == 200


async def test_a_large_write_is_read_where_it_holds_nobody_up(tmp_path: Path) -> None:
    concept = {"coding": [{"system": "urn:x", "code": "c"}], "text": "some words"}
    parameters = [{"name": f"n{each}", "valueCodeableConcept": concept} for each in range(8_000)]
    large = json.dumps({"resourceType": "Parameters", "id": "large", "parameter": parameters}).encode()
    async with alone(tmp_path, is_open=True) as node:
        assert (await node.send("PUT", "/fhir/Patient/p1", {"resourceType": "Patient", "id": "p1"})).is_success
        # Workers start with the first work that is worth the way.
        assert (await node.send("PUT", "/fhir/Parameters/large", raw=large)).status_code == 201
        begun, took = time.monotonic(), []
        writing = asyncio.create_task(node.send("PUT", "/fhir/Parameters/large", raw=large))
        while not writing.done():
            asked = time.monotonic()
            assert (await node.send("GET", "/fhir/Patient/p1")).status_code == 200
            took.append(time.monotonic() - asked)
        elapsed = time.monotonic() - begun

    assert (writing.result().status_code, len(large) > 1 << 19) == (200, True)
    assert max(took) < elapsed / 3

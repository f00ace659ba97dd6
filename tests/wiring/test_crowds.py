"""A node that stands alone under what costs most: a crowd of expensive searches, one large write."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.wiring.alone import Alone, alone

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

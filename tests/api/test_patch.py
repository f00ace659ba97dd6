"""JSON Patch over HTTP and in Bundles: bytes stay, the result is judged as a whole, nothing is half done."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import national_id, observation, patient, transaction

MEDIA = "application/json-patch+json"
ON_BOTH_DATABASES = True


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), observation("o1", "p1", "1.50")))
    return door


async def patch(door: Door, path: str, *operations: dict[str, Any], **extra: str) -> httpx.Response:
    return await door.send("PATCH", path, json.dumps(operations).encode(), Content_Type=MEDIA, **extra)


def entry(url: str, *operations: dict[str, Any], **request: str) -> dict[str, Any]:
    data = b64encode(json.dumps(operations).encode()).decode()
    return {
        "resource": {"resourceType": "Binary", "contentType": MEDIA, "data": data},
        "request": {"method": "PATCH", "url": url, **request},
    }


async def test_a_patch_changes_what_it_names_and_no_other_byte(door: Door) -> None:
    before = (await door.send("GET", "/fhir/Observation/o1")).content
    answer = await patch(
        door, "/fhir/Observation/o1", {"op": "replace", "path": "/status", "value": "amended"}, If_Match='W/"1"'
    )
    after = (await door.send("GET", "/fhir/Observation/o1")).content

    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert answer.content == after
    tail = before[before.index(b'"status"') :].replace(b'"final"', b'"amended"')
    assert after.endswith(tail)
    assert b"1.50" in after
    assert answer.json()["meta"]["versionId"] == "2"


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [
        ({"op": "test", "path": "/status", "value": "amended"}, 422, "patch-does-not-apply"),
        ({"op": "remove", "path": "/nothing"}, 422, "patch-does-not-apply"),
        ({"op": "remove", "path": "/status"}, 422, "patch-breaks-resource"),
        ({"op": "replace", "path": "/status", "value": "bogus"}, 422, "patch-breaks-resource"),
        ({"op": "replace", "path": "/id", "value": "other"}, 422, "patch-breaks-resource"),
        ({"op": "remove", "path": "/id"}, 422, "patch-breaks-resource"),
        ({"op": "replace", "path": "/resourceType", "value": "Patient"}, 422, "patch-breaks-resource"),
        ({"op": "add", "path": "/subject", "value": {"reference": "Patient/never"}}, 400, "dangling-reference"),
        ({"op": "paint", "path": "/status"}, 400, "bad-patch"),
    ],
)
async def test_a_patch_that_cannot_be_done_changes_nothing(
    door: Door, operation: dict[str, Any], status: int, code: str
) -> None:
    first = {"op": "add", "path": "/note", "value": [{"text": "x"}]}
    answer = await patch(door, "/fhir/Observation/o1", first, operation)
    issue = issue_of(answer)

    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (status, code)
    if "patch[" in json.dumps(issue):
        assert issue["expression"][0].startswith("patch[1]")
    assert (await door.send("GET", "/fhir/Observation/o1")).headers["ETag"] == 'W/"1"'


async def test_a_patch_of_what_is_not_here_says_so(door: Door) -> None:
    await door.send("DELETE", "/fhir/Observation/o1")
    operation = {"op": "remove", "path": "/note"}

    assert (await patch(door, "/fhir/Observation/o1", operation)).status_code == 410
    assert (await patch(door, "/fhir/Observation/never", operation)).status_code == 404
    assert (await patch(door, "/fhir/Patient?_id=never", operation)).status_code == 404


async def test_a_conditional_patch_patches_the_one_that_is_found(door: Door) -> None:
    operation = {"op": "replace", "path": "/gender", "value": "male"}
    one = await patch(door, "/fhir/Patient?_id=p1", operation)
    await door.send("POST", "/fhir", transaction(patient("p2", identity=None)))
    several = await patch(door, "/fhir/Patient?_id=p1,p2", operation)

    assert (one.status_code, one.json()["gender"]) == (200, "male")
    assert several.status_code == 412


async def test_racing_patches_all_arrive(door: Door) -> None:
    body = observation("o1", "p1", "1.50") | {"note": [{"text": "0"}]}
    await door.send("POST", "/fhir", transaction(body))
    operations = [{"op": "add", "path": "/note/-", "value": {"text": str(number)}} for number in range(6)]
    answers = await asyncio.gather(*(patch(door, "/fhir/Observation/o1", each) for each in operations))
    kept = (await door.send("GET", "/fhir/Observation/o1")).json()

    assert {answer.status_code for answer in answers} == {200}
    assert len(kept["note"]) == 7
    assert kept["meta"]["versionId"] == "8"


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_bundle_patches_by_a_binary(door: Door, kind: str) -> None:
    operation = {"op": "replace", "path": "/status", "value": "amended"}
    bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry("Observation/o1", operation, ifMatch='W/"1"')]}
    answer = (await door.send("POST", "/fhir", bundle)).json()
    again = await door.send("POST", "/fhir", bundle)

    assert answer["entry"][0]["response"]["status"] == "200 OK"
    assert b"1.50" in (await door.send("GET", "/fhir/Observation/o1")).content
    assert again.status_code == (412 if kind == "transaction" else 200)
    if kind == "batch":
        assert again.json()["entry"][0]["response"]["status"].startswith("412")


async def test_a_patch_that_fails_takes_its_transaction_with_it(door: Door) -> None:
    before = door.rows()
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
            entry("Observation/o1", {"op": "remove", "path": "/nothing"}),
        ],
    }
    answer = await door.send("POST", "/fhir", bundle)

    assert answer.status_code == 422
    assert door.rows() == before


async def test_a_patch_may_make_a_patient_known(door: Door) -> None:
    identifier = [{"system": "urn:oid:2.16.156.10011.1.3", "value": national_id(1)}]
    held = (await door.send("PUT", "/fhir/Patient/p1", patient("p1", identity=None))).headers.get("X-Held")
    answer = await patch(door, "/fhir/Patient/p1", {"op": "add", "path": "/identifier", "value": identifier})

    assert held == "no-identity"
    assert (answer.status_code, answer.headers.get("X-Held")) == (200, None)


async def test_who_may_not_read_learns_nothing_by_a_tests_outcome(door: Door) -> None:
    told = {
        value: await patch(
            door, "/fhir/Observation/o1", {"op": "test", "path": "/status", "value": value}, who="viewer"
        )
        for value in ("final", "amended")
    }

    assert {answer.status_code for answer in told.values()} == {403}

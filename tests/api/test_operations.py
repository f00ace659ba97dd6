"""``$validate`` and ``$meta`` over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import national_id, observation, patient, transaction


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def wrapped(resource: dict[str, Any], **values: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [{"name": "resource", "resource": resource}]
    parameters += [{"name": name, "valueCode": value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": parameters}


SOUND: dict[str, Any] = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}}
BROKEN: dict[str, Any] = {"resourceType": "Observation", "status": 1, "bogus": "x", "issued": "2026-02-30T00:00:00Z"}


@pytest.mark.parametrize("body", [SOUND, wrapped(SOUND), wrapped(SOUND, mode="update")])
@pytest.mark.parametrize("where", ["cn/33/3305/330521", "cn"])
async def test_a_sound_resource_is_called_sound_on_every_node_and_not_kept(
    door: Door, tmp_path: Path, body: dict[str, Any], where: str
) -> None:
    here = Door(tmp_path, where, door.network)
    answer = await here.send("POST", "/fhir/Observation/$validate", body)

    assert answer.status_code == 200
    assert [issue["severity"] for issue in answer.json()["issue"]] == ["information"]
    assert here.rows()["resources"] == 0


@pytest.mark.parametrize("body", [BROKEN, wrapped(BROKEN)])
async def test_everything_wrong_is_told_with_its_place_and_without_its_value(door: Door, body: dict[str, Any]) -> None:
    answer = await door.send("POST", "/fhir/Observation/$validate", body)
    issues = answer.json()["issue"]

    assert answer.status_code == 200
    assert {issue["severity"] for issue in issues} == {"error"}
    places = {issue["expression"][0] for issue in issues}
    assert places == {"Observation.status", "Observation.bogus", "Observation.issued", "Observation.code"}
    assert "2026-02-30" not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("Patient/$validate", SOUND, "the URL says Patient"),
        ("Observation/o2/$validate", SOUND, "not the one in the URL"),
        ("Observation/$validate?mode=update", {key: SOUND[key] for key in SOUND if key != "id"}, "id"),
        ("Observation/$validate", SOUND | {"status": "bogus"}, "value set"),
        ("Patient/$validate", patient("p1", identity=national_id(1)[:-1] + "?"), "national ID"),
    ],
)
async def test_what_does_not_fit_its_place_is_wrong_too(door: Door, path: str, body: dict[str, Any], told: str) -> None:
    issues = (await door.send("POST", f"/fhir/{path}", body)).json()["issue"]

    assert len(issues) == 1
    assert issues[0]["severity"] == "error"
    assert told in issues[0]["diagnostics"]
    assert issues[0]["expression"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("Observation/$validate?mode=paint", SOUND, 400),
        ("Observation/$validate?bogus=1", SOUND, 400),
        ("Observation/$validate?profile=http://x", SOUND, 501),
        ("Observation/$validate", wrapped(SOUND, profile="http://x"), 501),
        ("Observation/$validate", {"resourceType": "Parameters"}, 400),
        ("Observation/$validate", b'{"resourceType":"Parameters","parameter":[{"resource":{"id":"a","id":"b"}}]}', 400),
        ("Observation/$validate", b'{"resourceType":"Parameters","parameter":{"resource":{"id":"a","id":"b"}}}', 400),
        ("Nothing/$validate", SOUND, 404),
    ],
)
async def test_what_the_operation_does_not_offer_is_refused(
    door: Door, path: str, body: dict[str, Any] | bytes, status: int
) -> None:
    assert (await door.send("POST", f"/fhir/{path}", body)).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceType":',
        b'{"resourceType":"\xff"}',
        b'{"a":' + b"[" * 100_000,
        b'{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"id":"a","id":"b"}}]}',
    ],
    ids=["cut off", "no UTF-8", "too deep", "a name twice"],
)
async def test_what_is_no_json_is_an_issue_and_no_failure(door: Door, body: bytes) -> None:
    answer = await door.send("POST", "/fhir/Observation/$validate", body)

    assert (answer.status_code, issue_of(answer)["severity"]) == (200, "error")


async def test_meta_is_told_to_who_may_read_the_resource(door: Door) -> None:
    tagged = observation("o1", "p1", "1.50") | {"meta": {"tag": [{"system": "urn:x", "code": "y"}]}}
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), tagged))
    answer = await door.send("GET", "/fhir/Observation/o1/$meta")
    refused = await door.send("GET", "/fhir/Observation/o1/$meta", who="viewer")

    said = answer.json()["parameter"][0]
    assert (said["name"], said["valueMeta"]["versionId"]) == ("return", "1")
    assert said["valueMeta"]["tag"] == [{"system": "urn:x", "code": "y"}]
    assert refused.status_code == (await door.send("GET", "/fhir/Observation/o1", who="viewer")).status_code

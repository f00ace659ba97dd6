"""``$validate``, ``$meta``, ``$meta-add`` and ``$meta-delete`` over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.fhir.validation import validate


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def wrapped(resource: dict[str, Any], **values: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [{"name": "resource", "resource": resource}]
    parameters += [{"name": name, "valueCode": value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": parameters}


SOUND: dict[str, Any] = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "x"}}
BROKEN: dict[str, Any] = {"resourceType": "Observation", "status": 1, "bogus": "x", "issued": "2026-02-30T00:00:00Z"}

TWICE: dict[str, Any] = wrapped(BROKEN) | {"parameter": [*wrapped(BROKEN)["parameter"], *wrapped(SOUND)["parameter"]]}


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
        ("Observation/$validate?mode=create&mode=update", SOUND, 400),
        ("Observation/$validate", TWICE, 400),
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


def meta(**members: Any) -> dict[str, Any]:  # noqa: ANN401  # the members of a Meta
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": members}]}


def tag(code: str, **more: str) -> dict[str, str]:
    return {"system": "urn:x", "code": code, **more}


async def test_tags_labels_and_profiles_are_added_and_deleted_as_sets_and_each_time_a_version_is_made(
    door: Door,
) -> None:
    kept = observation("o1", "p1", "1.50") | {"meta": {"tag": [tag("a", display="first")]}}
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), kept))
    path = "/fhir/Observation/o1"
    change = meta(tag=[tag("a"), tag("b"), tag("b")], profile=["urn:p"], security=[tag("s")])
    added = await door.send("POST", f"{path}/$meta-add", change, If_Match='W/"1"')
    late = await door.send("POST", f"{path}/$meta-add", change, If_Match='W/"1"')
    deleted = await door.send("POST", f"{path}/$meta-delete", meta(tag=[tag("a")], profile=["urn:p"]))
    now = await door.send("GET", path)
    by_post = await door.send("POST", f"{path}/$meta")

    said = added.json()["parameter"][0]["valueMeta"]
    assert (said["tag"], said["profile"]) == ([tag("a", display="first"), tag("b")], ["urn:p"])
    assert (said["security"], said["versionId"], late.status_code) == ([tag("s")], "2", 412)
    assert (
        deleted.json()["parameter"][0]["valueMeta"] == now.json()["meta"] == by_post.json()["parameter"][0]["valueMeta"]
    )
    assert now.json()["meta"].keys() == {"versionId", "lastUpdated", "tag", "security"}
    assert (now.headers["ETag"], now.json()["meta"]["tag"]) == ('W/"3"', [tag("b")])
    assert b"1.50" in now.content
    found = [(await door.send("GET", f"/fhir/Observation?_tag=urn:x|{code}")).json()["total"] for code in "ab"]
    assert found == [0, 1]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("Observation/o1/$meta-add", {"resourceType": "Parameters"}, 400),
        ("Observation/o1/$meta-add", SOUND, 400),
        ("Observation/o1/$meta-add", meta(versionId="7"), 400),
        ("Observation/o1/$meta-add", meta(tag="x"), 400),
        ("Observation/o1/$meta-add?x=y", meta(tag=[tag("a")]), 400),
        ("Observation/never/$meta-add", meta(tag=[tag("a")]), 404),
    ],
)
async def test_what_is_no_change_of_a_meta_is_refused(door: Door, path: str, body: dict[str, Any], status: int) -> None:
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), observation("o1", "p1")))

    assert (await door.send("POST", f"/fhir/{path}", body)).status_code == status


NAMELESS: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [{"_name": {"extension": [{"url": "urn:a", "valueString": "x"}]}, "valueString": "x"}],
}
"""Sound FHIR R4: an extension stands for the name."""


@pytest.mark.parametrize(
    "path", ["Basic/open/$meta-add", "Patient/p1/$everything", "Patient/$match", "Basic/$validate"]
)
async def test_a_parameter_without_a_name_is_refused_by_every_operation(door: Door, path: str) -> None:
    assert validate(json.dumps(NAMELESS).encode()).type == "Parameters"
    answer = await door.send("POST", f"/fhir/{path}", NAMELESS)

    assert (answer.status_code, issue_of(answer)["diagnostics"]) == (400, "a parameter has a name")


async def test_the_meta_of_all_resources_is_not_offered_and_says_so(door: Door, tmp_path: Path) -> None:
    above = Door(tmp_path, "cn", door.network)
    unsaid = [await door.send("GET", f"/fhir/{path}") for path in ("$meta", "Observation/$meta")]
    elsewhere = await above.send("POST", "/fhir/Observation/o1/$meta-add", meta(tag=[tag("a")]))

    assert [answer.status_code for answer in (*unsaid, elsewhere)] == [501, 501, 405]

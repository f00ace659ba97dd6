"""Reads inside Bundles: after the writes of a transaction, each on its own in a batch, on every node."""

from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import national_id, observation, patient, transaction

ON_BOTH_DATABASES = True


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    person = patient("p1", identity=national_id(1))
    await door.send("POST", "/fhir", transaction(person, observation("o1", "p1", "1.50")))
    return door


def get(url: str, **request: str) -> dict[str, Any]:
    return {"request": {"method": "GET", "url": url, **request}}


def put(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


READS = (
    get("Observation/o1"),
    get("Observation/o1/_history/1"),
    get("Observation/o1/_history"),
    get("Observation/_history?_count=1"),
    get("Observation?patient=p1"),
)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("where", ["county", "nation"])
async def test_every_kind_of_read_is_answered_as_it_is_alone(door: Door, tmp_path: Path, kind: str, where: str) -> None:
    here = door if where == "county" else Door(tmp_path, "cn", door.network)
    entries = READS if where == "county" else (get("Observation/_history"), get("Observation"))
    who = "hospital" if where == "county" else "viewer"
    answer = await here.send("POST", "/fhir", bundle(kind, *entries), who=who)
    told = answer.json()

    assert told["type"] == f"{kind}-response"
    assert [entry["response"]["status"] for entry in told["entry"]] == ["200 OK"] * len(entries)
    if where == "county":
        kinds = [entry["resource"].get("type", "resource") for entry in told["entry"]]
        assert kinds == ["resource", "resource", "history", "history", "searchset"]
        assert told["entry"][0]["response"]["etag"] == 'W/"1"'
        assert answer.content.count(b"1.50") == 5


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("2999-01-01T00:00:00Z", "304 Not Modified"),
        ("2020-01-01T00:00:00+08:00", "200 OK"),
        ("Wed, 01 Jan 2999 00:00:00 GMT", "400 Bad Request"),
    ],
)
async def test_if_modified_since_of_an_entry_is_an_instant(door: Door, since: str, status: str) -> None:
    asked = bundle("batch", get("Observation/o1", ifModifiedSince=since), get("Observation/o1"))
    first, second = (await door.send("POST", "/fhir", asked)).json()["entry"]
    again = bundle("batch", get("Observation/o1", ifModifiedSince=second["response"]["lastModified"]))

    assert first["response"]["status"].startswith(status[:3])
    assert (await door.send("POST", "/fhir", again)).json()["entry"][0]["response"]["status"].startswith("304")


async def test_a_transactions_reads_see_what_it_wrote_whatever_their_place(door: Door) -> None:
    changed = patient("p1", identity=national_id(1), version_note="changed")
    entries = (get("Patient/p1"), put(changed), get("Patient?_id=p2"), put(patient("p2", identity=None)))
    answer = (await door.send("POST", "/fhir", bundle("transaction", *entries))).json()["entry"]

    assert answer[0]["resource"]["name"][0]["text"] == "测试changed"
    assert answer[0]["response"]["etag"] == 'W/"2"'
    assert answer[2]["resource"]["total"] == 1
    assert [entry["response"]["status"] for entry in answer] == ["200 OK", "200 OK", "200 OK", "201 Created"]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("Patient/never", 404),
        ("Patient?bogus=1", 400),
        ("Nothing/_history", 404),
        ("_tags", 400),
        ("Patient_history", 400),
        ("Patient/p1_history", 400),
    ],
)
async def test_a_read_that_fails_takes_a_transaction_with_it_and_no_batch(door: Door, url: str, status: int) -> None:
    before = door.rows()
    entries = (put(patient("p2", identity=None)), get(url))
    refused = await door.send("POST", "/fhir", bundle("transaction", *entries))

    assert refused.status_code == status
    assert issue_of(refused)["severity"] == "error"
    assert door.rows() == before
    batch = (await door.send("POST", "/fhir", bundle("batch", *entries))).json()["entry"]
    assert [entry["response"]["status"][:3] for entry in batch] == ["201", str(status)]
    assert batch[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"


async def test_a_transaction_sent_twice_writes_once_and_reads_again(door: Door) -> None:
    entries = bundle("transaction", put(patient("p1", identity=None, version_note="b")), get("Patient/p1"))
    first = await door.send("POST", "/fhir", entries, X_Request_Id="twice")
    again = await door.send("POST", "/fhir", entries, X_Request_Id="twice")

    assert first.content == again.content
    assert (await door.send("GET", "/fhir/Patient/p1")).headers["ETag"] == 'W/"2"'


async def test_an_entry_that_the_client_has_already_brings_no_resource(door: Door) -> None:
    known, other = get("Patient/p1", ifNoneMatch='W/"1"'), get("Patient/p1", ifNoneMatch='W/"9"')
    told = (await door.send("POST", "/fhir", bundle("batch", known, other))).json()["entry"]

    assert (told[0]["response"]["status"], "resource" in told[0]) == ("304 Not Modified", False)
    assert (told[1]["response"]["status"], "resource" in told[1]) == ("200 OK", True)


async def test_a_bundle_asks_for_a_bounded_number_of_reads(door: Door) -> None:
    refused = await door.send("POST", "/fhir", bundle("batch", *[get("Patient/p1")] * 201))

    assert refused.status_code == 413


async def test_where_nobody_is_admitted_a_batch_reads_and_writes_nothing(door: Door, tmp_path: Path) -> None:
    nation = Door(tmp_path, "cn", door.network)
    told = await nation.send("POST", "/fhir", bundle("batch", put(patient("p9", identity=None)), get("Patient")))

    assert [entry["response"]["status"][:3] for entry in told.json()["entry"]] == ["405", "200"]
    assert told.json()["entry"][1]["resource"]["total"] == 0

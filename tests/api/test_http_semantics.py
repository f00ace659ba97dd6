"""HTTP as FHIR uses it: validators, preferences, formats, heads."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.door import FHIR, Door, issue_of
from tests.federation.records import observation, patient, transaction

from health_exchange.api.bodies import date_of


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), observation("o1", "p1", "1.50")))
    return door


async def test_every_write_says_where_when_and_which_version(door: Door) -> None:
    created = await door.send("POST", "/fhir/Patient", {"resourceType": "Patient"})
    updated = await door.send("PUT", "/fhir/Patient/p2", {"resourceType": "Patient", "id": "p2"})

    for answer in (created, updated):
        body = answer.json()
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"{door.base}/fhir/Patient/{body['id']}/_history/1"
        assert answer.headers["ETag"] == f'W/"{body["meta"]["versionId"]}"'
        said = parsedate_to_datetime(answer.headers["Last-Modified"])
        assert body["meta"]["lastUpdated"].startswith(said.strftime("%Y-%m-%dT%H:%M:%S"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_None_Match": 'W/"1"'}, 304),
        ({"If_None_Match": '"9", W/"1"'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": 'W/"2"'}, 200),
        ({"If_None_Match": 'W/"2"', "If_Modified_Since": "later"}, 200),
        ({"If_Modified_Since": "same"}, 304),
        ({"If_Modified_Since": "later"}, 304),
        ({"If_Modified_Since": "earlier"}, 200),
        ({"If_Modified_Since": "no date"}, 200),
        ({"If_Modified_Since": "Thu, 01 Jan 2026 00:00:00 +99999999999999999999"}, 200),
    ],
)
async def test_who_has_the_version_already_is_told_so(door: Door, headers: dict[str, str], status: int) -> None:
    first = await door.send("GET", "/fhir/Observation/o1")
    at = parsedate_to_datetime(first.headers["Last-Modified"])
    offsets = {"same": 0, "later": 60, "earlier": -60}
    since = headers.get("If_Modified_Since", "")
    if since in offsets:
        headers = headers | {"If_Modified_Since": format_datetime(at + timedelta(seconds=offsets[since]), usegmt=True)}
    answer = await door.send("GET", "/fhir/Observation/o1", None, **headers)

    assert answer.status_code == status
    assert answer.headers["ETag"] == 'W/"1"'
    assert answer.headers["Last-Modified"] == first.headers["Last-Modified"]
    assert bool(answer.content) is (status == 200)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(("tag", "status"), [('W/"7"', 412), ('W/"1"', 200), ('"1"', 200), ("nonsense", 400)])
async def test_if_match_names_the_version_that_may_be_changed(door: Door, method: str, tag: str, status: int) -> None:
    media = "application/json-patch+json" if method == "PATCH" else FHIR
    patch = b'[{"op":"replace","path":"/gender","value":"male"}]'
    body = {"PUT": patient("p1", identity=None), "DELETE": None, "PATCH": patch}[method]
    if method == "DELETE":
        await door.send("DELETE", "/fhir/Observation/o1")
    answer = await door.send(method, "/fhir/Patient/p1", body, If_Match=tag, Content_Type=media)

    assert answer.status_code == (204 if (method, status) == ("DELETE", 200) else status), answer.text


async def test_a_deleted_resource_is_gone_and_one_that_never_was_is_not_found(door: Door) -> None:
    assert (await door.send("DELETE", "/fhir/Observation/o1")).status_code == 204
    gone, never = await door.send("GET", "/fhir/Observation/o1"), await door.send("GET", "/fhir/Observation/never")
    version = await door.send("GET", "/fhir/Observation/o1/_history/2")
    former = await door.send("GET", "/fhir/Observation/o1/_history/1")
    again = await door.send("PUT", "/fhir/Patient/p1", patient("p1", identity=None))

    assert (gone.status_code, issue_of(gone)["code"]) == (410, "deleted")
    assert (never.status_code, issue_of(never)["code"]) == (404, "not-found")
    assert (version.status_code, former.status_code, again.status_code) == (410, 200, 200)


async def test_a_client_gets_back_of_its_write_what_it_prefers(door: Door) -> None:
    body = {"resourceType": "Patient", "gender": "male"}
    answers = {
        preference: await door.send("POST", "/fhir/Patient", body, Prefer=f"return={preference}")
        for preference in ("minimal", "representation", "OperationOutcome")
    }
    deleted = await door.send("DELETE", "/fhir/Observation/o1", Prefer="return=OperationOutcome")

    assert answers["minimal"].content == b""
    assert answers["representation"].json()["gender"] == "male"
    assert issue_of(answers["OperationOutcome"])["severity"] == "information"
    assert (deleted.status_code, issue_of(deleted)["severity"]) == (200, "information")


async def test_a_transactions_entries_say_what_became_of_them_and_bring_what_is_preferred(door: Door) -> None:
    bundle = transaction(patient("p1", identity=None), observation("o2", "p1", "2.500"))
    plain = json.loads((await door.send("POST", "/fhir", bundle)).content)
    whole = await door.send("POST", "/fhir", bundle, Prefer="return=representation")
    outcomes = (await door.send("POST", "/fhir", bundle, Prefer="return=OperationOutcome")).json()

    assert [entry["response"]["status"] for entry in plain["entry"]] == ["200 OK", "201 Created"]
    for entry in plain["entry"]:
        assert set(entry["response"]) >= {"status", "location", "etag", "lastModified"}
        assert "resource" not in entry
    assert [entry["resource"]["id"] for entry in whole.json()["entry"]] == ["p1", "o2"]
    assert b'"value":2.500' in whole.content.replace(b": ", b":")
    assert all(entry["response"]["outcome"]["issue"] for entry in outcomes["entry"])


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/fhir/Patient/p1", "application/fhir+xml", 406),
        ("/fhir/Patient/p1", "application/xml, text/html", 406),
        ("/fhir/Patient/p1", "application/fhir+json;q=0", 406),
        ("/fhir/Patient/p1", "application/fhir+xml, application/fhir+json;q=0.5", 200),
        ("/fhir/Patient/p1", "*/*", 200),
        ("/fhir/Patient/p1?_format=xml", FHIR, 406),
        ("/fhir/Patient/p1?_format=json", "application/fhir+xml", 200),
        ("/fhir/Patient/p1?_format=application/fhir%2Bjson", "text/html", 200),
        ("/fhir/Patient/p1?_format=application/fhir+json", "text/html", 200),
        ("/fhir/Observation?_format=json&_id=o1", FHIR, 200),
        ("/fhir/metadata?_format=json", FHIR, 200),
        ("/fhir/metadata?_format=xml", FHIR, 406),
    ],
)
async def test_this_door_writes_json_and_nothing_else(door: Door, path: str, accept: str, status: int) -> None:
    answer = await door.send("GET", path, Accept=accept)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == FHIR


async def test_plain_json_is_called_so_where_only_that_is_taken(door: Door) -> None:
    answer = await door.send("GET", "/fhir/Patient/p1", Accept="application/json")

    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("media", ["application/fhir+xml", "text/plain", ""])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_another_media_type_is_not_read(door: Door, method: str, media: str) -> None:
    path = "/fhir/Patient" if method == "POST" else "/fhir/Patient/p1"
    answer = await door.send(method, path, b"<Patient/>", Content_Type=media)

    assert answer.status_code == 415
    assert issue_of(answer)["code"] == "not-supported"


async def test_a_pretty_answer_has_the_same_tokens(door: Door) -> None:
    plain = (await door.send("GET", "/fhir/Observation/o1")).content
    pretty = await door.send("GET", "/fhir/Observation/o1?_pretty=true")

    assert b"\n  " in pretty.content
    assert b"1.50" in pretty.content
    assert json.loads(pretty.content) == json.loads(plain)
    assert pretty.headers["Content-Length"] == str(len(pretty.content))
    assert (await door.send("GET", "/fhir/Observation/o1?_pretty=maybe")).status_code == 400


@pytest.mark.parametrize("path", ["/fhir/Patient/p1", "/fhir/Patient?_id=p1", "/fhir/metadata"])
async def test_a_head_is_the_answer_without_its_body(door: Door, path: str) -> None:
    head, whole = await door.send("HEAD", path), await door.send("GET", path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]


async def test_a_method_that_a_path_does_not_have_is_a_405(door: Door) -> None:
    answer = await door.send("POST", "/fhir/Patient/p1", {"resourceType": "Patient"})

    assert answer.status_code == 405
    assert issue_of(answer)["severity"] == "error"
    assert "GET" in answer.headers["Allow"]


async def test_an_identifier_that_names_no_person_may_stand_in_a_url(door: Door) -> None:
    code = {"system": "urn:oid:2.16.156.10011.1.5", "value": "W-1"}
    await door.send("POST", "/fhir/Organization", {"resourceType": "Organization", "identifier": [code]})
    found = await door.send("GET", f"/fhir/Organization?identifier={code['system']}|{code['value']}")
    person = await door.send("GET", "/fhir/Patient?identifier=http://hl7.org/fhir/sid/passport-DEU|C01X00T47")

    assert (found.status_code, found.json()["total"]) == (200, 1)
    assert issue_of(person)["details"]["coding"][0]["code"] == "identity-in-url"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", "/fhir/Patient", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        ("POST", "/fhir/Patient/p1", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_a_405_that_names_all_it_has(
    door: Door, method: str, path: str, allowed: set[str]
) -> None:
    answer = await door.send(method, path)

    assert answer.status_code == 405
    assert allowed <= set(answer.headers["Allow"].split(", "))
    assert method not in answer.headers["Allow"]


async def test_the_base_is_searched_with_and_without_a_slash(door: Door) -> None:
    answers = [await door.send("GET", f"/fhir{slash}?_type=Patient") for slash in ("", "/")]

    assert [answer.status_code for answer in answers] == [200, 200]


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.timezones()))  # noqa: DTZ001  # hypothesis adds the zone
def test_a_date_is_written_as_the_library_writes_it(at: datetime) -> None:
    assert date_of(at) == format_datetime(at.astimezone(UTC), usegmt=True)

"""The CapabilityStatement against the door: what it names works, what it does not name is refused."""

from pathlib import Path
from typing import Any

import pytest
from tests.api.door import FHIR, Door

PATCH = b'[{"op":"replace","path":"/name","value":"b"}]'
ORGANIZATION = {"resourceType": "Organization", "id": "o1", "name": "a"}
BATCH = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": "Organization"}}]}
INTERACTIONS: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", "Organization", {"resourceType": "Organization", "name": "a"}),
    "update": ("PUT", "Organization/o1", ORGANIZATION),
    "patch": ("PATCH", "Organization/o1", PATCH),
    "read": ("GET", "Organization/o1", None),
    "vread": ("GET", "Organization/o1/_history/1", None),
    "history-instance": ("GET", "Organization/o1/_history", None),
    "history-type": ("GET", "Organization/_history", None),
    "search-type": ("GET", "Organization", None),
    "delete": ("DELETE", "Organization/o1", None),
    "search-system": ("GET", "?_type=Organization", None),
    "history-system": ("GET", "_history", None),
    "batch": ("POST", "", BATCH),
    "transaction": ("POST", "", BATCH | {"type": "transaction"}),
}
WRITES = {"create", "update", "patch", "delete"}


@pytest.mark.parametrize("address", ["cn/33/3305/330521", "cn"])
async def test_each_interaction_works_where_it_is_stated_and_nowhere_else(tmp_path: Path, address: str) -> None:
    door = Door(tmp_path, address)
    statement = (await door.http.get("/fhir/metadata")).json()
    rest = statement["rest"][0]
    stated = next(each for each in rest["resource"] if each["type"] == "Organization")
    codes = {each["code"] for each in (*stated["interaction"], *rest["interaction"])}
    writes = address != "cn"

    assert codes == INTERACTIONS.keys() - (set() if writes else WRITES)
    assert writes is bool(
        stated.get("conditionalUpdate") and stated.get("updateCreate") and statement.get("patchFormat")
    )
    for code, (method, path, body) in INTERACTIONS.items():
        media = "application/json-patch+json" if code == "patch" else FHIR
        who = "hospital" if writes else "viewer"
        answer = await door.send(
            method, f"/fhir/{path}".rstrip("/").replace("/?", "?"), body, who=who, Content_Type=media
        )
        expected = {200, 201, 204} if writes else {405} if code in WRITES else {200, 404}
        assert answer.status_code in expected, (code, answer.text)


async def test_each_operation_works_where_it_is_stated(tmp_path: Path) -> None:
    door = Door(tmp_path)
    await door.send("PUT", "/fhir/Organization/o1", ORGANIZATION)
    statement = (await door.http.get("/fhir/metadata")).json()
    stated = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Organization")

    assert {each["name"] for each in stated["operation"]} == {"validate", "meta", "meta-add", "meta-delete"}
    assert (await door.send("POST", "/fhir/Organization/$validate", ORGANIZATION)).status_code == 200
    assert (await door.send("GET", "/fhir/Organization/o1/$meta")).status_code == 200
    tag = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": "a"}]}}],
    }
    for operation in ("$meta-add", "$meta-delete"):
        assert (await door.send("POST", f"/fhir/Organization/o1/{operation}", tag)).status_code == 200


@pytest.mark.parametrize(
    ("named", "query", "headers"),
    [
        ("_format", "/o1?_format=json", {}),
        ("_pretty", "/o1?_pretty=true", {}),
        ("_summary", "/o1?_summary=data", {}),
        ("_elements", "/o1?_elements=name", {}),
        ("_total", "?_total=accurate", {}),
        ("_since", "/o1/_history?_since=2020", {}),
        ("_at", "/o1/_history?_at=2020", {}),
        ("handling=lenient", "?colour=red", {"Prefer": "handling=lenient"}),
    ],
)
async def test_what_its_words_name_works_too(tmp_path: Path, named: str, query: str, headers: dict[str, str]) -> None:
    door = Door(tmp_path)
    await door.send("PUT", "/fhir/Organization/o1", ORGANIZATION)
    rest = (await door.http.get("/fhir/metadata")).json()["rest"][0]
    answers = [await door.send(method, f"/fhir/Organization{query}", None, **headers) for method in ("GET", "HEAD")]

    assert named in rest["documentation"]
    assert [answer.status_code for answer in answers] == [200, 200]


RIGHT, WRONG = 'W/"1"', 'W/"7"'
LONG_AGO, LATER = "Sat, 01 Jan 2000 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.parametrize("path", ["/fhir/Organization/o1", "/fhir/Organization/o1/_history/1"])
@pytest.mark.parametrize(
    ("named", "known", "unknown"), [("If-None-Match", RIGHT, WRONG), ("If-Modified-Since", LATER, LONG_AGO)]
)
async def test_reads_take_what_is_stated(tmp_path: Path, path: str, named: str, known: str, unknown: str) -> None:
    door = Door(tmp_path)
    await door.send("PUT", "/fhir/Organization/o1", ORGANIZATION)
    rest = (await door.http.get("/fhir/metadata")).json()["rest"][0]
    header = named.replace("-", "_")
    answers = [await door.send("GET", path, None, **{header: value}) for value in (known, unknown)]

    assert named in rest["documentation"]
    assert [answer.status_code for answer in answers] == [304, 200]


async def test_writes_take_what_is_stated(tmp_path: Path) -> None:
    door = Door(tmp_path)
    await door.send("PUT", "/fhir/Organization/o1", ORGANIZATION)
    words = (await door.http.get("/fhir/metadata")).json()["rest"][0]["documentation"]
    assert all(
        each in words for each in ("If-Match", "If-None-Match: *", "Prefer: return", "Patches may be conditional")
    )
    asked: list[tuple[str, str, Any, dict[str, str], int]] = [
        ("PUT", "/o1", ORGANIZATION, {"If_Match": WRONG}, 412),
        ("PUT", "/o1", ORGANIZATION, {"If_Match": RIGHT}, 200),
        ("PUT", "/o1", ORGANIZATION, {"If_None_Match": "*"}, 412),
        ("PUT", "/o2", ORGANIZATION | {"id": "o2"}, {"If_None_Match": "*"}, 201),
        ("PATCH", "?_id=o1", PATCH, {"Content_Type": "application/json-patch+json"}, 200),
        ("PATCH", "?_id=o9", PATCH, {"Content_Type": "application/json-patch+json"}, 404),
    ]
    for method, path, body, headers, status in asked:
        answer = await door.send(method, f"/fhir/Organization{path}", body, **headers)
        assert answer.status_code == status, (method, path, headers, answer.text)
    for preference, kind in (("representation", "Organization"), ("OperationOutcome", "OperationOutcome")):
        answer = await door.send(
            "PUT", "/fhir/Organization/o2", ORGANIZATION | {"id": "o2"}, Prefer=f"return={preference}"
        )
        assert answer.json()["resourceType"] == kind
    minimal = await door.send("PUT", "/fhir/Organization/o2", ORGANIZATION | {"id": "o2"}, Prefer="return=minimal")
    page = await door.send("GET", "/fhir/Organization/o2/_history?_count=1", None)

    assert minimal.content == b""
    assert len(page.json()["entry"]) == 1
    assert "next" in {link["relation"] for link in page.json()["link"]}


async def test_a_node_that_admits_nobody_states_nothing_of_writes(tmp_path: Path) -> None:
    words = (await Door(tmp_path, "cn").http.get("/fhir/metadata")).json()["rest"][0]["documentation"]

    assert "rites take" not in words
    assert "Prefer: return" not in words

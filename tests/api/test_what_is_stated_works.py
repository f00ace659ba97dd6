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
        ("If-None-Match", "/o1", {"If_None_Match": 'W/"7"'}),
        ("If-Modified-Since", "/o1", {"If_Modified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}),
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

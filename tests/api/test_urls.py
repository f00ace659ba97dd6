"""No URL shows who somebody is, whatever path it leads to and however it is escaped."""

from pathlib import Path
from urllib.parse import quote

import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import national_id

WHO = national_id(1)
ESCAPED = "".join(f"%{ord(each):02X}" for each in WHO)
WIDE = quote("".join(chr(ord(each) + 0xFEE0) for each in WHO))
UUID = "3cf7c8f3-c027-4983-8237-120514061758"


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@pytest.mark.parametrize(
    "written", [WHO, ESCAPED, WIDE, f"{WHO[:6]}%20{WHO[6:14]}%20{WHO[14:]}", f"{WHO[:6]}-{WHO[6:]}"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/fhir/Observation/$validate?profile="),
        ("GET", "/fhir/metadata?x="),
        ("GET", "/fhir/Patient/p1/$everything?_type="),
        ("GET", "/fhir/Patient/"),
        ("GET", "/health/live?x="),
        ("GET", "/nowhere?x="),
        ("PUT", "/fhir/Patient?name="),
        ("POST", "/fhir?x="),
    ],
)
async def test_a_url_that_shows_a_national_id_is_refused_before_any_route(
    door: Door, method: str, path: str, written: str
) -> None:
    answer = await door.http.request(method, f"{path}{written}")

    assert answer.status_code == 400
    assert issue_of(answer)["details"]["coding"][0]["code"] == "identity-in-url"
    assert WHO not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        "DiagnosticReport?date=2018-01-01,2019-03-01,2020-01-01",
        "ImagingStudy?identifier=urn:ietf:rfc:3986|urn:oid:1.2.840.113619.2.176.2025.110199.19900307.085100",
    ],
)
async def test_what_is_made_of_dates_is_asked_for_as_anything(door: Door, asked: str) -> None:
    answer = await door.send("GET", f"/fhir/{asked}")

    assert answer.status_code == 200, answer.text


async def test_what_only_looks_like_one_inside_a_uuid_is_an_id_as_any(door: Door) -> None:
    created = await door.send("PUT", f"/fhir/Organization/{UUID}", {"resourceType": "Organization", "id": UUID})
    found = await door.send("GET", f"/fhir/Organization?_id={UUID}")

    assert created.status_code == 201, created.text
    assert found.json()["total"] == 1

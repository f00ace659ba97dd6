"""What the FHIR door offers, over HTTP: each interaction as a client sees it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import NATIONAL_ID, immunization, national_id, observation, patient, transaction


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def body_of(resource: dict[str, Any]) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).replace('"@', "").replace('@"', "").encode()


async def test_a_resource_is_created_read_updated_and_deleted(door: Door) -> None:
    created = await door.send("POST", "/fhir/Patient", {"resourceType": "Patient", "gender": "male"})
    place = created.headers["Location"].split("/fhir/")[1].split("/_history")[0]
    patient_id = place.split("/")[1]
    assert created.status_code == 201
    assert created.headers["ETag"] == 'W/"1"'
    assert created.headers["X-Held"] == "no-identity"

    read = await door.send("GET", f"/fhir/{place}")
    assert (read.status_code, read.headers["ETag"], read.json()["gender"]) == (200, 'W/"1"', "male")
    assert "Last-Modified" in read.headers

    changed = {"resourceType": "Patient", "id": patient_id, "gender": "female"}
    updated = await door.send("PUT", f"/fhir/{place}", changed, If_Match='W/"1"')
    assert (updated.status_code, updated.headers["ETag"]) == (200, 'W/"2"')
    stale = await door.send("PUT", f"/fhir/{place}", changed, If_Match='W/"1"')
    assert stale.status_code == 412

    former = await door.send("GET", f"/fhir/{place}/_history/1")
    assert former.json()["gender"] == "male"

    assert (await door.send("DELETE", f"/fhir/{place}")).status_code == 204
    assert (await door.send("GET", f"/fhir/{place}")).status_code == 410
    assert (await door.send("DELETE", f"/fhir/{place}")).status_code == 204
    assert (await door.send("DELETE", "/fhir/Patient/never")).status_code == 404


async def test_what_was_sent_comes_back_byte_for_byte(door: Door) -> None:
    await door.send("POST", "/fhir", transaction(patient("p1", identity=national_id(1))))
    sent = body_of(observation("o1", "p1", "1.50"))

    await door.send("PUT", "/fhir/Observation/o1", sent)
    kept = (await door.send("GET", "/fhir/Observation/o1")).content

    assert kept.endswith(sent[sent.index(b'"status"') :])
    assert b"1.50" in kept


async def test_a_transaction_resolves_urns_and_conditions(door: Door) -> None:
    urn = "urn:uuid:3ed55b1a-2e88-5c03-bdae-218756bfef2b"
    organization = {
        "resourceType": "Organization",
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.5", "value": "12100000100158382D"}],
        "name": "样例卫生院",
    }
    condition = "identifier=urn:oid:2.16.156.10011.1.5|12100000100158382D"
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": urn,
                "resource": organization,
                "request": {"method": "POST", "url": "Organization", "ifNoneExist": condition},
            },
            {
                "resource": {"resourceType": "Location", "name": "门诊", "managingOrganization": {"reference": urn}},
                "request": {"method": "POST", "url": "Location"},
            },
        ],
    }
    first = (await door.send("POST", "/fhir", bundle)).json()
    second = (await door.send("POST", "/fhir", bundle)).json()

    made = [entry["response"]["location"].split("/_history")[0] for entry in first["entry"]]
    assert [entry["response"]["status"][:3] for entry in first["entry"]] == ["201", "201"]
    assert [entry["response"]["status"][:3] for entry in second["entry"]] == ["200", "201"]
    location = await door.send("GET", f"/fhir/{made[1]}")
    assert location.json()["managingOrganization"]["reference"] == made[0]

    by_condition = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": {
                    "resourceType": "Location",
                    "managingOrganization": {"reference": f"Organization?{condition}"},
                },
                "request": {"method": "POST", "url": "Location"},
            }
        ],
    }
    third = (await door.send("POST", "/fhir", by_condition)).json()
    found = await door.send("GET", f"/fhir/{third['entry'][0]['response']['location'].split('/_history')[0]}")
    assert found.json()["managingOrganization"]["reference"] == made[0]


async def test_racing_conditional_creates_leave_one_resource(door: Door) -> None:
    body = {
        "resourceType": "Practitioner",
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.4", "value": "DQ-1"}],
    }
    condition = "identifier=urn:oid:2.16.156.10011.1.4|DQ-1"

    answers = await asyncio.gather(
        *(door.send("POST", "/fhir/Practitioner", body, If_None_Exist=condition) for _ in range(20))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert door.rows()["resources"] == 1


async def test_searches_find_by_the_parameters_offered(door: Door) -> None:
    await door.send(
        "POST",
        "/fhir",
        transaction(
            patient("p1", identity=national_id(1)),
            *(observation(f"o{number}", "p1") for number in range(5)),
            immunization("i1", "p1"),
        ),
    )
    for query, count in (
        ("Observation?patient=p1", 5),
        ("Observation?subject=Patient/p1&code=http://loinc.org|14771-0", 5),
        ("Observation?code=14771-0&date=ge2026-01-02&date=lt2026-01-03", 5),
        ("Observation?date=2025", 0),
        ("Observation?status=final&_id=o1", 1),
        ("Observation?status=amended", 0),
        ("Immunization?patient=Patient/p1", 1),
        ("Patient?_lastUpdated=ge2026-11-24", 1),
    ):
        bundle = (await door.send("GET", f"/fhir/{query}")).json()
        assert (bundle["type"], bundle["total"], len(bundle.get("entry", []))) == ("searchset", count, count), query


async def test_pages_follow_each_other_without_repeating(door: Door) -> None:
    await door.send(
        "POST",
        "/fhir",
        transaction(patient("p1", identity=None), *(observation(f"o{number}", "p1") for number in range(7))),
    )
    found: list[str] = []
    path: str | None = "/fhir/Observation?patient=p1&_count=3"
    while path:
        page = (await door.send("GET", path)).json()
        found += [entry["resource"]["id"] for entry in page.get("entry", [])]
        links = {link["relation"]: link["url"] for link in page["link"]}
        path = "/fhir/" + links["next"].split("/fhir/")[-1] if "next" in links else None

    assert sorted(found) == [f"o{number}" for number in range(7)]


async def test_a_person_is_found_by_national_id_in_a_post_only(door: Door) -> None:
    number = national_id(1)
    await door.send("POST", "/fhir", transaction(patient("p1", identity=number), patient("p2", identity=None)))
    headers = await door.headers() | {"Content-Type": "application/x-www-form-urlencoded"}

    found = await door.http.post(
        "/fhir/Patient/_search", content=f"identifier={NATIONAL_ID}|{number}".encode(), headers=headers
    )

    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["p1"]
    assert number not in json.dumps(found.json()["link"])


async def test_the_nation_shows_a_persons_view_and_takes_no_writes(door: Door, tmp_path: Path) -> None:
    await door.send(
        "POST", "/fhir", transaction(patient("p1", identity=national_id(1)), observation("o1", "p1", "1.50"))
    )
    await door.network.settle()
    person = next(iter(door.network.kept("cn").values()))[2]
    here = Door(tmp_path, "cn", door.network)

    view = await here.send("GET", f"/fhir/Patient/{person}/$everything", who="viewer")
    refused = await here.send("GET", f"/fhir/Patient/{person}/$everything", who="researcher")
    write = await here.send("POST", "/fhir/Patient", {"resourceType": "Patient"}, who="hospital")

    kinds = {entry["resource"]["resourceType"] for entry in view.json()["entry"]}
    assert kinds == {"Patient", "Observation"}
    assert b"1.50" in view.content
    assert refused.status_code == 403
    assert "research" in issue_of(refused)["diagnostics"]
    assert write.status_code in {405, 501}


async def test_the_capability_statement_is_public_and_says_what_is_offered(door: Door) -> None:
    statement = (await door.http.get("/fhir/metadata")).json()

    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["fhirVersion"] == "4.0.1"
    interactions = {
        each["code"]
        for resource in statement["rest"][0]["resource"]
        if resource["type"] == "Observation"
        for each in resource["interaction"]
    }
    reads = {"read", "vread", "history-instance", "history-type", "search-type"}
    assert interactions == reads | {"create", "update", "patch", "delete"}
    smart = (await door.http.get("/.well-known/smart-configuration")).json()
    assert smart["token_endpoint"] == f"{door.base}/oauth/token"


@pytest.mark.parametrize(
    "path", ["/health/live", "/health/ready", "/metrics", "/operator/v1/status", "/operator/v1/network", "/status"]
)
async def test_operators_pages_answer_and_hold_nobodys_data(door: Door, path: str) -> None:
    number = national_id(1)
    await door.send("POST", "/fhir", transaction(patient("p1", identity=number)))
    await door.network.settle()

    answer = await door.http.get(path)

    assert answer.status_code == 200
    assert number not in answer.text
    assert "测试" not in answer.text


async def test_the_nation_counts_everyone_and_hides_small_cells(door: Door, tmp_path: Path) -> None:
    for number in range(6):
        who = patient(f"p{number}", identity=national_id(number))
        await door.send("POST", "/fhir", transaction(who, observation(f"o{number}", f"p{number}")))
    await door.network.settle()
    here = Door(tmp_path, "cn", door.network)
    plain = (await here.send("GET", "/datacenter/v1/population", who="researcher")).json()
    await door.send("POST", "/fhir", transaction(immunization("i1", "p1")))
    await door.network.settle()

    seen = (await here.send("GET", "/datacenter/v1/population", who="researcher")).json()
    person = next(iter(door.network.kept("cn").values()))[2]
    view = await here.send("GET", f"/datacenter/v1/persons/{person}", who="viewer")
    refused = await here.send("GET", f"/datacenter/v1/persons/{person}", who="researcher")

    assert seen["persons"] == 6
    assert plain["records"]["Observation"] == {"33": 6}
    # The single Immunization is hidden, and so is what would tell it by subtraction.
    assert seen["records"]["Immunization"] == {"33": None}
    assert seen["cells_suppressed"] > 1
    assert view.status_code == 200
    assert (refused.status_code, issue_of(refused)["severity"]) == (403, "error")


async def test_a_node_that_admits_has_no_view_over_everyone(door: Door) -> None:
    assert (await door.send("GET", "/datacenter/v1/population")).status_code == 404

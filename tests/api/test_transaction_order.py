"""A transaction in the order that FHIR gives it: deletes, then writes, and conditional references last of all."""

from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door

SYSTEM = "urn:oid:2.16.156.10011.1.4"
ON_BOTH_DATABASES = True


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def doctor(number: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    return {"resourceType": "Practitioner", "identifier": [{"system": SYSTEM, "value": number}], **more}


def role(number: str) -> dict[str, Any]:
    """Of whoever has this number."""
    return {"resourceType": "PractitionerRole", "practitioner": {"reference": f"Practitioner?{by(number)}"}}


def by(number: str) -> str:
    return f"identifier={SYSTEM}|{number}"


def entry(method: str, url: str, resource: object = None, **request: str) -> dict[str, Any]:
    said: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    return said | ({"resource": resource} if resource is not None else {})


def together(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": [*entries]}


async def test_a_conditional_reference_finds_what_its_transaction_creates(door: Door) -> None:
    sent = together(entry("POST", "PractitionerRole", role("A")), entry("POST", "Practitioner", doctor("A")))
    answer = await door.send("POST", "/fhir", sent)

    assert answer.status_code == 200, answer.text
    place, doctors = (each["response"]["location"].split("/_")[0] for each in answer.json()["entry"])
    assert (await door.send("GET", f"/fhir/{place}")).json()["practitioner"] == {"reference": doctors}


async def test_a_conditional_reference_finds_nothing_of_what_its_transaction_deletes_or_changes(door: Door) -> None:
    await door.send("PUT", "/fhir/Practitioner/one", doctor("A", id="one"))
    changed = entry("PUT", "Practitioner/one", doctor("B", id="one"))
    answers = [
        await door.send("POST", "/fhir", together(entry("POST", "PractitionerRole", role("A")), each))
        for each in (entry("DELETE", "Practitioner/one"), changed)
    ]
    moved = await door.send("POST", "/fhir", together(entry("POST", "PractitionerRole", role("B")), changed))

    assert [answer.status_code for answer in answers] == [400, 400]
    assert moved.status_code == 200


async def test_a_conditional_reference_finds_by_what_the_references_of_its_transaction_come_to(door: Door) -> None:
    urn = "urn:uuid:0a8f0a3e-3c5d-4b57-9b5a-6f2f1f1c7a01"
    await door.send("PUT", "/fhir/Practitioner/one", doctor("A", id="one"))
    of_new = {"resourceType": "PractitionerRole", "practitioner": {"reference": urn}}
    of_kept = {"resourceType": "PractitionerRole", "practitioner": {"reference": f"{door.base}/fhir/Practitioner/one"}}
    asking = {
        "resourceType": "Schedule",
        "actor": [{"reference": f"PractitionerRole?practitioner=Practitioner/{each}"} for each in ("one", "new")],
    }
    entries = [
        {**entry("PUT", "Practitioner/new", doctor("B", id="new")), "fullUrl": urn},
        *(entry("POST", "PractitionerRole", each) for each in (of_kept, of_new)),
        entry("POST", "Schedule", asking),
    ]
    answer = await door.send("POST", "/fhir", together(*entries))

    assert answer.status_code == 200, answer.text
    _new, *roles, place = (each["response"]["location"].split("/_")[0] for each in answer.json()["entry"])
    kept = (await door.send("GET", f"/fhir/{place}")).json()
    assert [each["reference"] for each in kept["actor"]] == roles


async def test_a_conditional_patch_passes_over_what_its_transaction_deletes(door: Door) -> None:
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json"}
    patch["data"] = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2dlbmRlciIsInZhbHVlIjoibWFsZSJ9XQ=="
    sent = together(entry("DELETE", "Practitioner/one"), entry("PATCH", f"Practitioner?{by('A')}", patch))
    await door.send("PUT", "/fhir/Practitioner/one", doctor("A", id="one"))
    nobody = await door.send("POST", "/fhir", sent)
    await door.send("PUT", "/fhir/Practitioner/two", doctor("A", id="two"))
    other = await door.send("POST", "/fhir", sent)

    assert (nobody.status_code, other.status_code) == (404, 200)
    assert (await door.send("GET", "/fhir/Practitioner/two")).json()["gender"] == "male"


@pytest.mark.parametrize("turned", [False, True])
async def test_what_a_conditional_create_finds_may_be_changed_beside_it(door: Door, *, turned: bool) -> None:
    await door.send("PUT", "/fhir/Practitioner/one", doctor("A", id="one"))
    entries = [
        entry("POST", "Practitioner", doctor("A"), ifNoneExist=by("A")),
        entry("PUT", "Practitioner/one", doctor("A", id="one", gender="female")),
    ]
    answer = await door.send("POST", "/fhir", together(*(reversed(entries) if turned else entries)))

    assert answer.status_code == 200, answer.text
    assert (await door.send("GET", "/fhir/Practitioner/one")).headers["ETag"] == 'W/"2"'


async def test_nothing_of_what_a_conditional_create_brings_is_looked_at_where_it_finds_something(door: Door) -> None:
    kept = {"resourceType": "PractitionerRole", "identifier": [{"system": SYSTEM, "value": "R"}]}
    await door.send("PUT", "/fhir/PractitionerRole/one", {**kept, "id": "one"})
    found = await door.send("POST", "/fhir/PractitionerRole", {**kept, **role("nobody")}, If_None_Exist=by("R"))

    assert found.status_code == 200, found.text
    assert found.json()["id"] == "one"


@pytest.mark.parametrize("turned", [False, True])
async def test_a_transaction_replaces_what_a_condition_finds(door: Door, *, turned: bool) -> None:
    await door.send("PUT", "/fhir/Practitioner/one", doctor("A", id="one"))
    entries = [
        entry("DELETE", f"Practitioner?{by('A')}"),
        entry("POST", "Practitioner", doctor("A"), ifNoneExist=by("A")),
    ]
    for _each in range(2):
        answer = await door.send("POST", "/fhir", together(*(reversed(entries) if turned else entries)))
        assert sorted(each["response"]["status"][:3] for each in answer.json()["entry"]) == ["201", "204"], answer.text

    assert (await door.send("GET", f"/fhir/Practitioner?{by('A')}")).json()["total"] == 1
    assert (await door.send("GET", "/fhir/Practitioner/one")).status_code == 410


async def test_a_delete_by_a_condition_leaves_what_is_created_beside_it(door: Door) -> None:
    created = entry("POST", "Practitioner", doctor("A"), ifNoneExist=by("A"))
    answer = await door.send("POST", "/fhir", together(created, entry("DELETE", f"Practitioner?{by('A')}")))

    assert [each["response"]["status"][:3] for each in answer.json()["entry"]] == ["201", "204"]


async def test_this_nodes_own_url_means_what_is_kept_here_whatever_comes_under_the_same_id(door: Door) -> None:
    elsewhere, here = "http://hospital-b/fhir/Practitioner", f"{door.base}/fhir/Practitioner"
    await door.send("PUT", "/fhir/Practitioner/one", doctor("A", id="one"))
    references = [f"{here}/one", f"{elsewhere}/one", f"{here}/new", "Practitioner/one"]
    roles = [{"resourceType": "PractitionerRole", "practitioner": {"reference": each}} for each in references]
    urls = [f"{elsewhere}/one", f"{here}/new"]
    created = [{**entry("POST", "Practitioner", doctor(url)), "fullUrl": url} for url in urls]
    answer = await door.send(
        "POST", "/fhir", together(*created, *(entry("POST", "PractitionerRole", each) for each in roles))
    )
    assert answer.status_code == 200, answer.text
    places = [each["response"]["location"].split("/_")[0] for each in answer.json()["entry"]]
    kept = [(await door.send("GET", f"/fhir/{place}")).json()["practitioner"]["reference"] for place in places[2:]]
    assert kept == ["Practitioner/one", places[0], places[1], places[0]]

    created[0]["fullUrl"], roles[0]["practitioner"] = f"{elsewhere}/nobody", {"reference": f"{here}/nobody"}
    nowhere = await door.send("POST", "/fhir", together(created[0], entry("POST", "PractitionerRole", roles[0])))
    assert nowhere.status_code == 400, nowhere.text

"""Writes on conditions, over HTTP: what one finds decides between creating, changing and refusing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.records import NATIONAL_ID, national_id, patient, transaction

SYSTEM = "urn:oid:2.16.156.10011.1.4"
ON_BOTH_DATABASES = True


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def practitioner(number: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # any JSON value
    return {"resourceType": "Practitioner", "identifier": [{"system": SYSTEM, "value": number}], **more}


def by(number: str) -> str:
    return f"/fhir/Practitioner?identifier={SYSTEM}|{number}"


async def test_a_conditional_create_creates_finds_and_refuses_several(door: Door) -> None:
    condition = f"identifier={SYSTEM}|A"
    created = await door.send("POST", "/fhir/Practitioner", practitioner("A"), If_None_Exist=condition)
    found = await door.send("POST", "/fhir/Practitioner", practitioner("A"), If_None_Exist=condition)
    await door.send("POST", "/fhir/Practitioner", practitioner("A"))
    several = await door.send("POST", "/fhir/Practitioner", practitioner("A"), If_None_Exist=condition)

    assert [answer.status_code for answer in (created, found, several)] == [201, 200, 412]
    assert created.headers["Location"] == found.headers["Location"]
    assert created.headers["Last-Modified"] == found.headers["Last-Modified"]
    assert issue_of(several)["details"]["coding"][0]["code"] == "ambiguous-match"


async def test_a_create_with_a_query_in_its_url_is_conditional_and_has_one_condition_only(door: Door) -> None:
    created = await door.send("POST", by("A"), practitioner("A"))
    found = await door.send("POST", by("A"), practitioner("A"))
    both = await door.send("POST", by("A"), practitioner("A"), If_None_Exist=f"identifier={SYSTEM}|B")

    assert [answer.status_code for answer in (created, found, both)] == [201, 200, 400]
    assert created.headers["Location"] == found.headers["Location"]


async def test_a_conditional_update_creates_updates_and_refuses_several(door: Door) -> None:
    created = await door.send("PUT", by("A"), practitioner("A"))
    updated = await door.send("PUT", by("A"), practitioner("A", gender="female"))
    other_id = await door.send("PUT", by("A"), practitioner("A", id="other"))
    await door.send("POST", "/fhir/Practitioner", practitioner("A"))
    several = await door.send("PUT", by("A"), practitioner("A"))

    assert (created.status_code, created.headers["ETag"]) == (201, 'W/"1"')
    assert (updated.status_code, updated.headers["ETag"]) == (200, 'W/"2"')
    assert updated.json()["id"] == created.json()["id"]
    assert updated.json()["gender"] == "female"
    assert other_id.status_code == 400
    assert several.status_code == 412


async def test_a_conditional_update_that_finds_nothing_takes_the_id_it_brings_unless_it_is_anothers(door: Door) -> None:
    created = await door.send("PUT", by("A"), practitioner("A", id="mine"))
    taken = await door.send("PUT", by("B"), practitioner("B", id="mine"))
    stale = await door.send("PUT", by("A"), practitioner("A"), If_Match='W/"7"')

    assert created.headers["Location"].endswith("/fhir/Practitioner/mine/_history/1")
    assert taken.status_code == 409
    assert stale.status_code == 412


@pytest.mark.parametrize("path", ["/fhir/Practitioner/one", by("A")])
async def test_if_none_match_any_creates_and_overwrites_nothing(door: Door, path: str) -> None:
    answers = [await door.send("PUT", path, practitioner("A", id="one"), If_None_Match="*") for _ in range(2)]
    await door.send("DELETE", "/fhir/Practitioner/one")
    answers.append(await door.send("PUT", path, practitioner("A", id="one"), If_None_Match="*"))

    assert [answer.status_code for answer in answers] == [201, 412, 201]
    assert issue_of(answers[1])["details"]["coding"][0]["code"] == "already-there"
    assert (await door.send("GET", "/fhir/Practitioner/one")).headers["ETag"] == 'W/"3"'


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_another_if_none_match_on_a_write_is_refused_by_name(door: Door, method: str) -> None:
    await door.send("PUT", "/fhir/Practitioner/one", practitioner("A", id="one"))
    path = "/fhir/Practitioner" if method == "POST" else "/fhir/Practitioner/one"
    media = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
    body = b"[]" if method == "PATCH" else practitioner("A", id="one")
    refused = await door.send(method, path, body, Content_Type=media, If_None_Match='W/"7"')

    assert refused.status_code == 400
    assert "If-None-Match" in issue_of(refused)["diagnostics"]
    assert door.rows()["history"] == 0


async def test_a_create_honours_if_match_which_finds_nothing_where_nothing_is(door: Door) -> None:
    alone = [
        await door.send("POST", "/fhir/Practitioner", practitioner("A"), If_Match=f'W/"{each}"') for each in (0, 1)
    ]
    request = {"method": "POST", "url": "Practitioner", "ifMatch": 'W/"1"'}
    entry = {"resource": practitioner("A"), "request": request}
    together = await door.send("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    before = door.rows()
    await door.send("POST", by("A"), practitioner("A"))
    found = [await door.send("POST", by("A"), practitioner("A"), If_Match=f'W/"{each}"') for each in (1, 2)]

    assert [answer.status_code for answer in (*alone, together)] == [412] * 3
    assert before["resources"] == 0
    assert [answer.status_code for answer in found] == [200, 412]


@pytest.mark.parametrize(("asked", "status"), [("*", 412), ('W/"1"', 400)])
async def test_if_none_match_in_a_transaction_is_heard(door: Door, asked: str, status: int) -> None:
    def once(number: str) -> dict[str, Any]:
        request = {"method": "PUT", "url": "Practitioner/one", "ifNoneMatch": asked}
        entry = {"resource": practitioner(number, id="one"), "request": request}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}

    await door.send("PUT", "/fhir/Practitioner/one", practitioner("A", id="one"))
    answer = await door.send("POST", "/fhir", once("B"))

    assert answer.status_code == status
    assert (await door.send("GET", "/fhir/Practitioner/one")).headers["ETag"] == 'W/"1"'


async def test_a_conditional_delete_deletes_one_or_nothing_and_refuses_several(door: Door) -> None:
    await door.send("PUT", "/fhir/Practitioner/one", practitioner("A"))
    assert (await door.send("PUT", "/fhir/Practitioner/one", practitioner("A", id="one"))).status_code == 201
    assert (await door.send("DELETE", by("A"))).status_code == 204
    assert (await door.send("GET", "/fhir/Practitioner/one")).status_code == 410
    nothing = await door.send("DELETE", by("A"))
    assert (nothing.status_code, nothing.headers.get("ETag")) == (204, None)
    for _each in range(2):
        await door.send("POST", "/fhir/Practitioner", practitioner("A"))
    assert (await door.send("DELETE", by("A"))).status_code == 412


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("query", ["", "?_count=1", "?_format=json"])
async def test_a_condition_without_a_criterion_writes_nothing(door: Door, method: str, query: str) -> None:
    await door.send("PUT", "/fhir/Practitioner/one", practitioner("A", id="one"))
    media = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
    body = b"[]" if method == "PATCH" else practitioner("A")
    refused = await door.send(method, f"/fhir/Practitioner{query}", body, Content_Type=media)

    assert refused.status_code == 400
    assert (await door.send("GET", "/fhir/Practitioner/one")).headers["ETag"] == 'W/"1"'


@pytest.mark.parametrize("value", ["{system}|{number}", "{system}%7C{spaced}", "{number}"])
async def test_an_identity_in_the_url_of_a_conditional_write_is_refused(door: Door, value: str) -> None:
    number = national_id(1)
    spaced = "%20".join((number[:6], number[6:14], number[14:]))
    asked = value.format(system=NATIONAL_ID, number=number, spaced=spaced)
    refused = await door.send("PUT", f"/fhir/Patient?identifier={asked}", patient("p1", identity=number))

    assert refused.status_code == 400
    assert issue_of(refused)["details"]["coding"][0]["code"] == "identity-in-url"
    assert number not in refused.text


@pytest.mark.parametrize("shape", ["{}", "{}-1", "x{}", "11010519491231{}"])
async def test_what_may_be_a_national_id_becomes_no_resources_id(door: Door, shape: str) -> None:
    number = shape.format("0021" if shape.startswith("1") else national_id(1))
    person = patient(number, identity=national_id(1))
    answers = [
        await door.send("POST", "/fhir", transaction(person)),
        await door.send("PUT", "/fhir/Patient?name=Wang", person),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert {issue_of(answer)["details"]["coding"][0]["code"] for answer in answers} == {"identity-as-id"}
    assert not any(number in answer.text for answer in answers)
    assert door.rows()["resources"] == 0


async def test_a_create_drops_the_national_id_that_its_resource_has_for_an_id(door: Door) -> None:
    number = national_id(1)
    entry = {
        "fullUrl": f"https://elsewhere.example/Patient/{number}",
        "resource": patient(number, identity=number),
        "request": {"method": "POST", "url": "Patient"},
    }
    answer = await door.send("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    assert answer.status_code == 200
    assert number not in answer.text


async def test_racing_conditional_updates_leave_one_resource(door: Door) -> None:
    answers = await asyncio.gather(*(door.send("PUT", by("A"), practitioner("A")) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert door.rows()["resources"] == 1


async def test_a_transaction_deletes_before_its_other_conditions_look(door: Door) -> None:
    await door.send("PUT", "/fhir/Practitioner/old", practitioner("A", id="old"))
    condition = f"identifier={SYSTEM}|A"
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": practitioner("A"),
                "request": {"method": "POST", "url": "Practitioner", "ifNoneExist": condition},
            },
            {"request": {"method": "DELETE", "url": f"Practitioner?{condition}"}},
            {
                "resource": practitioner("B"),
                "request": {"method": "PUT", "url": f"Practitioner?identifier={SYSTEM}|B"},
            },
        ],
    }
    answer = (await door.send("POST", "/fhir", bundle)).json()
    statuses = [entry["response"]["status"][:3] for entry in answer["entry"]]

    assert statuses == ["201", "204", "201"]
    assert (await door.send("GET", "/fhir/Practitioner/old")).status_code == 410


@pytest.mark.parametrize(
    "words",
    [
        "identifier={system}%7CA&gender=female",
        "?identifier={system}|A&gender=female",
        "gender=female&identifier={system}|A",
        "identifier={system}|A&gender=female&_count=1",
        "identifier={system}|A&gender=female&gender=female",
    ],
)
async def test_equal_conditions_in_other_words_create_one_resource(door: Door, words: str) -> None:
    conditions = (f"identifier={SYSTEM}|A&gender=female", words.format(system=SYSTEM))
    entries = [
        {
            "resource": practitioner("A", gender="female"),
            "request": {"method": "POST", "url": "Practitioner", "ifNoneExist": condition},
        }
        for condition in conditions
    ]
    answer = await door.send("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries})

    assert len({entry["response"]["location"] for entry in answer.json()["entry"]}) == 1
    assert door.rows()["resources"] == 1


@pytest.mark.parametrize("kind", ["create", "reference", "delete", "patch"])
async def test_the_conditions_of_one_transaction_look_at_so_much_and_no_more(door: Door, kind: str) -> None:
    def entry(number: int) -> dict[str, Any]:
        query = f"name:contains=nobody-{number}"
        if kind == "reference":
            role = {"resourceType": "PractitionerRole", "practitioner": {"reference": f"Practitioner?{query}"}}
            return {"resource": role, "request": {"method": "POST", "url": "PractitionerRole"}}
        if kind == "create":
            request = {"method": "POST", "url": "Practitioner", "ifNoneExist": query}
            return {"resource": {"resourceType": "Practitioner"}, "request": request}
        patch = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}
        request = {"method": kind.upper(), "url": f"Practitioner?{query}"}
        return {"request": request} | ({"resource": patch} if kind == "patch" else {})

    def asking(conditions: int) -> dict[str, Any]:
        return {"resourceType": "Bundle", "type": "transaction", "entry": [entry(each) for each in range(conditions)]}

    people: list[dict[str, Any]] = [{"resourceType": "Practitioner", "id": f"p{each}"} for each in range(1_000)]
    people[0]["name"] = [{"text": f"nobody-{number}"} for number in range(10)]
    await door.send("POST", "/fhir", transaction(*people))
    refused = await door.send("POST", "/fhir", asking(10))
    fewer = await door.send("POST", "/fhir", asking(1))

    assert refused.status_code == 400
    assert issue_of(refused)["details"]["coding"][0]["code"] == "too-costly"
    assert "at most 10000: one each, and one for each resource" in issue_of(refused)["diagnostics"]
    assert fewer.status_code == 200


async def test_two_entries_that_would_write_one_resource_write_nothing(door: Door) -> None:
    entry = {
        "resource": practitioner("A"),
        "request": {"method": "PUT", "url": f"Practitioner?identifier={SYSTEM}|A"},
    }
    refused = await door.send("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 2})

    assert refused.status_code == 400
    assert door.rows()["resources"] == 0


async def test_a_node_that_admits_nobody_answers_every_write_by_405(door: Door, tmp_path: Path) -> None:
    nation = Door(tmp_path, "cn", door.network)
    patch = {"Content_Type": "application/json-patch+json"}
    answers = [
        await nation.send("POST", "/fhir/Patient", {"resourceType": "Patient"}),
        await nation.send("PUT", "/fhir/Patient/1", {"resourceType": "Patient", "id": "1"}),
        await nation.send("PATCH", "/fhir/Patient/1", b"[]", **patch),
        await nation.send("DELETE", "/fhir/Patient/1"),
        await nation.send("DELETE", "/fhir/Patient?_id=1"),
        await nation.send("POST", "/fhir", transaction(patient("p1", identity=None))),
    ]

    assert {answer.status_code for answer in answers} == {405}
    assert all("origin" in issue_of(answer)["diagnostics"] for answer in answers)
    assert all("GET" in answer.headers["Allow"] for answer in answers)

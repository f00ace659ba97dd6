"""Searches over HTTP as strangers' clients make them: both methods, compartments, all types, what is not offered."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.api.door import FHIR, Door, issue_of
from tests.federation.records import (
    NATIONAL_ID,
    condition,
    immunization,
    national_id,
    observation,
    patient,
    transaction,
)

NUMBER = national_id(1)
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    opened = Door(tmp_path)
    records = [
        patient("p1", identity=NUMBER),
        patient("p2", identity=None),
        *(observation(f"o{number}", f"p{number % 2 + 1}") for number in range(4)),
        condition("c1", "p1", "I10"),
        immunization("i1", "p2"),
    ]
    await opened.send("POST", "/fhir", transaction(*records))
    return opened


async def asked(door: Door, path: str, pairs: dict[str, str], *, post: bool = False, **headers: str) -> Any:  # noqa: ANN401  # an answer
    """The answer to a search by either method."""
    headers = await door.headers() | headers
    if post:
        form = headers | {"Content-Type": FORM}
        answer = await door.http.post(f"/fhir{path}/_search", content=urlencode(pairs).encode(), headers=form)
    else:
        answer = await door.http.get(f"/fhir{path}?{urlencode(pairs)}", headers=headers)
    return answer


def ids(answer: Any, mode: str = "match") -> list[str]:  # noqa: ANN401  # an answer
    """What an answer holds, in no order."""
    assert answer.headers["content-type"] == FHIR
    entries = answer.json().get("entry", [])
    return sorted(
        f"{entry['resource']['resourceType'][0]}/{entry['resource']['id']}"
        for entry in entries
        if entry["search"]["mode"] == mode
    )


@pytest.mark.parametrize(
    ("path", "pairs", "expected"),
    [
        ("/Observation", {"patient.family:missing": "true", "code": "14771-0"}, "O/o0 O/o1 O/o2 O/o3"),
        ("/Observation", {"subject:Patient._id": "p1", "value-quantity": "1.50"}, "O/o0 O/o2"),
        (
            "/Observation",
            {
                "value-quantity": "ge150|http://unitsofmeasure.org|umol/dL",
                "patient": "p1",
                "_sort": "status,value-quantity",
            },
            "O/o0 O/o2",
        ),
        ("/Patient", {"gender:in": "http://hl7.org/fhir/ValueSet/administrative-gender"}, "P/p1 P/p2"),
        ("/Patient", {"_has:Condition:patient:code": "I10"}, "P/p1"),
        ("/Patient", {"name:contains": "\u8bd5", "birthdate": "1970", "gender": "female"}, "P/p1 P/p2"),
        ("/Patient/p1/Observation", {}, "O/o0 O/o2"),
        ("/Patient/p1/Observation", {"status": "amended"}, ""),
        ("/Patient/p2/*", {}, "I/i1 O/o1 O/o3 P/p2"),
        ("/Patient/p2/*", {"_type": "Immunization,Condition"}, "I/i1"),
        ("/Patient/nobody/*", {}, ""),
        ("", {"_type": "Patient,Condition"}, "C/c1 P/p1 P/p2"),
        ("", {"_type": "Observation,Condition", "patient": "p1"}, "C/c1 O/o0 O/o2"),
        ("", {"_id": "p1,c1,o1"}, "C/c1 O/o1 P/p1"),
    ],
)
async def test_a_search_gives_the_same_by_get_and_by_post(
    door: Door, path: str, pairs: dict[str, str], expected: str
) -> None:
    for post in (False, True):
        answer = await asked(door, path, pairs, post=post)
        assert answer.status_code == 200, answer.text
        assert ids(answer) == expected.split()
        assert answer.json()["total"] == len(expected.split())


async def test_what_refers_to_a_patient_by_this_nodes_own_url_is_the_patients_and_found_as_such(door: Door) -> None:
    absolute = {"reference": f"{door.base}/fhir/Patient/p1"}
    sent = {**condition("c9", "p1", "I10"), "subject": absolute}
    answer = await door.send("PUT", "/fhir/Condition/c9", sent)
    assert answer.status_code == 201, answer.text
    assert answer.json()["subject"] == {"reference": "Patient/p1"}
    assert ids(await asked(door, "/Condition", {"patient": "p1"})) == ["C/c1", "C/c9"]
    assert ids(await asked(door, "/Patient/p1/Condition", {})) == ["C/c1", "C/c9"]
    nowhere = {**sent, "id": "c10", "subject": {"reference": f"{door.base}/fhir/Patient/nobody"}}
    assert (await door.send("PUT", "/fhir/Condition/c10", nowhere)).status_code in {400, 422}


async def test_pages_over_several_types_follow_each_other(door: Door) -> None:
    answer = await asked(door, "/Patient/p1/*", {"_count": "2"})
    seen = ids(answer)
    while following := [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]:
        answer = await door.http.get(following[0], headers=await door.headers())
        assert answer.status_code == 200, answer.text
        seen += ids(answer)
    assert sorted(seen) == ["C/c1", "O/o0", "O/o2", "P/p1"]


async def test_sorted_pages_follow_each_other_with_what_they_include(door: Door) -> None:
    answer = await asked(door, "/Observation", {"_sort": "-_id", "_count": "3", "_include": "*"})
    assert [entry["resource"]["id"] for entry in answer.json()["entry"][:3]] == ["o3", "o2", "o1"]
    assert ids(answer, "include") == ["P/p1", "P/p2"]
    [following] = [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]
    answer = await door.http.get(following, headers=await door.headers())
    assert (ids(answer), ids(answer, "include")) == (["O/o0"], ["P/p1"])
    assert [link["relation"] for link in answer.json()["link"]] == ["self"]


@pytest.mark.parametrize(
    "pairs",
    [
        {"code:in": "x"},
        {"_text": "x"},
        {"_filter": "x"},
        {"near": "x"},
        {"code:in": "http://hl7.org/fhir/ValueSet/observation-codes"},
        {"_sort": "code-value-quantity"},
        {"_include": "Patient:name"},
    ],
)
async def test_what_is_not_offered_is_refused_or_named_and_never_left_out_silently(
    door: Door, pairs: dict[str, str]
) -> None:
    for preference in ("", "handling=strict"):
        refused = await asked(door, "/Observation", pairs, Prefer=preference)
        assert refused.status_code == 400
        assert issue_of(refused)["details"]["coding"][0]["code"] == "unknown-parameter"
    answer = await asked(door, "/Observation", pairs, Prefer="return=minimal; handling=lenient")
    assert len(ids(answer)) == 4
    [outcome] = [entry for entry in answer.json()["entry"] if entry["search"]["mode"] == "outcome"]
    assert next(iter(pairs)) in outcome["resource"]["issue"][0]["diagnostics"]
    assert [link["url"] for link in answer.json()["link"]] == [f"{door.base}/fhir/Observation"]


@pytest.mark.parametrize(
    ("types", "pairs", "left_out", "expected"),
    [
        ("AllergyIntolerance,Patient", {"code": "1"}, "code", "P/p1 P/p2"),
        ("Condition,Patient", {"code": "none"}, "code", "C/c1 P/p1 P/p2"),
        ("Patient,Condition", {"gender": "male", "_id": "c1"}, "gender", "C/c1"),
        ("Observation,Patient", {"_sort": "date", "_id": "o1,p1"}, "_sort", "O/o1 P/p1"),
        ("Condition,Observation", {"patient": "p1", "_filter": "x"}, "_filter", "C/c1 O/o0 O/o2"),
        ("Condition", {"patient": "p1", "colour": "red"}, "colour", "C/c1"),
        ("Observation", {"code": "none", "colour": "red"}, "colour", ""),
    ],
)
async def test_what_one_of_several_types_does_not_offer_is_left_out_for_all_and_named(
    door: Door, types: str, pairs: dict[str, str], left_out: str, expected: str
) -> None:
    assert (await asked(door, "", {"_type": types, **pairs})).status_code == 400
    answer = await asked(door, "", {"_type": types, **pairs}, Prefer="handling=lenient")
    assert answer.status_code == 200, answer.text
    assert ids(answer) == expected.split()
    [outcome] = [entry for entry in answer.json()["entry"] if entry["search"]["mode"] == "outcome"]
    assert outcome["resource"]["issue"][0]["diagnostics"].endswith(f": {left_out}")
    used = {name: value for name, value in pairs.items() if name != left_out}
    assert answer.json()["link"][0]["url"] == f"{door.base}/fhir?{urlencode({'_type': types, **used})}"


async def test_a_total_is_given_as_it_is_asked_for(door: Door) -> None:
    assert "total" not in (await asked(door, "/Observation", {"_total": "none"})).json()
    for pairs in ({"_summary": "count"}, {"_count": "0"}):
        counted = (await asked(door, "/Observation", {"value-quantity": "gt1", **pairs})).json()
        assert (counted["total"], "entry" in counted) == (4, False)


@pytest.mark.parametrize("name", ["patient.identifier", "subject:Patient.identifier"])
async def test_a_chain_by_national_id_is_asked_by_post_and_leaves_no_number_behind(door: Door, name: str) -> None:
    pairs = {name: f"{NATIONAL_ID}|{NUMBER}", "_count": "1"}
    answer = await asked(door, "/Observation", pairs, post=True)
    assert answer.json()["total"] == 2
    assert NUMBER not in str(answer.json()["link"])
    assert name not in str(answer.json()["link"])
    [following] = [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]
    rest = await door.http.get(following, headers=await door.headers())
    assert sorted(ids(answer) + ids(rest)) == ["O/o0", "O/o2"]


@pytest.mark.parametrize(
    "name",
    [
        "patient.identifier",
        "subject:identifier",
        "_has:Patient:link:identifier",
        "identifier:not",
        "patient.identifier:not",
    ],
)
async def test_what_may_be_any_identity_is_not_asked_for_in_a_url(door: Door, name: str) -> None:
    answer = await asked(door, "/Observation", {name: "1"})
    assert (answer.status_code, issue_of(answer)["details"]["coding"][0]["code"]) == (400, "identity-in-url")


@pytest.mark.parametrize(
    ("path", "name"), [("/Patient", "identifier:of-type"), ("/Observation", "patient.identifier:of-type")]
)
async def test_an_identity_by_its_type_is_asked_for_by_post_alone(door: Door, path: str, name: str) -> None:
    pairs = {name: "http://terminology.hl7.org/CodeSystem/v2-0203|PPN|E12345678"}
    refused = await asked(door, path, pairs)
    assert (refused.status_code, issue_of(refused)["details"]["coding"][0]["code"]) == (400, "identity-in-url")
    assert (await asked(door, path, pairs, post=True)).status_code == 200


@pytest.mark.parametrize("path", ["/Patient", "", "/Patient/p1/Observation"])
@pytest.mark.parametrize(
    "query",
    [
        "identifier=http://hl7.org/fhir/sid/passport-CHN|E12345678",
        "identifier=E12345678",
        "identifier=x|" + "".join(f"%{ord(each):x}" for each in NUMBER),
    ],
)
async def test_an_identity_in_the_url_of_a_post_is_refused_and_not_repeated(door: Door, path: str, query: str) -> None:
    headers = await door.headers() | {"Content-Type": FORM}
    answer = await door.http.post(f"/fhir{path}/_search?{query}", content=b"_count=1", headers=headers)
    assert (answer.status_code, issue_of(answer)["details"]["coding"][0]["code"]) == (400, "identity-in-url")
    assert NUMBER not in answer.text
    assert "E12345678" not in answer.text


@pytest.mark.parametrize(
    "name", ["subject:identifier", "identifier:not", "patient.identifier:text", "patient.family", "_tag", "code"]
)
async def test_a_national_id_anywhere_else_is_refused_and_not_repeated(door: Door, name: str) -> None:
    answer = await asked(door, "/Observation", {name: f"{NATIONAL_ID}|{NUMBER}"}, post=True)
    assert answer.status_code == 400
    assert NUMBER not in answer.text


@pytest.mark.parametrize(
    "path", ["/Group/g/Observation", "/Patient/p1/Organization", "/Patient/p1/Nothing", "/Horoscope"]
)
async def test_there_are_no_compartments_of_others_and_no_types_that_are_none(door: Door, path: str) -> None:
    assert (await asked(door, path, {})).status_code in {400, 404}

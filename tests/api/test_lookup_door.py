"""Look-ups at the FHIR door: ``$match`` and ``$everything`` by POST, what they give, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.network import Network
from tests.federation.practitioners import COUNTY, HOSPITALS_OF_51
from tests.federation.prepared import prepared
from tests.federation.records import NATIONAL_ID, national_id, observation, patient, transaction

from health_exchange.fhir.validation import validate
from health_exchange.model.addresses import NodeAddress

WHO = "dr-wang"
MATCH, EVERYTHING = "/fhir/Patient/$match", "/fhir/Patient/$everything"


async def known(network: Network) -> None:
    there = [patient("p1", identity=national_id(1)), observation("o1", "p1", "1.50")]
    await network.admit(COUNTY, transaction(*there), "r1")
    await network.admit(HOSPITALS_OF_51, transaction(patient("q1", identity=national_id(1))), "r2")
    await network.settle()


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    return Door(tmp_path, HOSPITALS_OF_51, await prepared(tmp_path, known))


def parameters(*more: dict[str, Any], identity: str | None = national_id(1), purpose: str = "TREAT") -> dict[str, Any]:
    who: dict[str, Any] = {"resourceType": "Patient"}
    if identity is not None:
        who["identifier"] = [{"system": NATIONAL_ID, "value": identity}]
    given = [{"name": "resource", "resource": who}, {"name": "purpose", "valueCode": purpose}, *more]
    return {"resourceType": "Parameters", "parameter": given}


def found(bundle: dict[str, Any]) -> set[str]:
    return {entry["fullUrl"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"}


async def test_match_gives_the_patients_of_every_source_and_everything_gives_all(door: Door) -> None:
    matched = await door.send("POST", MATCH, parameters(), who=WHO)
    everything = await door.send("POST", EVERYTHING, parameters(), who=WHO)

    base = door.network[COUNTY].parts.card.fhir_url
    patients = {f"{base}/fhir/Patient/p1", f"{door.base}/fhir/Patient/q1"}
    assert found(matched.json()) == patients
    assert found(everything.json()) == patients | {f"{base}/fhir/Observation/o1"}
    assert b"1.50" in everything.content
    assert everything.headers["Cache-Control"] == "no-store"
    validate(everything.content)


async def test_a_patient_kept_here_is_looked_up_elsewhere_by_its_id(door: Door) -> None:
    asked = {"resourceType": "Parameters", "parameter": [{"name": "purpose", "valueCode": "TREAT"}]}
    answer = await door.send("POST", "/fhir/Patient/q1/$everything", asked, who=WHO)

    assert len(found(answer.json())) == 3


async def test_everything_that_is_missing_has_an_outcome_that_names_its_node(door: Door) -> None:
    door.network.faults.down.add(NodeAddress.parse(COUNTY))
    answer = await door.send("POST", EVERYTHING, parameters(), who=WHO)

    outcomes = [entry["resource"] for entry in answer.json()["entry"] if entry["search"]["mode"] == "outcome"]
    warned = [issue for outcome in outcomes for issue in outcome["issue"] if issue["severity"] == "warning"]
    assert [issue["code"] for issue in warned] == ["transient"]
    assert COUNTY in warned[0]["diagnostics"]
    assert "1 of 2" in outcomes[-1]["issue"][0]["diagnostics"]
    validate(answer.content)


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (parameters(identity=None), "bad-look-up", 400),
        (parameters(identity="19000119510202001X"), "invalid-identity", 400),
        (parameters(purpose="CURIOSITY"), "bad-look-up", 400),
        (parameters(purpose="HRESCH"), "forbidden", 403),
        (parameters(purpose="BTG"), "forbidden", 403),
        (parameters({"name": "_type", "valueCode": "Horoscope"}), "bad-look-up", 400),
        (parameters({"name": "start", "valueString": "2026-01-01"}), "bad-look-up", 400),
        (parameters({"name": "colour", "valueString": "blue"}), "bad-look-up", 400),
        (parameters({"name": "start", "valueDate": "2026"}), "bad-period", 400),
        (parameters({"name": "reason", "valueString": "x" * 501}, purpose="BTG"), "bad-reason", 400),
        ({"resourceType": "Patient"}, "malformed-resource", 400),
        (b'{"resourceType": "Parameters"', "malformed-resource", 400),
        ({"resourceType": "Parameters"}, "bad-look-up", 400),
    ],
)
async def test_what_cannot_be_looked_up_is_refused_and_says_why(
    door: Door, body: dict[str, Any] | bytes, code: str, status: int
) -> None:
    answer = await door.send("POST", EVERYTHING, body, who=WHO)

    assert answer.status_code == status, answer.text
    assert issue_of(answer)["details"]["coding"][0]["code"] == code
    assert "1900011951" not in answer.text


@pytest.mark.parametrize("who", ["hospital", "viewer", "auditor", "researcher"])
async def test_nobody_but_a_clinician_looks_up_at_the_door(door: Door, who: str) -> None:
    answer = await door.send("POST", MATCH, parameters(), who=who)

    assert answer.status_code == 403
    assert issue_of(answer)["details"]["coding"][0]["code"] == "forbidden"


async def test_a_node_that_sees_no_identities_says_where_to_ask(tmp_path: Path) -> None:
    door = Door(tmp_path, "cn/33")
    answer = await door.send("POST", EVERYTHING, parameters(), who=WHO)

    assert answer.status_code == 403
    assert "admits facilities" in issue_of(answer)["diagnostics"]


async def test_a_client_that_names_its_requests_alike_is_answered_each_time(door: Door) -> None:
    first = await door.send("POST", MATCH, parameters(), who=WHO, X_Request_Id="mine")
    second = await door.send("POST", MATCH, parameters(), who=WHO, X_Request_Id="mine")

    assert found(first.json()) == found(second.json()) != set()
    assert first.json()["identifier"] != second.json()["identifier"]


@pytest.mark.parametrize("path", [MATCH, EVERYTHING])
async def test_how_the_answer_is_laid_out_is_as_the_client_wishes(door: Door, path: str) -> None:
    pretty = await door.send("POST", f"{path}?_pretty=true&_format=json", parameters(), who=WHO, Accept="text/html")
    short = await door.send("POST", f"{path}?_elements=gender", parameters(), who=WHO)
    odd = await door.send("POST", path, parameters(), who=WHO, Accept="text/html")
    unknown = await door.send("POST", f"{path}?colour=red", parameters(), who=WHO)

    assert (pretty.status_code, b"\n" in pretty.content) == (200, True)
    patients = [entry["resource"] for entry in short.json()["entry"] if entry["search"]["mode"] == "match"]
    assert not any("identifier" in each for each in patients if each["resourceType"] == "Patient")
    assert (odd.status_code, unknown.status_code) == (406, 400)

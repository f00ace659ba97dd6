"""Strangers' clients as they are, told nothing about us: fhirpy and fhirclient against a standalone node."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import ResourceNotFound
from requests import HTTPError
from tests.databases import NewDatabase
from tests.processes.alone import free_port, started

from health_exchange.cli.demo.network import HOST

LOINC = "http://loinc.org"
URN = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def play_fhirpy(base: str) -> None:
    """Create, read, update, delete, search, pages, history, transactions, conditional writes."""
    client = SyncFHIRClient(base)
    person = client.resource("Patient", name=[{"family": "Zhang", "given": ["Wei"]}], birthDate="1980-02-03")
    person.save()
    person["gender"] = "female"
    person.save()
    assert person["meta"]["versionId"] == "2"
    assert client.reference("Patient", person.id).to_resource()["gender"] == "female"

    for day in range(1, 26):
        client.resource(
            "Observation",
            status="final",
            code={"coding": [{"system": LOINC, "code": "8867-4"}]},
            subject=person.to_reference(),
            effectiveDateTime=f"2024-01-{day:02}",
            valueQuantity={"value": 60 + day, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
        ).save()
    pulses = client.resources("Observation").search(code=f"{LOINC}|8867-4")
    assert pulses.count() == 25
    assert len(pulses.limit(10).fetch_all()) == 25
    assert [each["effectiveDateTime"] for each in pulses.sort("-date").limit(2).fetch()] == ["2024-01-25", "2024-01-24"]
    assert len(pulses.search(value_quantity__gt="80").fetch_all()) == 5
    assert len(client.resources("Observation").search(patient__Patient__name="zha").fetch_all()) == 25
    assert [each.id for each in client.resources("Patient").has("Observation", "patient", code="8867-4").fetch()] == [
        person.id
    ]
    found = client.resources("Observation").include("Observation", "subject").limit(2).fetch_raw()
    assert [each.resource["resourceType"] for each in found.entry] == ["Observation", "Observation", "Patient"]

    _write_on_conditions(client)

    sent = client.resource(
        "Bundle",
        type="transaction",
        entry=[
            {
                "fullUrl": URN,
                "resource": {"resourceType": "Patient", "name": [{"family": "Qian"}]},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": {"resourceType": "Condition", "subject": {"reference": URN}},
                "request": {"method": "POST", "url": "Condition"},
            },
        ],
    )
    answer = client.execute("", method="post", data=sent.serialize())  # type: ignore[no-untyped-call]  # an untyped library
    assert [each["response"]["status"] for each in answer["entry"]] == ["201 Created", "201 Created"]
    assert client.execute(f"Patient/{person.id}/_history", method="get")["total"] == 2
    assert client.execute(f"Patient/{person.id}/$everything", method="get")["total"] == 26


def _write_on_conditions(client: SyncFHIRClient) -> None:
    """What is there already is found and not made again."""
    identified = client.resources("Patient").search(identifier="urn:hospital|77")
    wanted = client.resource("Patient", identifier=[{"system": "urn:hospital", "value": "77"}])
    made, is_new = identified.get_or_create(wanted)
    same, is_new_again = identified.get_or_create(wanted)
    assert (is_new, is_new_again, same.id) == (True, False, made.id)
    changed, _is_new = identified.update(client.resource("Patient", **{**wanted, "active": True}))
    assert (changed.id, changed["active"]) == (made.id, True)
    made.delete()  # type: ignore[no-untyped-call]  # an untyped library
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", made.id).to_resource()


def play_fhirclient(base: str) -> None:
    """Create, read, update, delete, search and pages through its models."""
    server = FHIRClient(settings={"app_id": "stranger", "api_base": base}).server
    made = Patient({"name": [{"family": "Li", "given": ["Na"]}], "birthDate": "1990-05-06"}).create(server)
    assert made is not None
    person = Patient.read(made["id"], server)
    assert (person.name[0].family, person.birthDate.isostring) == ("Li", "1990-05-06")
    person.gender = "female"
    assert person.update(server)["meta"]["versionId"] == "2"
    Patient({"name": [{"family": "Sun"}]}).create(server)
    assert [each.id for each in Patient.where({"family": "li"}).perform_resources_iter(server)] == [person.id]
    everyone = list(Patient.where({"_count": "1", "_sort": "-_lastUpdated"}).perform_resources_iter(server))
    assert [each.name[0].family for each in everyone] == ["Sun", "Li"]
    person.delete(server)
    with pytest.raises(HTTPError):
        Patient.read(made["id"], server)


@pytest.mark.parametrize("play", [play_fhirpy, play_fhirclient])
async def test_a_strangers_client_works_unchanged(
    tmp_path: Path, new_database: NewDatabase, play: Callable[[str], None]
) -> None:
    port = free_port()
    async with started(tmp_path / "node", port, "--open", "--database-url", new_database()):
        await asyncio.to_thread(play, f"http://{HOST}:{port}/fhir")

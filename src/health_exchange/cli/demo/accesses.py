"""Accesses at the end of the demo: one person's unified view, and three that are refused, with what they are told."""

import httpx
import msgspec

from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.report import PersonReport, RefusedReport, summarise_person

WANTED = ("Encounter", "Condition", "Observation", "MedicationRequest")
PATIENTS_LOOKED_AT = 60
REFUSED_FROM = 400


async def fetch(client: FacilityClient, method: str, path: str, body: bytes | None = None) -> httpx.Response:
    """One request with the client's token."""
    headers = {"Authorization": f"Bearer {await client.token()}", "Content-Type": "application/fhir+json"}
    return await client.http.request(method, client.base_url + path, content=body, headers=headers, timeout=30.0)


async def find_person(viewer: FacilityClient) -> tuple[str, PersonReport]:
    """A person with records from more than one province and of every kind the report shows; id and view.

    Raises:
        LookupError: There is none among the first patients.
    """
    answer = await fetch(viewer, "GET", f"/fhir/Patient?_count={PATIENTS_LOOKED_AT}")
    answer.raise_for_status()
    best: tuple[int, str, PersonReport] | None = None
    for entry in msgspec.json.decode(answer.content).get("entry", []):
        patient_id = entry["resource"]["id"]
        everything = await fetch(viewer, "GET", f"/fhir/Patient/{patient_id}/$everything")
        if not everything.is_success:
            continue
        person = summarise_person(msgspec.json.decode(everything.content))
        provinces = {source.split("/")[1] for source in person.sources if "/" in source}
        score = 10 * len(provinces) + sum(kind in person.types for kind in WANTED)
        if best is None or score > best[0]:
            best = (score, patient_id, person)
        if len(provinces) > 1 and all(kind in person.types for kind in WANTED):
            return patient_id, person
    if best is None:
        raise LookupError("the nation shows no patient")
    return best[1], best[2]


async def try_refused(
    *, auditor: FacilityClient, researcher: FacilityClient, stranger: FacilityClient, patient_id: str
) -> list[RefusedReport]:
    """Three accesses that policy refuses, and what each was told."""
    attempts = (
        (auditor, "GET", f"/fhir/Patient/{patient_id}", None, "an auditor reads a record"),
        (researcher, "GET", f"/fhir/Patient/{patient_id}/$everything", None, "a researcher reads a person's view"),
        (stranger, "POST", "/fhir/Patient", b'{"resourceType":"Patient"}', "a hospital writes at the nation"),
    )
    refused = []
    for client, method, path, body, what in attempts:
        answer = await fetch(client, method, path, body)
        if answer.status_code < REFUSED_FROM:
            raise LookupError(f"{what}: was not refused")
        issue = msgspec.json.decode(answer.content)["issue"][0]
        refused.append(
            RefusedReport(
                who=client.client_id, what=what, reason=issue.get("diagnostics", ""), status=answer.status_code
            )
        )
    return refused

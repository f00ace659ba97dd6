"""What stands in a URL or a question and no database takes as text is answered on each of them, and never a fault."""

from pathlib import Path

import pytest
from tests.api.door import Door

ON_BOTH_DATABASES = True

NUL = "%00"
PATHS = (
    f"/fhir/Patient/a{NUL}b",
    f"/fhir/Pat{NUL}ient",
    f"/fhir/Patient/a{NUL}/_history",
    f"/fhir/Patient/a/_history/1{NUL}",
    f"/fhir/Patient/a{NUL}/$everything",
    f"/fhir/Patient/a{NUL}/$meta",
    f"/fhir/Patient/a{NUL}/Observation",
    f"/fhir/Patient?_id={NUL}",
    f"/fhir/Patient?name={NUL}",
    f"/fhir/Observation?code=a{NUL}",
    f"/fhir/Observation?subject.name={NUL}&_sort=date",
    f"/fhir/Observation?subject=urn:x{NUL}",
    f"/fhir/Patient/_history?_since={NUL}",
    f"/fhir/AuditEvent?agent.identifier=a{NUL}",
    f"/fhir/AuditEvent?entity.identifier={NUL}",
    f"/fhir/AuditEvent/{NUL}",
    f"/operator/v1/policy/refusals/a{NUL}",
    f"/operator/v1/person/erasure/a{NUL}",
    f"/operator/v1/consents/a{NUL}/effect",
    f"/operator/v1/audit/entries/1{NUL}",
    f"/operator/v1/audit/entries/1?node=cn{NUL}",
)
QUESTIONS = [
    {name: "a\x00"} for name in ("who", "facility", "node", "purpose", "outcome", "request_id", "person", "since")
]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


async def test_no_nul_in_a_url_is_a_fault(door: Door) -> None:
    for who in ("viewer", "auditor", "desk", "operator"):
        for path in PATHS:
            answer = await door.send("GET", path, who=who)
            assert answer.status_code < 500, (who, path)


async def test_no_nul_in_a_body_is_a_fault(door: Door) -> None:
    for question in QUESTIONS:
        for path in ("search", "evidence"):
            answer = await door.send("POST", f"/operator/v1/audit/{path}", {"question": question}, who="auditor")
            assert answer.status_code < 500, question
    for words in ("clinician\x00", "clinician read \x00"):
        answer = await door.send("POST", "/operator/v1/policy/explain", {"words": words}, who="auditor")
        assert answer.status_code < 500
    identifier = {"system": "urn:oid:2.16.156.10011.1.3", "value": "190001195910100094"}
    for case in ("a\x00", "\x00"):
        body = {"identifier": identifier, "case": case}
        answer = await door.send("POST", "/operator/v1/person/erasure", body, who="operator")
        assert answer.status_code < 500
    for hostile in (identifier | {"value": "G\x00"}, identifier | {"system": "\x00"}):
        answer = await door.send("POST", "/operator/v1/person/view", {"identifier": hostile}, who="desk")
        assert answer.status_code < 500


async def test_a_write_with_a_nul_in_its_url_or_condition_is_no_fault(door: Door) -> None:
    basic = {"resourceType": "Basic", "id": "a", "code": {"text": "x"}}
    for method, path in (
        ("PUT", f"/fhir/Basic/a{NUL}"),
        ("PUT", f"/fhir/Basic?code=a{NUL}"),
        ("DELETE", f"/fhir/Basic/a{NUL}"),
        ("DELETE", f"/fhir/Basic?identifier=a|{NUL}"),
        ("PATCH", f"/fhir/Basic/a{NUL}"),
    ):
        answer = await door.send(method, path, basic if method == "PUT" else None)
        assert answer.status_code < 500 or answer.status_code == 501, (method, path)
    answer = await door.send("POST", "/fhir/Basic", basic, If_None_Exist="code=a%00")
    assert answer.status_code < 500
    entry = {"request": {"method": "GET", "url": "Basic?code=%00"}, "fullUrl": "urn:x\x00"}
    written = {"request": {"method": "POST", "url": "Basic", "ifNoneExist": "identifier=%00"}, "resource": basic}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry, written]}
    answer = await door.send("POST", "/fhir", bundle)
    assert answer.status_code == 200
    assert "500" not in [each["response"]["status"][:3] for each in answer.json()["entry"]]

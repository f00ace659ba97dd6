"""Admission gives away nothing to who may not write, and carries out what is sent twice once."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.federation.network import HOSPITAL, Network
from tests.federation.records import NATIONAL_ID, condition, national_id, observation, patient, transaction

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import ExchangeError, ForbiddenError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.admission import Admission
from health_exchange.node.bundle_reads import ReadResult
from health_exchange.node.callers import Caller
from health_exchange.node.writes import Target, WriteResult, make_request
from health_exchange.policy.decisions import Principal
from health_exchange.store import answered, audit_log

COUNTY = "cn/33/3305/330521"
DOCTOR = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("one"))
AUDITOR = Caller(
    principal=Principal(kind="auditor", id="auditor", address=COUNTY),
    purpose=Purpose.AUDIT,
    request_id=RequestId("two"),
)


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def admission_of(network: Network) -> Admission:
    admission = network[COUNTY].admission
    assert admission is not None
    return admission


def bundle(kind: str, *entries: dict[str, Any]) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": list(entries)}).encode()


def unless_exists(number: str) -> bytes:
    request = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={NATIONAL_ID}|{number}"}
    return bundle("transaction", {"resource": {"resourceType": "Patient", "gender": "male"}, "request": request})


def tied_to(query: str) -> bytes:
    resource = {
        "resourceType": "Provenance",
        "target": [{"reference": query}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }
    return bundle("transaction", {"resource": resource, "request": {"method": "POST", "url": "Provenance"}})


async def last_entry(network: Network) -> AuditEntry:
    parts = network[COUNTY].parts
    found = parts.store.read_now(lambda tx: audit_log.entries(tx, audit_log.size(tx) - 1, audit_log.size(tx)))
    assert found[0].raw is not None
    return decode_entry(found[0].raw[32:])


@pytest.mark.parametrize(
    "question",
    [
        unless_exists(national_id(1)),
        unless_exists(national_id(9)),
        tied_to("Condition?patient=Patient/p1&code=B20"),
        tied_to("Condition?patient=Patient/p1&code=E11"),
        tied_to("Patient/p1"),
        tied_to("Patient/nobody"),
        transaction(delete=("Condition/x1",)),
        transaction(delete=("Condition/nothing",)),
    ],
)
async def test_who_may_not_write_learns_nothing_from_the_refusal_and_it_is_logged(
    network: Network, question: bytes
) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), condition("x1", "p1", "B20")), "r1")
    with pytest.raises(ForbiddenError) as refusal:
        await admission_of(network).admit_bundle(question, AUDITOR)
    entry = await last_entry(network)

    assert (entry.kind, entry.principal, entry.outcome) == ("refuse", "auditor", "refused")
    assert refusal.value.detail == entry.reason


async def test_a_conditional_create_that_finds_somebody_leaves_an_entry_about_whom(network: Network) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1))), "r1")
    await network.settle()
    await admission_of(network).admit_bundle(unless_exists(national_id(1)), DOCTOR)
    entry = await last_entry(network)

    ((_type, _id), (_origin, _version, person, _body)) = next(iter(network.kept("cn").items()))
    assert entry.subjects == (person,)


def conditional(method: str, query: str, **more: Any) -> bytes:  # noqa: ANN401  # any JSON value
    request = {"method": method, "url": f"Patient?{query}", **more}
    resource = patient("p9", identity=None) if method == "PUT" else None
    if method == "PATCH":
        resource = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}
    return bundle("transaction", {"request": request} | ({"resource": resource} if resource else {}))


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (conditional("PUT", "birthdate=1970-03-04&gender=female"), "ambiguous-match"),
        (conditional("PUT", "birthdate=1970-03-05", ifMatch='W/"999999"'), "version-mismatch"),
        (conditional("DELETE", "gender=female"), "ambiguous-match"),
        (conditional("PATCH", "gender=female"), "ambiguous-match"),
        (conditional("PATCH", "gender=male"), "not-found"),
        (tied_to("Patient?gender=female"), "ambiguous-match"),
        (tied_to("Patient?gender=male"), "dangling-reference"),
    ],
)
async def test_what_a_condition_tells_by_its_error_is_in_the_log(network: Network, probe: bytes, reason: str) -> None:
    await network.admit(COUNTY, transaction(*(patient(each, identity=None) for each in ("p1", "p2"))), "r1")
    with pytest.raises(ExchangeError):
        await admission_of(network).admit_bundle(probe, DOCTOR)
    entry = await last_entry(network)

    assert (entry.kind, entry.principal, entry.action) == ("read", HOSPITAL.id, "search")
    assert (entry.outcome, entry.reason, entry.summary) == ("failed", reason, "conditions: Patient")


async def test_a_create_sent_twice_under_one_request_id_is_carried_out_once(network: Network) -> None:
    view = validate(b'{"resourceType":"Patient","gender":"female"}')
    write = make_request(method="POST", target=Target(type="Patient"), view=view)
    first = await admission_of(network).admit([write], DOCTOR)
    again = await admission_of(network).admit([write], DOCTOR)

    assert again == [msgspec.structs.replace(each, is_repeat=True) for each in first]
    assert len(network.kept(COUNTY)) == 1
    other = make_request(method="POST", target=Target(type="Patient"), view=validate(b'{"resourceType":"Patient"}'))
    with pytest.raises(ExchangeError) as refusal:
        await admission_of(network).admit([other], DOCTOR)
    assert refusal.value.code == "request-id-reused"


async def test_a_transaction_sent_again_is_acknowledged_again_whatever_has_become_of_what_it_reads(
    network: Network,
) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=None)), "r1")
    write = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    raw = bundle("transaction", write, {"request": {"method": "GET", "url": "Observation/o1"}})
    await network.admit(COUNTY, transaction(observation("o1", "p1")), "r2")
    first = await admission_of(network).admit_bundle(raw, DOCTOR)
    await network.admit(COUNTY, transaction(delete=("Observation/o1",)), "r3")
    again = await admission_of(network).admit_bundle(raw, DOCTOR)

    assert isinstance(first.results[1], ReadResult)
    assert isinstance(first.results[0], WriteResult)
    assert again.results[0] == msgspec.structs.replace(first.results[0], is_repeat=True)
    assert isinstance(again.results[1], ExchangeError)
    assert again.results[1].code == "gone"
    assert len(network.kept(COUNTY)) == 2


async def test_what_is_kept_of_a_request_confirms_no_guess_without_the_nodes_key(network: Network) -> None:
    raw = transaction(patient("p1", identity=national_id(1)))
    write = make_request(method="POST", target=Target(type="Patient"), view=validate(b'{"resourceType":"Patient"}'))
    digests = set()
    for address in (COUNTY, "cn/51/5100"):
        node = network[address]
        assert node.admission is not None
        await node.admission.admit_bundle(raw, DOCTOR)
        await node.admission.admit([write], replace(DOCTOR, request_id=RequestId("alone")))
        for name in ("one", "alone"):
            kept = node.parts.store.read_now(partial(answered.answer_of, key=f"{HOSPITAL.id}|{name}"))
            assert kept is not None
            digests.add(kept.digest)

    assert len(digests) == 4, "no hash that anybody can compute is the same at two nodes"


async def test_a_batch_sent_twice_carries_out_each_entry_once_and_tries_failed_ones_again(network: Network) -> None:
    sound = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    early = {
        "resource": {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
        | {"subject": {"reference": "Patient/p1"}},
        "request": {"method": "POST", "url": "Observation"},
    }
    caller = replace(DOCTOR, request_id=RequestId("batch"))
    raw = bundle("batch", sound, early)
    first = await admission_of(network).admit_bundle(raw, caller)
    await network.admit(COUNTY, transaction(patient("p1", identity=None)), "r1")
    again = await admission_of(network).admit_bundle(raw, caller)

    assert isinstance(first.results[1], ExchangeError)
    assert isinstance(first.results[0], WriteResult)
    assert again.results[0] == msgspec.structs.replace(first.results[0], is_repeat=True)
    assert not isinstance(again.results[1], ExchangeError)
    assert len(network.kept(COUNTY)) == 3

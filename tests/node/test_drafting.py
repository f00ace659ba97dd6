"""What is found in a resource before its references are rewritten is what its kept bytes say."""

from pathlib import Path

import msgspec
import pytest
from tests.extraction import extract

from health_exchange.fhir.parameters import instant_of
from health_exchange.fhir.subjects import may_be_patient, subject_references
from health_exchange.model.errors import ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.node.drafting import Drafting, Written, draft_versions
from health_exchange.node.intake import read_bundle
from health_exchange.node.resolution import Place, entry_places, resolved, targets
from health_exchange.node.writes import WriteRequest
from health_exchange.policy.classification import sensitivity_of
from health_exchange.pseudonym.deidentify import disposition_of
from health_exchange.pseudonym.rules.rows import Disposition
from health_exchange.search.tokens import tokens_of
from health_exchange.store.bodies import SealedBody, seal_packed

SAMPLES = Path(__file__).parents[2] / "sample_records"
KEY = Secret(b"k" * 32)
BUNDLES = sorted(path for path in SAMPLES.glob("cn-*/**/*.json"))


def unpacked(packed: bytes, resource_type: str) -> bytes:
    """The body that was packed."""
    sealed = seal_packed(KEY, packed, sid=1, resource_type=resource_type, resource_id="i", version=1, nonce=b"n" * 12)
    return SealedBody(key=KEY, sealed=sealed, sid=1, type=resource_type, id="i", version=1).open()


def check(raw: bytes) -> int:
    """Draft a whole transaction and hold every draft against its own bytes; how many there were."""
    requests = [each for each in read_bundle(raw).requests if isinstance(each, WriteRequest) and each.raw is not None]
    assigned = [Place(type=each.type, id=each.id or f"new-{number}") for number, each in enumerate(requests)]
    places = entry_places(requests, assigned)
    conditional = {
        (kind, query): Place(type=kind, id="found")
        for each in requests
        for text in each.references
        for kind, mark, query in [text.partition("?")]
        if mark
    }
    rewriting = targets(requests, places) | resolved(conditional)
    written = tuple(
        Written(type=place.type, id=place.id, number=1, raw=each.raw, found=each.found)
        for each, place in zip(requests, assigned, strict=True)
        if each.raw is not None and each.found is not None
    )
    drafting = Drafting(written=written, rewriting=rewriting, last_updated="2026-01-01T00:00:00Z", key=KEY)
    for source, draft in zip(written, draft_versions(drafting).drafts, strict=True):
        assert draft.packed is not None
        body = unpacked(draft.packed, source.type)
        decoded = msgspec.json.decode(body)
        assert list(draft.tokens) == tokens_of(KEY, source.type, extract(decoded))
        assert source.found.instant == instant_of(decoded)
        assert (source.found.sensitivity, source.found.category) == sensitivity_of(decoded, body)
        person = next(filter(may_be_patient, subject_references(source.type, decoded)), "").partition("/_history/")[0]
        own = person if person.startswith("Patient/") else f"{source.type}/{source.id}"
        assert draft.anchor == (None if disposition_of(source.type) is Disposition.DIRECTORY else own)
    return len(written)


@pytest.mark.skipif(not BUNDLES, reason="sample_records/ is not in this tree")
def test_what_is_found_before_rewriting_is_what_the_kept_bytes_say() -> None:
    assert sum(check(path.read_bytes()) for path in BUNDLES) > 500


def test_whose_a_record_is_may_be_told_by_rewriting_alone() -> None:
    entries = [
        {"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": {"method": "POST", "url": kind}}
        for number, (kind, resource) in enumerate(
            [
                ("Practitioner", {"resourceType": "Practitioner"}),
                ("Patient", {"resourceType": "Patient"}),
                (
                    "Appointment",
                    {
                        "resourceType": "Appointment",
                        "status": "booked",
                        "participant": [
                            {"actor": {"reference": "urn:uuid:0"}, "status": "accepted"},
                            {"actor": {"reference": "urn:uuid:1"}, "status": "accepted"},
                        ],
                    },
                ),
            ]
        )
    ]
    bundle = msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert check(bundle) == 3
    requests = [each for each in read_bundle(bundle).requests if isinstance(each, WriteRequest)]
    appointment = requests[2]
    assert appointment.raw is not None
    assert appointment.found is not None
    assert appointment.found.subjects == ("urn:uuid:0", "urn:uuid:1")
    written = Written(type="Appointment", id="a", number=1, raw=appointment.raw, found=appointment.found)
    rewriting = {"urn:uuid:0": "Practitioner/p", "urn:uuid:1": "Patient/q"}
    drafting = Drafting(written=(written,), rewriting=rewriting, last_updated="2026-01-01T00:00:00Z", key=KEY)
    assert draft_versions(drafting).drafts[0].anchor == "Patient/q"


def test_a_patient_who_cannot_be_is_refused_when_it_is_read() -> None:
    identifier = {"system": "urn:oid:2.16.156.10011.1.3", "value": "190001194001010001"}
    patient = {"resourceType": "Patient", "identifier": [identifier]}
    entry = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
    bundle = msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    with pytest.raises(ExchangeError) as refused:
        read_bundle(bundle)
    assert refused.value.code == "invalid-identity"
    assert refused.value.where == "Bundle.entry[0].resource.identifier[0].value"

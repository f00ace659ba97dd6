"""What goes to a worker process comes out there as it went in."""

import pickle

import pytest

from health_exchange.fhir.parameters import SearchValue
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import SensitiveCategory, Sensitivity
from health_exchange.node.cleaning import AllCleaned, Cleaned, Parcel, Parcels
from health_exchange.node.drafting import Draft, Drafting, Drafts, Written
from health_exchange.node.findings import Findings
from health_exchange.node.keeping import Arrival, Opened
from health_exchange.node.workers import Carried
from health_exchange.protocol.entries import Locator, RecordEntry
from health_exchange.pseudonym.identities import Identity, IdentityKind
from health_exchange.store.bodies import SealedBody

PERSON = Pseudonym("a" * 26)
ENTRY = RecordEntry(op="put", type="Patient", id=ExchangeId("b" * 26), version=1, pseudonym=PERSON, body=b"{}")
SEALED = SealedBody(key=Secret(b"k" * 32), sealed=b"\xff\x00", sid=1, type="Patient", id="p", version=2)
FOUND = Findings(
    sensitivity=Sensitivity.SENSITIVE,
    category=SensitiveCategory.HIV,
    values=(SearchValue(param="subject", kind="reference", reference="urn:uuid:1"),),
    subjects=("urn:uuid:1",),
    instant="x",
    identity=Identity(IdentityKind.PASSPORT, "GBR|1"),
)
VALUES: list[Carried] = [
    Drafting(
        written=(Written(type="Patient", id="p", number=1, raw=b'{"a":1.50}', found=FOUND),),
        rewriting={"urn:uuid:1": "Patient/p"},
        last_updated="2026-01-01T00:00:00Z",
        key=Secret(b"k" * 32),
    ),
    Drafts(
        drafts=(
            Draft(packed=b"\xff", anchor="Patient/p", tokens=(-(2**63), 2**63 - 1)),
            Draft(packed=None, anchor=None),
        )
    ),
    Parcels(
        parcels=(Parcel(body=SEALED, subject=PERSON, changed_at="x"), Parcel(body=SEALED, subject=None, changed_at="")),
        source=NodeAddress.parse("cn/33"),
        key=Secret(b"k" * 32),
    ),
    AllCleaned(cleaned=(Cleaned(id=ExchangeId("b" * 26), body=b'{"a":1.50}'), Cleaned(held="no-subject"))),
    Opened(
        arrivals=(Arrival(entry=ENTRY, instant="x", tokens=(7,), packed=b"\x00"),),
        locators=(Locator(pseudonym=PERSON, withdrawn=True),),
        refusal="content-fault",
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_is_carried_arrives_unchanged(value: Carried) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own, in this line

"""The published vectors hold: what is in the files is what the code does."""

from pathlib import Path
from typing import Any

import msgspec

from health_exchange.crypto.boxes import BoxKeys
from health_exchange.crypto.signatures import SigningKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.envelope import open_sections, read_envelope, verify_envelope
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.protocol.padding import padme

VECTORS = Path(__file__).parent / "vectors"


def vectors(name: str) -> dict[str, Any]:
    return msgspec.json.decode((VECTORS / name).read_bytes(), type=dict[str, Any])


def test_sizes_and_exchange_ids_are_as_published() -> None:
    published = vectors("fixed.json")
    named = published["exchange_id"]

    assert [[length, padme(length)] for length, _ in published["padme"]] == published["padme"]
    assert exchange_id(Secret(bytes.fromhex(named["key"])), *named["name"].split("/")) == named["id"]


def test_the_published_envelope_verifies_and_opens() -> None:
    published = vectors("envelope.json")
    envelope = read_envelope(bytes.fromhex(published["raw"]))
    verify_envelope(envelope, SigningKeys.from_seed(Secret(bytes.fromhex(published["signing_seed"]))).public)
    box = BoxKeys.from_seed(Secret(bytes.fromhex(published["box_seed"])))
    opened = open_sections(envelope, NodeAddress.parse(published["recipient"]), [box])

    assert envelope.digest.hex() == published["digest"]
    assert envelope.wraps[0][0].hex() == published["key_id"]
    assert [part.hex() for part in envelope.sealed] == published["sealed_sections"]
    assert {name: plaintext.hex() for name, plaintext in opened.items()} == published["opens_to"]

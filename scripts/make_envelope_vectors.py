# ruff: noqa: INP001  # scripts are run, not imported
"""Write the envelope's test vectors: ``python scripts/make_envelope_vectors.py`` from the repository root.

Everything that our code decides comes from fixed seeds and is the same in every run. Two things are random inside the
library (the HPKE encapsulation and the ML-DSA signature), so the whole envelope is a recording: it is kept while it
still opens, and made anew with ``--record``.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec

from health_exchange.crypto.boxes import BoxKeys, key_id
from health_exchange.crypto.signatures import SigningKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.model.purposes import Purpose
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.envelope import NO_PREVIOUS, EnvelopeHeader, Section, read_envelope, seal_envelope
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.protocol.padding import padme

FOLDER = Path(__file__).parents[1] / "tests" / "protocol" / "vectors"
SIGNING_SEED = bytes(range(64))
BOX_SEED = bytes(range(96))
STREAM = "00112233445566778899aabbccddeeff"


def fixed() -> dict[str, object]:
    """What is the same in every run."""
    key = Secret(bytes(range(32)))
    return {
        "padme": [[length, padme(length)] for length in (0, 1, 9, 100, 1000, 1025, 65537, 10**7)],
        "exchange_id": {"key": key.raw.hex(), "name": "Patient/1", "id": exchange_id(key, "Patient", "1")},
    }


def recording() -> dict[str, object]:
    """One envelope with what it takes to check it; the seed fixes core, keys and sealed sections, not wraps."""
    origin, nation = NodeAddress.parse("cn/33"), NodeAddress.parse("cn")
    box = BoxKeys.from_seed(Secret(BOX_SEED))
    header = EnvelopeHeader(
        origin=origin,
        stream=StreamId(STREAM),
        sequence=1,
        previous=NO_PREVIOUS,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        purpose=Purpose.TREATMENT,
        recipients=(nation,),
    )
    sections = [
        Section(name="records", recipients=(nation,), plaintext=b"for the nation"),
        Section(name="locators", recipients=(), plaintext=b"for nobody"),
    ]
    signing = SigningKeys.from_seed(Secret(SIGNING_SEED))
    boxes = {nation: box.public_raw}
    seeded = Random(1).randbytes  # noqa: S311  # vectors must come out the same in every run
    sealed = seal_envelope(header, sections, boxes=boxes, signing=signing, randomness=seeded)
    return {
        "signing_seed": SIGNING_SEED.hex(),
        "box_seed": BOX_SEED.hex(),
        "recipient": str(nation),
        "key_id": key_id(box.public_raw).hex(),
        "digest": sealed.digest.hex(),
        "sealed_sections": [part.hex() for part in read_envelope(sealed.raw).sealed],
        "opens_to": {"records": b"for the nation".hex()},
        "raw": sealed.raw.hex(),
    }


def main() -> None:
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    envelope = FOLDER / "envelope.json"
    written = {"fixed.json": fixed()}
    if "--record" in sys.argv or not envelope.exists():
        written["envelope.json"] = recording()
    for name, content in written.items():
        (FOLDER / name).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


if __name__ == "__main__":
    main()

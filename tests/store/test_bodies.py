"""Bodies as they are kept: what was packed with any dictionary that was ever shipped opens again, byte for byte."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.resources import files

import pytest
import zstandard

from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.fhir.elements import resource_types
from health_exchange.model.secrecy import Secret
from health_exchange.store.bodies import GENERATION, SealedBody, pack_body, seal_packed

KEY = Secret(bytes(range(32)))
NONCE = bytes(12)
THREADS = 4
BODY = b'{"resourceType":"%s","status":"final","valueQuantity":{"value":1.50}}'
DICTIONARIES = files("health_exchange.store") / "dictionaries"
SHIPPED = {
    "1": "60d99abaa3f2e0f27630b13419d654f1040bdebafa445547ea69ce19e57b8d41",
    "2": "2e4302c14ec30a0fa29738a99411052ada16c95eff7f9107b73de28906eb01e0",
}


def sealed(packed: bytes, resource_type: str) -> bytes:
    return seal_packed(KEY, packed, sid=7, resource_type=resource_type, resource_id="a", version=3, nonce=NONCE)


def opened(body: bytes, resource_type: str) -> bytes:
    return SealedBody(key=KEY, sealed=body, sid=7, type=resource_type, id="a", version=3).open()


@pytest.mark.parametrize("resource_type", sorted(resource_types()))
def test_what_is_packed_today_opens_whether_its_type_has_a_dictionary_or_shares_one(resource_type: str) -> None:
    body = BODY % resource_type.encode()

    packed = pack_body(resource_type, body)

    assert packed[0] == GENERATION
    assert len(packed) < len(body)
    assert opened(sealed(packed, resource_type), resource_type) == body


@pytest.mark.parametrize("resource_type", ["Observation", "Patient"])
def test_what_was_packed_with_the_first_dictionaries_still_opens(resource_type: str) -> None:
    body = BODY % resource_type.encode()
    first = zstandard.ZstdCompressionDict((DICTIONARIES / "1" / f"{resource_type}.zdict").read_bytes())
    packed = b"\1" + zstandard.ZstdCompressor(dict_data=first).compress(body)

    assert opened(sealed(packed, resource_type), resource_type) == body


def test_what_was_packed_without_a_dictionary_still_opens() -> None:
    body = BODY % b"Claim"
    packed = b"\0" + zstandard.ZstdCompressor().compress(body)

    assert opened(sealed(packed, "Claim"), "Claim") == body


def test_what_a_later_release_has_packed_is_told_apart_from_nonsense() -> None:
    packed = bytes((GENERATION + 1,)) + pack_body("Claim", BODY % b"Claim")[1:]

    with pytest.raises(SealBrokenError, match="later release"):
        opened(sealed(packed, "Claim"), "Claim")


@pytest.mark.parametrize("generation", sorted(SHIPPED))
def test_a_shipped_dictionary_never_changes(generation: str) -> None:
    digest = sha256()
    for file in sorted((DICTIONARIES / generation).iterdir(), key=lambda each: each.name):
        digest.update(file.name.encode() + b"\n" + file.read_bytes())

    assert digest.hexdigest() == SHIPPED[generation]
    assert str(GENERATION) == max(SHIPPED)


def test_threads_pack_and_open_beside_each_other() -> None:
    """One context used by two threads gives other bytes or ends the process; bodies are large, so that they meet."""
    bodies = [b'{"resourceType":"Observation","note":"%s"}' % (f"{number:06}" * 800).encode() for number in range(40)]

    def work(_thread: int) -> bool:
        return all(
            opened(sealed(pack_body("Observation", body), "Observation"), "Observation") == body
            for _round in range(20)
            for body in bodies
        )

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(work, range(THREADS)))

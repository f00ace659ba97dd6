"""The table of suites is complete and its rows tell the truth about lengths."""

from health_exchange.crypto.boxes import BoxKeys
from health_exchange.crypto.signatures import SigningKeys
from health_exchange.crypto.suites import SUITES, SuiteNumber
from health_exchange.model.secrecy import Secret


def test_every_suite_number_has_its_row() -> None:
    assert set(SUITES) == set(SuiteNumber)


def test_every_row_states_its_lengths() -> None:
    box, signing = BoxKeys.from_seed(Secret(bytes(96))), SigningKeys.from_seed(Secret(bytes(64)))
    for suite in SUITES.values():
        key = Secret(bytes(suite.key_bytes))
        assert len(suite.seal(key, b"abc", aad=b"", nonce=bytes(suite.nonce_bytes))) == 3 + suite.seal_overhead_bytes
        assert len(suite.wrap(box.public_raw, key, info=b"")) == suite.key_bytes + suite.wrap_overhead_bytes
        assert len(suite.sign(signing, b"", context=b"")) == suite.signature_bytes

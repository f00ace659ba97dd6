"""The published vectors of RFC 9497 for ristretto255-SHA512, then what a proof must not let through."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from health_exchange.pseudonym.group import Element, decode_element, decode_scalar, encode_scalar, multiply_base
from health_exchange.pseudonym.oprf import (
    Mode,
    Proof,
    ProofError,
    blind,
    context,
    derive_key,
    evaluate,
    finalize,
    prove,
    unblind,
    verify,
)

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "rfc9497-oprf.json"

needs_vectors = pytest.mark.skipif(not VECTORS.exists(), reason="../shared with the published vectors is absent")


def published(mode: Mode) -> dict[str, Any]:
    suites = json.loads(VECTORS.read_text())
    found: dict[str, Any] = next(
        suite for suite in suites if suite["identifier"] == "ristretto255-SHA512" and suite["mode"] == mode
    )
    return found


def parts(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


@needs_vectors
@pytest.mark.parametrize("mode", [Mode.OPRF, Mode.VOPRF])
def test_keys_blinding_evaluation_and_output_are_those_of_the_rfc(mode: Mode) -> None:
    suite = published(mode)
    key = derive_key(bytes.fromhex(suite["seed"]), bytes.fromhex(suite["keyInfo"]), mode)

    assert encode_scalar(key).hex() == suite["skSm"]
    assert context(mode).startswith(b"OPRFV1-")
    for vector in suite["vectors"]:
        blindings = [decode_scalar(raw) for raw in parts(vector["Blind"])]
        messages = parts(vector["Input"])
        blinded = [blind(message, blinding, mode) for message, blinding in zip(messages, blindings, strict=True)]
        evaluated = evaluate(key, blinded)

        assert list(map(bytes, blinded)) == parts(vector["BlindedElement"])
        assert list(map(bytes, evaluated)) == parts(vector["EvaluationElement"])
        assert [
            finalize(message, unblind(element, blinding))
            for message, element, blinding in zip(messages, evaluated, blindings, strict=True)
        ] == parts(vector["Output"])


@needs_vectors
def test_proofs_are_those_of_the_rfc_and_verify() -> None:
    suite = published(Mode.VOPRF)
    key = decode_scalar(bytes.fromhex(suite["skSm"]))
    public = decode_element(bytes.fromhex(suite["pkSm"]))
    for vector in suite["vectors"]:
        blinded = [decode_element(raw) for raw in parts(vector["BlindedElement"])]
        evaluated = [decode_element(raw) for raw in parts(vector["EvaluationElement"])]
        nonce = decode_scalar(bytes.fromhex(vector["Proof"]["r"]))

        proof = prove(key, public, blinded, evaluated, nonce)

        assert proof.encode().hex() == vector["Proof"]["proof"]
        verify(public, blinded, evaluated, Proof.decode(proof.encode()))


def batch(size: int) -> tuple[int, Element, list[Element]]:
    key = derive_key(os.urandom(32), b"")
    return key, multiply_base(key), [blind(bytes((index,)), index + 1) for index in range(size)]


@pytest.mark.parametrize("lying", [0, 1, 2])
def test_a_batch_with_one_element_of_another_key_is_refused(lying: int) -> None:
    key, public, blinded = batch(3)
    honest = evaluate(key, blinded)
    evaluated = [*honest[:lying], *evaluate(key + 1, blinded[lying : lying + 1]), *honest[lying + 1 :]]

    proof = prove(key, public, blinded, evaluated, nonce=7)

    with pytest.raises(ProofError):
        verify(public, blinded, evaluated, proof)


def test_a_proof_does_not_serve_elements_in_another_order() -> None:
    key, public, blinded = batch(2)
    evaluated = evaluate(key, blinded)
    proof = prove(key, public, blinded, evaluated, nonce=7)

    with pytest.raises(ProofError):
        verify(public, blinded[::-1], evaluated[::-1], proof)


def test_a_proof_of_nothing_is_refused() -> None:
    key, public, blinded = batch(1)
    proof = prove(key, public, blinded, evaluate(key, blinded), nonce=7)

    with pytest.raises(ProofError):
        verify(public, [], [], proof)

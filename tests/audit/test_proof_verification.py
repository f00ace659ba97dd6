"""The offline verifier's own reading of inclusion paths, judged by the published vectors and by the writer's proofs."""

from base64 import b64decode

import pytest
from tests.audit.test_merkle import decoded, needs_vectors, published

from health_exchange.audit.hashing import hash_leaf
from health_exchange.audit.merkle import prove_inclusion, root_of
from health_exchange.audit.proof_verification import climb, verify_proof
from health_exchange.audit.tiles import append, subtree_reader


@needs_vectors
def test_every_published_inclusion_proof_is_judged_as_published() -> None:
    vectors = published("inclusion")
    assert len(vectors) > 50
    for name, vector in vectors:
        leaf, root = b64decode(vector["leafHash"]), b64decode(vector["root"])
        reached = climb(leaf, vector.get("leafIdx", 0), vector.get("treeSize", 0), decoded(vector["proof"]))
        if len(leaf) == len(root) == 32:
            assert (reached == root) is not vector["wantErr"], name


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100])
def test_every_leaf_climbs_to_the_root_and_no_other_place_does(size: int) -> None:
    leaves = [bytes([number]) * 32 for number in range(size)]
    kept: dict[str, bytes] = {}
    kept |= append(0, leaves, kept.get)
    subtree = subtree_reader(kept.get)
    root = root_of(size, subtree)
    for index in range(size):
        path = prove_inclusion(index, size, subtree)
        assert climb(hash_leaf(leaves[index]), index, size, path) == root
        assert all(
            climb(hash_leaf(leaves[index]), other, size, path) != root for other in range(size) if other != index
        )


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff", b'{"format":"health_exchange proof v1"}'])
def test_garbage_is_a_problem_and_never_an_exception(raw: bytes) -> None:
    assert verify_proof(raw).problem


def test_a_path_of_absurd_length_is_refused() -> None:
    assert climb(b"l" * 32, 0, 1 << 100_000, [b"p" * 32] * 100_000) is None

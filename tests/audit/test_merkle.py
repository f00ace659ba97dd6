"""The log's proofs: RFC 6962's published vectors, good and bad, then what tiles and lists must agree on."""

import json
import tarfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.audit.hashing import Hash, hash_leaf, hash_node
from health_exchange.audit.merkle import (
    ProofMismatchError,
    prove_consistency,
    prove_inclusion,
    range_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from health_exchange.audit.tiles import append, export_tiles, read_bundle, subtree_reader, tile_name

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "rfc6962-proofs.tar.xz"


def published(kind: str) -> list[tuple[str, dict[str, Any]]]:
    if not VECTORS.exists():
        return []
    with tarfile.open(VECTORS) as archive:
        return [
            (member.name, json.load(archive.extractfile(member) or pytest.fail("no file")))
            for member in archive.getmembers()
            if member.name.startswith(f"{kind}/") and member.name.endswith(".json")
        ]


needs_vectors = pytest.mark.skipif(not VECTORS.exists(), reason="../shared with the published vectors is absent")


def decoded(hashes: list[str] | None) -> list[bytes]:
    return [b64decode(each) for each in hashes or []]


@needs_vectors
def test_every_published_inclusion_proof_is_judged_as_published() -> None:
    vectors = published("inclusion")
    assert len(vectors) > 50
    for name, vector in vectors:
        if vector.get("leafIdx", 0) < 0 or vector.get("treeSize", 0) < 0:
            continue
        try:
            verify_inclusion(
                Hash(b64decode(vector["leafHash"])),
                index=vector["leafIdx"],
                tree_size=vector["treeSize"],
                path=decoded(vector["proof"]),
                root=b64decode(vector["root"]),
            )
            accepted = True
        except ProofMismatchError:
            accepted = False
        assert accepted is not vector["wantErr"], name


@needs_vectors
def test_every_published_consistency_proof_is_judged_as_published() -> None:
    vectors = published("consistency")
    assert len(vectors) > 50
    for name, vector in vectors:
        try:
            verify_consistency(
                old_size=vector["size1"],
                old_root=b64decode(vector["root1"]),
                size=vector["size2"],
                root=b64decode(vector["root2"]),
                path=decoded(vector["proof"]),
            )
            accepted = True
        except ProofMismatchError:
            accepted = False
        # An empty log is consistent with everything; we ask for no proof of that and refuse one.
        assert accepted is not vector["wantErr"] or vector["size1"] == 0, name


def naive(leaves: list[bytes]) -> Hash:
    """The RFC's definition, word for word."""
    if len(leaves) == 1:
        return hash_leaf(leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hash_node(naive(leaves[:split]), naive(leaves[split:]))


def filled(entries: list[bytes], step: int) -> dict[str, bytes]:
    tiles: dict[str, bytes] = {}
    for start in range(0, len(entries), step):
        tiles |= append(start, entries[start : start + step], tiles.get)
    return tiles


def numbered(count: int) -> list[bytes]:
    return [number.to_bytes(32) for number in range(count)]


@given(size=st.integers(1, 700), step=st.integers(1, 300), data=st.data())
def test_tiles_give_the_roots_and_proofs_of_the_definition(size: int, step: int, data: st.DataObject) -> None:
    entries = numbered(size)
    subtree = subtree_reader(filled(entries, step).get)
    index, old_size = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, old_root = root_of(size, subtree), range_hash(0, old_size, subtree)

    assert root == naive(entries)
    assert old_root == naive(entries[:old_size])
    verify_inclusion(
        hash_leaf(entries[index]),
        index=index,
        tree_size=size,
        path=prove_inclusion(index, size, subtree),
        root=root,
    )
    verify_consistency(
        old_size=old_size, old_root=old_root, size=size, root=root, path=prove_consistency(old_size, size, subtree)
    )


def test_a_log_beyond_one_tile_of_tiles_has_the_right_root() -> None:
    entries = numbered(256 * 256 + 3)

    tiles = filled(entries, 10_000)

    assert root_of(len(entries), subtree_reader(tiles.get)) == naive(entries)
    assert tile_name(2, 0) in tiles
    assert "tile/0/256.p/3" in export_tiles(tiles)
    assert read_bundle(tiles[tile_name("entries", 256)]) == entries[-3:]


@given(size=st.integers(2, 60), data=st.data())
def test_another_leaf_or_a_shorter_path_is_refused(size: int, data: st.DataObject) -> None:
    entries = numbered(size)
    subtree = subtree_reader(filled(entries, size).get)
    index = data.draw(st.integers(0, size - 1))
    path, root = prove_inclusion(index, size, subtree), root_of(size, subtree)

    with pytest.raises(ProofMismatchError):
        verify_inclusion(hash_leaf(b"forged"), index=index, tree_size=size, path=path, root=root)
    with pytest.raises(ProofMismatchError):
        verify_inclusion(hash_leaf(entries[index]), index=index, tree_size=size, path=path[:-1], root=root)


@pytest.mark.parametrize(("index", "name"), [(0, "tile/0/000"), (999, "tile/0/999"), (1234067, "tile/0/x001/x234/067")])
def test_tile_names_are_those_of_the_specification(index: int, name: str) -> None:
    assert tile_name(0, index) == name

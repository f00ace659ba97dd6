"""Checkpoints and cosignatures say what C2SP says, and nobody else's signature passes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.audit.checkpoints import (
    BadCheckpointError,
    Checkpoint,
    ForkedLogError,
    check_extension,
    cosign,
    parse_checkpoint,
    read_checkpoint,
    sign_checkpoint,
    verify_cosignature,
)
from health_exchange.audit.hashing import Hash, hash_leaf
from health_exchange.audit.merkle import prove_consistency, root_of
from health_exchange.audit.tiles import append, subtree_reader
from health_exchange.crypto.signatures import ed25519_public
from health_exchange.model.secrecy import Secret

SEED, OTHER = Secret(b"l" * 32), Secret(b"o" * 32)
ORIGIN = "health-exchange.example/cn"
AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def tree(size: int, *, salt: bytes = b"") -> tuple[Checkpoint, dict[str, bytes]]:
    entries = [(salt + number.to_bytes(4)).rjust(32, b"\0") for number in range(size)]
    tiles = append(0, entries, lambda _name: None)
    return Checkpoint(origin=ORIGIN, size=size, root=root_of(size, subtree_reader(tiles.get))), tiles


def test_a_note_has_three_lines_an_empty_one_and_its_signature() -> None:
    lines = sign_checkpoint(Checkpoint(origin=ORIGIN, size=1, root=hash_leaf(b"")), SEED).split("\n")

    assert lines[:2] == [ORIGIN, "1"]
    assert lines[3] == ""
    assert lines[4].startswith(f"\N{EM DASH} {ORIGIN} ")
    assert lines[5:] == [""]


@given(size=st.integers(0, 1 << 40), root=st.binary(min_size=32, max_size=32))
def test_what_is_signed_reads_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=Hash(root))

    assert (
        read_checkpoint(sign_checkpoint(checkpoint, SEED), origin=ORIGIN, publics=[ed25519_public(SEED)]) == checkpoint
    )


def test_another_key_or_another_log_is_refused() -> None:
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=1, root=hash_leaf(b"")), SEED)

    with pytest.raises(BadCheckpointError):
        read_checkpoint(note, origin=ORIGIN, publics=[ed25519_public(OTHER)])
    with pytest.raises(BadCheckpointError):
        read_checkpoint(note, origin=f"{ORIGIN}/33", publics=[ed25519_public(SEED)])


@given(text=st.text(max_size=200))
def test_garbage_is_no_checkpoint(text: str) -> None:
    with pytest.raises(BadCheckpointError):
        parse_checkpoint(text)


def test_a_cosignature_binds_witness_time_and_checkpoint() -> None:
    checkpoint, _tiles = tree(5)
    line = cosign(checkpoint, witness="w", seed=OTHER, at=AT)

    assert verify_cosignature(checkpoint, line, witness="w", publics=[ed25519_public(OTHER)]) == AT
    with pytest.raises(BadCheckpointError):
        verify_cosignature(tree(6)[0], line, witness="w", publics=[ed25519_public(OTHER)])
    with pytest.raises(BadCheckpointError):
        verify_cosignature(checkpoint, line, witness="v", publics=[ed25519_public(OTHER)])


@given(old=st.integers(1, 40), more=st.integers(0, 40))
def test_a_witness_accepts_growth_only(old: int, more: int) -> None:
    seen, _ = tree(old)
    shown, tiles = tree(old + more)
    proof = [bytes(each) for each in prove_consistency(old, old + more, subtree_reader(tiles.get))]

    check_extension(seen, shown, proof)
    with pytest.raises(ForkedLogError):
        check_extension(tree(old, salt=b"fork")[0], shown, proof)
    if more:
        with pytest.raises(ForkedLogError):
            check_extension(shown, seen, [])

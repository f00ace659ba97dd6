"""Long texts sealed piece by piece: whatever is done to the pieces shows."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.chunks import CHUNK_BYTES, SEALED_CHUNK_BYTES, open_chunks, seal_chunks
from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.model.secrecy import Secret

KEY, AAD = Secret(bytes(range(32))), b"what it is bound to"
TEXT = bytes(range(256)) * 2500  # two whole pieces and a part of a third


def sealed(text: bytes = TEXT) -> list[bytes]:
    return list(seal_chunks(KEY, [text], aad=AAD))


@given(
    size=st.sampled_from([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 700_000]),
    cut=st.integers(1, 300_000),
)
def test_what_was_sealed_comes_back_however_it_was_cut(size: int, cut: int) -> None:
    text = (bytes(range(251)) * (size // 251 + 1))[:size]
    pieces = list(seal_chunks(KEY, (text[at : at + cut] for at in range(0, size, cut)), aad=AAD))

    assert b"".join(open_chunks(KEY, pieces, aad=AAD)) == text
    assert [len(piece) for piece in pieces[:-1]] == [SEALED_CHUNK_BYTES] * (len(pieces) - 1)
    assert len(pieces[-1]) < SEALED_CHUNK_BYTES


def flipped(pieces: Sequence[bytes]) -> list[bytes]:
    return [pieces[0], pieces[1][:-1] + bytes((pieces[1][-1] ^ 1,)), *pieces[2:]]


@pytest.mark.parametrize(
    "harm",
    [
        flipped,
        lambda pieces: pieces[:-1],
        lambda pieces: pieces[1:],
        lambda pieces: [pieces[1], pieces[0], *pieces[2:]],
        lambda pieces: [pieces[0], *pieces],
        lambda pieces: [*pieces, pieces[-1]],
        lambda pieces: [*pieces[:-1], pieces[-1][:-1]],
        lambda pieces: [*pieces[:-1], pieces[0][:100]],
        lambda _pieces: [],
    ],
    ids=["bit", "no end", "no start", "swapped", "repeated", "added", "cut", "other end", "nothing"],
)
def test_whatever_is_done_to_the_pieces_shows(harm: Callable[[Sequence[bytes]], list[bytes]]) -> None:
    with pytest.raises(SealBrokenError):
        list(open_chunks(KEY, harm(sealed()), aad=AAD))


def test_another_key_and_another_purpose_do_not_open() -> None:
    with pytest.raises(SealBrokenError):
        list(open_chunks(Secret(bytes(32)), sealed(), aad=AAD))
    with pytest.raises(SealBrokenError):
        list(open_chunks(KEY, sealed(), aad=b"something else"))

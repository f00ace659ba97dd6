"""Shares without a dealer: any t hold the key, t - 1 do not, and it outlives refresh and replacement of its holders."""

import random
from collections.abc import Mapping
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.secrecy import Secret
from health_exchange.pseudonym.dealing import (
    FalsePieceError,
    GeneratedKey,
    check_piece,
    deal,
    evaluate_commitments,
    generate_key,
    interpolate,
    join,
    lagrange,
    redistribute,
    refresh,
)
from health_exchange.pseudonym.group import (
    ORDER,
    BadElementError,
    decode_element,
    decode_scalar,
    encode_scalar,
    multiply_base,
)

SETS = st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, 2**32))


def secret_of(shares: Mapping[int, Secret], indexes: tuple[int, ...]) -> int:
    weights = lagrange(indexes)
    return sum(weights[index] * decode_scalar(shares[index].raw) for index in indexes) % ORDER


def generated(threshold: int, extra: int, seed: int) -> tuple[GeneratedKey, random.Random]:
    dice = random.Random(seed)
    return generate_key(threshold=threshold, holders=threshold + extra, randomness=dice.randbytes), dice


@given(shape=SETS)
def test_any_t_holders_hold_the_key_and_fewer_do_not(shape: tuple[int, int, int]) -> None:
    threshold, extra, seed = shape
    key, _dice = generated(threshold, extra, seed)
    secrets = {secret_of(key.shares, chosen) for chosen in combinations(key.shares, threshold)}

    assert len(secrets) == 1
    assert multiply_base(secrets.pop()) == key.public
    for fewer in combinations(key.shares, threshold - 1):
        if fewer:
            assert multiply_base(secret_of(key.shares, fewer)) != key.public


@given(shape=SETS)
def test_share_keys_interpolate_to_the_public_key(shape: tuple[int, int, int]) -> None:
    threshold, extra, seed = shape
    key, _dice = generated(threshold, extra, seed)

    for chosen in combinations(key.share_publics, threshold):
        assert interpolate({index: key.share_publics[index] for index in chosen}) == key.public


@given(shape=SETS)
def test_a_refresh_keeps_the_key_and_changes_every_share(shape: tuple[int, int, int]) -> None:
    threshold, extra, seed = shape
    key, dice = generated(threshold, extra, seed)

    fresh = refresh(key, threshold=threshold, randomness=dice.randbytes)

    assert fresh.public == key.public
    assert multiply_base(secret_of(fresh.shares, tuple(fresh.shares)[:threshold])) == key.public
    if threshold > 1:
        assert all(fresh.shares[index] != key.shares[index] for index in key.shares)
        mixed = {1: key.shares[1], **{index: fresh.shares[index] for index in list(fresh.shares)[1:threshold]}}
        assert multiply_base(secret_of(mixed, tuple(mixed))) != key.public


def test_replaced_holders_hold_the_same_key() -> None:
    key, dice = generated(2, 1, 5)

    moved = redistribute(
        {1: key.shares[1], 3: key.shares[3]},
        key.share_publics,
        threshold=3,
        indexes=range(1, 6),
        randomness=dice.randbytes,
    )

    assert moved.public == key.public
    assert multiply_base(secret_of(moved.shares, (2, 4, 5))) == key.public


def test_an_old_holder_that_deals_another_secret_is_named() -> None:
    key, dice = generated(2, 1, 5)
    false = {1: key.shares[1], 3: Secret(encode_scalar(12345))}

    with pytest.raises(FalsePieceError, match="holder 3"):
        redistribute(false, key.share_publics, threshold=2, indexes=range(1, 4), randomness=dice.randbytes)


@given(seed=st.integers(0, 2**32), index=st.integers(1, 3))
def test_a_false_piece_does_not_fit_its_dealers_commitments(seed: int, index: int) -> None:
    dealing = deal(7, threshold=2, indexes=range(1, 4), randomness=random.Random(seed).randbytes)
    check_piece(dealing.commitments, index, dealing.pieces[index])

    wrong = Secret(encode_scalar((decode_scalar(dealing.pieces[index].raw) + 1) % ORDER))
    with pytest.raises(FalsePieceError):
        check_piece(dealing.commitments, index, wrong)


def test_commitments_tell_every_share_key() -> None:
    dice = random.Random(3)
    dealings = [deal(secret, threshold=2, indexes=[1, 2, 3], randomness=dice.randbytes) for secret in (5, 6)]
    key = join(dealings, [1, 2, 3])

    assert key.public == multiply_base(11)
    assert evaluate_commitments(dealings[0].commitments, 2) == multiply_base(decode_scalar(dealings[0].pieces[2].raw))


@pytest.mark.parametrize(("threshold", "indexes"), [(0, [1]), (3, [1, 2]), (1, [0, 1]), (2, [1, 1])])
def test_a_dealing_that_cannot_be_is_refused(threshold: int, indexes: list[int]) -> None:
    with pytest.raises(ValueError, match="dealing"):
        deal(1, threshold=threshold, indexes=indexes, randomness=random.Random(1).randbytes)


@given(raw=st.binary(min_size=0, max_size=40))
def test_bytes_that_are_no_element_or_scalar_are_refused(raw: bytes) -> None:
    for decode in (decode_element, decode_scalar):
        try:
            decode(raw)
        except BadElementError:
            continue


@pytest.mark.parametrize("raw", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31), bytes(31), ORDER.to_bytes(32, "little")])
def test_the_identity_and_what_is_not_canonical_are_no_elements(raw: bytes) -> None:
    with pytest.raises(BadElementError):
        decode_element(raw)

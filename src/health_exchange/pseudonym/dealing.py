"""Shares of a secret without a dealer who knows it: Feldman's verifiable secret sharing, once for every purpose.

``deal`` is the one operation. Key generation: every holder deals a secret of its own and each adds up what it got.
Refresh: every holder deals zero. Replacement: t holders deal their weighted shares to the new set. Nobody ever holds
the joint key, and whoever deals a false piece is found by its commitments.

Source: Feldman 1987; Pedersen 1991; Herzberg et al. 1995 for refresh; Desmedt and Jajodia 1997 for redistribution.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.pseudonym.group import (
    ORDER,
    Element,
    add,
    decode_scalar,
    encode_scalar,
    invert,
    multiply,
    multiply_base,
    random_scalar,
)


class FalsePieceError(ExchangeError):
    """A dealt piece does not fit its dealer's commitments."""

    category = Category.CONFLICT
    code = "false-piece"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing:
    """What one dealer made.

    Attributes:
        commitments: Public: coefficient times generator for each coefficient, the secret's first. ``None`` stands for
            the commitment to zero, which a refresh deals.
        pieces: Secret: by receiver's index, 32 bytes each, for that receiver alone.
    """

    commitments: tuple[Element | None, ...]
    pieces: Mapping[int, Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedKey:
    """A joint key as its holders have it.

    Attributes:
        public: Joint public key.
        shares: By index, each for its holder alone.
        share_publics: By index, published.
    """

    public: Element
    shares: Mapping[int, Secret]
    share_publics: Mapping[int, Element]


def deal(secret: int, *, threshold: int, indexes: Iterable[int], randomness: Randomness) -> Dealing:
    """Split ``secret`` so that any ``threshold`` of ``indexes`` together hold it and fewer hold nothing.

    Args:
        secret: A scalar; zero for a refresh.
        threshold: Number of coefficients.
        indexes: Receivers, from 1.
        randomness: For the other coefficients.

    Raises:
        ValueError: An index below 1 or twice, or fewer receivers than the threshold.
    """
    receivers = sorted(indexes)
    if threshold < 1 or len(receivers) < threshold or receivers[0] < 1 or len(set(receivers)) != len(receivers):
        raise ValueError("a dealing needs at least as many receivers as its threshold, numbered from 1")
    coefficients = [secret % ORDER, *(random_scalar(randomness) for _ in range(threshold - 1))]
    return Dealing(
        commitments=tuple(multiply_base(each) if each else None for each in coefficients),
        pieces={index: Secret(encode_scalar(_at(coefficients, index))) for index in receivers},
    )


def check_piece(commitments: Sequence[Element | None], index: int, piece: Secret) -> None:
    """Check what a receiver got against what the dealer published.

    Raises:
        FalsePieceError: It does not fit.
    """
    value = decode_scalar(piece.raw)
    expected = evaluate_commitments(commitments, index)
    if (multiply_base(value) if value else None) != expected:
        raise FalsePieceError(f"the piece dealt to holder {index} does not fit its dealer's commitments")


def evaluate_commitments(commitments: Sequence[Element | None], index: int) -> Element | None:
    """The public key of the share that ``index`` gets; ``None`` for the identity."""
    total: Element | None = None
    for power, commitment in enumerate(commitments):
        if commitment is not None:
            factor = pow(index, power, ORDER)
            term = commitment if factor == 1 else multiply(factor, commitment)
            total = _plus(total, term)
    return total


def add_pieces(pieces: Iterable[Secret]) -> Secret:
    """A receiver's share: the sum of what all dealers gave it."""
    return Secret(encode_scalar(sum(decode_scalar(piece.raw) for piece in pieces) % ORDER))


def join(dealings: Sequence[Dealing], indexes: Iterable[int]) -> GeneratedKey:
    """The key that several dealings make together, every piece checked.

    Raises:
        FalsePieceError: A dealer gave somebody a false piece, or the dealings cancel each other out.
    """
    receivers = list(indexes)
    for dealing in dealings:
        for index in receivers:
            check_piece(dealing.commitments, index, dealing.pieces[index])
    shares = {index: add_pieces(dealing.pieces[index] for dealing in dealings) for index in receivers}
    public: Element | None = None
    for dealing in dealings:
        public = _plus(public, dealing.commitments[0])
    share_publics = {index: multiply_base(decode_scalar(share.raw)) for index, share in shares.items()}
    if public is None:
        raise FalsePieceError("the dealings add up to no key")
    return GeneratedKey(public=public, shares=shares, share_publics=share_publics)


def generate_key(*, threshold: int, holders: int, randomness: Randomness) -> GeneratedKey:
    """A joint key that nobody knows: each of ``holders`` deals a secret of its own."""
    indexes = range(1, holders + 1)
    dealings = [
        deal(random_scalar(randomness), threshold=threshold, indexes=indexes, randomness=randomness) for _ in indexes
    ]
    return join(dealings, indexes)


def refresh(key: GeneratedKey, *, threshold: int, randomness: Randomness) -> GeneratedKey:
    """The same key under new shares: old ones are worthless beside new ones."""
    indexes = sorted(key.shares)
    zeros = [deal(0, threshold=threshold, indexes=indexes, randomness=randomness) for _ in indexes]
    for dealing in zeros:
        if dealing.commitments[0] is not None:
            raise FalsePieceError("a refresh deals zero and nothing else")
        for index in indexes:
            check_piece(dealing.commitments, index, dealing.pieces[index])
    shares = {
        index: add_pieces([key.shares[index], *(dealing.pieces[index] for dealing in zeros)]) for index in indexes
    }
    return GeneratedKey(
        public=key.public,
        shares=shares,
        share_publics={index: multiply_base(decode_scalar(share.raw)) for index, share in shares.items()},
    )


def redistribute(
    shares: Mapping[int, Secret],
    share_publics: Mapping[int, Element],
    *,
    threshold: int,
    indexes: Iterable[int],
    randomness: Randomness,
) -> GeneratedKey:
    """The same key for another set of holders, from the shares of as many old ones as the old threshold.

    Args:
        shares: Of the old holders that take part; at least the old threshold.
        share_publics: Their published keys.
        threshold: Of the new set.
        indexes: The new set.
        randomness: For the dealings.

    Raises:
        FalsePieceError: An old holder dealt another secret than its share.
    """
    weights = lagrange(list(shares))
    receivers = list(indexes)
    dealings = []
    for index, share in shares.items():
        dealing = deal(
            weights[index] * decode_scalar(share.raw), threshold=threshold, indexes=receivers, randomness=randomness
        )
        if dealing.commitments[0] != multiply(weights[index], share_publics[index]):
            raise FalsePieceError(f"holder {index} dealt another secret than its share")
        dealings.append(dealing)
    return join(dealings, receivers)


def lagrange(indexes: Sequence[int]) -> dict[int, int]:
    """Weights by which shares at ``indexes`` add up to the secret."""
    weights = {}
    for index in indexes:
        above, below = 1, 1
        for other in indexes:
            if other != index:
                above = above * other % ORDER
                below = below * (other - index) % ORDER
        weights[index] = above * invert(below) % ORDER
    return weights


def interpolate(points: Mapping[int, Element]) -> Element | None:
    """The public key that published share keys lead to; ``None`` for the identity."""
    total: Element | None = None
    for index, weight in lagrange(list(points)).items():
        total = _plus(total, multiply(weight, points[index]))
    return total


def _at(coefficients: Sequence[int], index: int) -> int:
    """The polynomial's value."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * index + coefficient) % ORDER
    return value


def _plus(left: Element | None, right: Element | None) -> Element | None:
    """The sum, the identity written as ``None``."""
    if left is None or right is None:
        return left if right is None else right
    total = add(left, right)
    return None if total == bytes(len(total)) else total

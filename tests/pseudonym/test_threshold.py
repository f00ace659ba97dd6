"""Pseudonyms from t of n holders: the same whoever helps, and whoever lies is named."""

import random
import re
from itertools import combinations, permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard, KeyCard
from health_exchange.model.errors import ExchangeError
from health_exchange.pseudonym.dealing import GeneratedKey, generate_key, refresh
from health_exchange.pseudonym.identities import Identity, IdentityKind
from health_exchange.pseudonym.threshold import (
    BadKeyCardError,
    EvaluationRequest,
    EvaluationResponse,
    KeyShare,
    LyingShareError,
    WrongShareVersionError,
    blind,
    check_key_card,
    check_response,
    decode_request,
    decode_response,
    decode_shares,
    encode_request,
    encode_response,
    encode_shares,
    evaluate,
    unblind,
)

DICE = random.Random(11)
KEY = generate_key(threshold=2, holders=3, randomness=DICE.randbytes)
IDENTITIES = [Identity(IdentityKind.PASSPORT, f"GBR|{number:09d}") for number in range(3)]


def card_of(key: GeneratedKey, threshold: int = 2) -> KeyCard:
    holders = tuple(
        HolderCard(address=NodeAddress.parse(f"cn/{30 + index}"), index=index, share_public=public)
        for index, public in key.share_publics.items()
    )
    return KeyCard(epoch=1, share_version=1, threshold=threshold, public=key.public, holders=holders)


def share_of(key: GeneratedKey, index: int) -> KeyShare:
    return KeyShare(epoch=1, version=1, index=index, secret=key.shares[index])


def ask(key: GeneratedKey, indexes: tuple[int, ...]) -> list[str]:
    blinded = blind(IDENTITIES, DICE.randbytes)
    request = EvaluationRequest(epoch=1, version=1, elements=list(blinded.elements))
    responses = {}
    for index in indexes:
        response = decode_response(encode_response(evaluate(share_of(key, index), request, DICE.randbytes)))
        check_response(request, response, card_of(key).holders[index - 1])
        responses[index] = response
    return [str(name.pseudonym) for name in unblind(blinded, responses, epoch=1)]


def test_any_two_of_three_holders_in_any_order_make_the_same_pseudonyms() -> None:
    answers = {tuple(ask(KEY, pair)) for pair in permutations((1, 2, 3), 2)}

    assert len(answers) == 1
    assert all(re.fullmatch("[a-z2-7]{26}", pseudonym) for pseudonym in answers.pop())


def test_one_holder_alone_makes_something_else() -> None:
    assert ask(KEY, (1,)) != ask(KEY, (1, 2))


def test_a_refresh_keeps_every_pseudonym() -> None:
    fresh = refresh(KEY, threshold=2, randomness=DICE.randbytes)

    assert ask(fresh, (1, 3)) == ask(KEY, (2, 3))


def test_another_epoch_is_another_pseudonym() -> None:
    blinded = blind(IDENTITIES, DICE.randbytes)
    request = EvaluationRequest(epoch=1, version=1, elements=list(blinded.elements))
    responses = {index: evaluate(share_of(KEY, index), request, DICE.randbytes) for index in (1, 2)}

    first, second = (unblind(blinded, responses, epoch=epoch) for epoch in (1, 2))
    assert {name.pseudonym for name in first}.isdisjoint(name.pseudonym for name in second)
    assert {name.link.raw for name in first}.isdisjoint(name.link.raw for name in second)


def request_and_answer() -> tuple[EvaluationRequest, EvaluationResponse]:
    request = EvaluationRequest(epoch=1, version=1, elements=list(blind(IDENTITIES, DICE.randbytes).elements))
    return request, evaluate(share_of(KEY, 2), request, DICE.randbytes)


@pytest.mark.parametrize(
    "lie",
    [
        {"index": 1},
        {"epoch": 2},
        {"elements": []},
        {"elements": [bytes(32)] * 3},
        {"elements": [b"\xff" * 32] * 3},
        {"proof": bytes(64)},
        {"proof": b"short"},
    ],
)
def test_a_lying_or_malformed_answer_names_its_holder(lie: dict[str, object]) -> None:
    request, honest = request_and_answer()

    with pytest.raises(LyingShareError, match=r"cn/32 \(share 2\)") as caught:
        check_response(request, msgspec.structs.replace(honest, **lie), card_of(KEY).holders[1])

    assert caught.value.index == 2


def test_elements_swapped_inside_a_batch_are_a_lie() -> None:
    request, honest = request_and_answer()
    swapped = msgspec.structs.replace(honest, elements=honest.elements[::-1])

    with pytest.raises(LyingShareError):
        check_response(request, swapped, card_of(KEY).holders[1])


def test_an_answer_with_another_share_is_a_lie() -> None:
    request, _honest = request_and_answer()
    other = KeyShare(epoch=1, version=1, index=2, secret=KEY.shares[3])

    with pytest.raises(LyingShareError):
        check_response(request, evaluate(other, request, DICE.randbytes), card_of(KEY).holders[1])


def test_a_request_for_other_shares_is_refused() -> None:
    request, _answer = request_and_answer()

    with pytest.raises(WrongShareVersionError):
        evaluate(share_of(KEY, 1), msgspec.structs.replace(request, version=2), DICE.randbytes)


def test_the_key_card_must_lead_to_the_pinned_key() -> None:
    card = card_of(KEY)
    check_key_card(card)
    other = generate_key(threshold=2, holders=3, randomness=DICE.randbytes)
    for position in range(3):
        holders = list(card.holders)
        holders[position] = HolderCard(
            address=holders[position].address, index=position + 1, share_public=other.share_publics[position + 1]
        )
        with pytest.raises(BadKeyCardError):
            check_key_card(KeyCard(epoch=1, share_version=1, threshold=2, public=KEY.public, holders=tuple(holders)))


def test_holders_see_nothing_that_repeats() -> None:
    """The same person asked twice is two unrelated elements to every holder."""
    first, second = (blind(IDENTITIES, DICE.randbytes).elements for _ in range(2))

    assert set(first).isdisjoint(second)


@given(raw=st.binary(max_size=200))
def test_garbage_on_the_wire_is_an_exchange_error(raw: bytes) -> None:
    for decode in (decode_request, decode_response, decode_shares):
        with pytest.raises(ExchangeError):
            decode(raw)


def test_messages_and_shares_read_back() -> None:
    request, answer = request_and_answer()

    assert decode_request(encode_request(request)) == request
    assert decode_response(encode_response(answer)) == answer
    assert decode_shares(encode_shares([share_of(KEY, 1), share_of(KEY, 2)])) == (share_of(KEY, 1), share_of(KEY, 2))
    assert "hidden" in repr(IDENTITIES[0])


def test_three_of_five_needs_three() -> None:
    key = generate_key(threshold=3, holders=5, randomness=DICE.randbytes)
    assert len({tuple(ask(key, chosen)) for chosen in combinations(range(1, 6), 3)}) == 1
    assert ask(key, (1, 2)) != ask(key, (1, 2, 3))

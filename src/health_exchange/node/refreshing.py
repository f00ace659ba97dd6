"""New shares of the same pseudonym key: every holder deals zero to every holder, each adds up what it got.

The nation carries the dealings, sealed to their receivers and signed by their dealers; it learns nothing and can change
nothing. A holder keeps its new share beside the one in use. Only when all new shares are seen to lead to the same key
does the nation publish their public halves; until then, and if anything fails, everything goes on with the old ones.

Source: Herzberg et al. 1995, by ``pseudonym.dealing``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec

from health_exchange.crypto.signatures import SignatureMismatchError, VerifyingKeys, sign, verify
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard, KeyCard, KeyUse, NodeCard
from health_exchange.model.errors import Category, ExchangeError, ForbiddenError, UnavailableError
from health_exchange.model.secrecy import Secret
from health_exchange.node.journal import log, node_journal
from health_exchange.node.keyholding import NoKeyShareError
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.letters import about as letter_about
from health_exchange.protocol.letters import open_letter, seal_letter
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.pseudonym.dealing import FalsePieceError, add_pieces, check_piece, deal
from health_exchange.pseudonym.group import Element, decode_element, decode_scalar, multiply_base
from health_exchange.pseudonym.threshold import KeyShare, WrongShareVersionError, check_key_card

DEAL_PATH = "/exchange/v1/shares/deal"
TAKE_PATH = "/exchange/v1/shares/take"
_M = TypeVar("_M", bound=msgspec.Struct)
CONTEXT = b"health-exchange share dealing v1"


class BadRefreshError(ExchangeError):
    """Not a message of a refresh."""

    category = Category.INCORRECT
    code = "bad-refresh"


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Please deal.

    Attributes:
        round_id: Names the attempt.
        epoch: Of the key.
        version: Of the shares in use.
    """

    round_id: str
    epoch: int
    version: int


class Dealt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a holder deals: an encoded ``DealtPieces`` and the holder's signature under it."""

    body: bytes
    signature: bytes


class DealtPieces(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dealing of zero as it travels.

    Attributes:
        request: What it answers.
        index: The dealer's.
        commitments: As many as the threshold; the first is ``None``, which stands for zero.
        letters: The pieces by receiver's index, each sealed to its receiver.
    """

    request: RefreshRequest
    index: int
    commitments: list[bytes | None]
    letters: dict[int, bytes]


class Taking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All dealings of one round."""

    request: RefreshRequest
    dealings: list[Dealt]


class Taken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public half of the new share, which is durable."""

    share_public: bytes


async def answer_deal(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """This holder's dealing of zero; raises as :func:`_share_for`."""
    request = _decoded(raw, RefreshRequest)
    share = _share_for(parts, request, sender)
    key = parts.directory.key
    dealing = deal(
        0, threshold=key.threshold, indexes=[each.index for each in key.holders], randomness=parts.randomness
    )
    letters = {
        holder.index: seal_letter(
            parts.directory.nodes[holder.address].box_key,
            dealing.pieces[holder.index].raw,
            about=_about(request, share.index, holder.index),
            randomness=parts.randomness,
        )
        for holder in key.holders
    }
    body = msgspec.msgpack.encode(
        DealtPieces(request=request, index=share.index, commitments=list(dealing.commitments), letters=letters)
    )
    await _note(parts, "deal-shares", request, sender)
    return msgspec.msgpack.encode(Dealt(body=body, signature=sign(parts.keys.signing, body, context=CONTEXT)))


async def answer_take(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """Add all dealings to this holder's share, and keep the sum beside it.

    Raises:
        FalsePieceError: A dealing is missing, is not its dealer's, deals anything but zero, or a piece does not fit.
        ExchangeError: As :func:`_share_for`.
    """
    taking = _decoded(raw, Taking)
    share = _share_for(parts, taking.request, sender)
    pieces = await asyncio.to_thread(_pieces, parts, taking, share)
    renewed = KeyShare(
        epoch=share.epoch, version=share.version + 1, index=share.index, secret=add_pieces([share.secret, *pieces])
    )
    await asyncio.to_thread(parts.membership.keep_share, renewed)
    await _note(parts, "take-share", taking.request, sender)
    return msgspec.msgpack.encode(Taken(share_public=multiply_base(decode_scalar(renewed.secret.raw))))


Send = Callable[[NodeAddress, str, bytes], Awaitable[PeerAnswer]]
"""Asks a holder as the nation: address, path, body."""


async def refresh_shares(key: KeyCard, round_id: str, send: Send) -> KeyCard:
    """The card of new shares of the same key, which all holders have kept; nobody asks by it yet.

    Raises:
        UnavailableError: A holder does not take part; everything goes on as before.
        BadKeyCardError: The new shares do not lead to the key; as above.
    """
    request = RefreshRequest(round_id=round_id, epoch=key.epoch, version=key.share_version)
    asked = msgspec.msgpack.encode(request)
    dealings = await asyncio.gather(*(_ask(send, holder, DEAL_PATH, asked, Dealt) for holder in key.holders))
    taking = msgspec.msgpack.encode(Taking(request=request, dealings=list(dealings)))
    taken = await asyncio.gather(*(_ask(send, holder, TAKE_PATH, taking, Taken) for holder in key.holders))
    renewed = KeyCard(
        epoch=key.epoch,
        share_version=key.share_version + 1,
        threshold=key.threshold,
        public=key.public,
        holders=tuple(
            HolderCard(address=holder.address, index=holder.index, share_public=each.share_public)
            for holder, each in zip(key.holders, taken, strict=True)
        ),
    )
    check_key_card(renewed)
    return renewed


async def _ask(send: Send, holder: HolderCard, path: str, body: bytes, want: type[_M]) -> _M:
    """One holder's answer."""
    try:
        answer = await send(holder.address, path, body)
        problem = "" if answer.is_ok else f"status {answer.status}"
    except ExchangeError as error:
        answer, problem = None, error.detail
    if answer is None or problem:
        raise UnavailableError(f"key holder {holder.address} takes no part ({problem}); nothing has changed")
    return _decoded(answer.body, want)


def _share_for(parts: NodeParts, request: RefreshRequest, sender: NodeAddress) -> KeyShare:
    """The share that is to be renewed.

    Raises:
        ForbiddenError: The sender is not the nation.
        NoKeyShareError: This node keeps none.
        WrongShareVersionError: The request is not about the newest shares.
    """
    if sender.parent is not None:
        raise ForbiddenError("the nation alone has shares renewed")
    key, share = parts.directory.key, parts.membership.share(request.epoch, request.version)
    if share is None:
        raise NoKeyShareError(f"{parts.address} keeps no share of the pseudonym key")
    wanted = (request.epoch, request.version)
    if wanted != (key.epoch, key.share_version) or wanted != (share.epoch, share.version):
        raise WrongShareVersionError(f"shares of version {key.share_version} are to be renewed here, no others")
    return share


def _pieces(parts: NodeParts, taking: Taking, share: KeyShare) -> list[Secret]:
    """What every holder has dealt to this one, checked."""
    holders = {holder.index: holder.address for holder in parts.directory.key.holders}
    pieces: dict[int, Secret] = {}
    for dealt in taking.dealings:
        pieces_of = _decoded(dealt.body, DealtPieces)
        dealer = holders.get(pieces_of.index)
        if dealer is None or pieces_of.request != taking.request or pieces_of.index in pieces:
            raise FalsePieceError("a dealing is of nobody, of another round, or there twice")
        _check_signature(parts, dealt, parts.directory.nodes[dealer])
        pieces[pieces_of.index] = _piece(parts, pieces_of, share.index)
    if pieces.keys() != holders.keys():
        raise FalsePieceError(f"{len(pieces)} of {len(holders)} holders have dealt: it takes all of them")
    return list(pieces.values())


def _check_signature(parts: NodeParts, dealt: Dealt, dealer: NodeCard) -> None:
    """Raise ``FalsePieceError`` unless the dealer has signed."""
    for key in dealer.keys_at(KeyUse.SIGNING, parts.clock.now()):
        try:
            verify(VerifyingKeys.from_bytes(key), dealt.body, dealt.signature, context=CONTEXT)
        except SignatureMismatchError:
            continue
        return
    raise FalsePieceError(f"a dealing is not signed by {dealer.address}")


def _piece(parts: NodeParts, dealt: DealtPieces, index: int) -> Secret:
    """The piece for this holder, once it is seen to be one of a dealing of zero."""
    threshold = parts.directory.key.threshold
    if len(dealt.commitments) != threshold or dealt.commitments[0] is not None or index not in dealt.letters:
        raise FalsePieceError(f"holder {dealt.index} does not deal zero to all")
    commitments: list[Element | None] = [None if raw is None else decode_element(raw) for raw in dealt.commitments]
    letter = dealt.letters[index]
    piece = Secret(open_letter(parts.keys.boxes, letter, about=_about(dealt.request, dealt.index, index)))
    check_piece(commitments, index, piece)
    return piece


def _about(request: RefreshRequest, dealer: int, receiver: int) -> bytes:
    """What a piece's letter is bound to."""
    return letter_about("share-piece", request.round_id, request.epoch, request.version, dealer, receiver)


async def _note(parts: NodeParts, action: str, request: RefreshRequest, sender: NodeAddress) -> None:
    """Enter it in the log."""
    summary = f"epoch {request.epoch}, from share version {request.version}"
    entry = node_journal(parts, kind="keys", action=action, peer=str(sender), summary=summary)
    await parts.store.write(partial(log, entry=entry))


def _decoded(raw: bytes, want: type[_M]) -> _M:
    """A message; raises ``BadRefreshError``."""
    try:
        return msgspec.msgpack.decode(raw, type=want)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise BadRefreshError("not a message of a refresh of shares")

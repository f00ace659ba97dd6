"""Pseudonyms from t of n key holders: blind, ask, check each answer's proof, combine.

A client blinds its identities once and sends the same batch to t holders. Each holder multiplies by its share and
proves it against its published share key, so that a lying or broken holder is named. Lagrange weights and the
blinding's inverse are one multiplication per holder and identity. The pseudonym is the output of the RFC's Finalize,
taken through HKDF with the epoch: 128 bits in base32.

Source: RFC 9497 for evaluation and proofs; DESIGN.md, "Pseudonyms".
"""

from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from health_exchange.model.directory import HolderCard, KeyCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.pseudonym import oprf
from health_exchange.pseudonym.dealing import interpolate, lagrange
from health_exchange.pseudonym.group import (
    ORDER,
    Element,
    add,
    decode_element,
    decode_scalar,
    hash_to_element,
    invert,
    multiply,
    multiply_base,
    random_scalar,
)
from health_exchange.pseudonym.identities import Identity

ELEMENTS_MAX = 1000
"""Most identities of one request."""
MESSAGE_BYTES_MAX = 64 << 10
PSEUDONYM_BYTES = 16
PSEUDONYM_CHARACTERS = 26
LINK_BYTES = 32

_M = TypeVar("_M", bound=msgspec.Struct)
_GROUP_DST = b"HashToGroup-" + oprf.context(oprf.Mode.VOPRF)


class MalformedEvaluationError(ExchangeError):
    """Not an evaluation request or response, or beyond its bounds."""

    category = Category.INCORRECT
    code = "malformed-evaluation"


class WrongShareVersionError(ExchangeError):
    """The request names another epoch or share version than this holder's."""

    category = Category.CONFLICT
    code = "wrong-share-version"


class LyingShareError(ExchangeError):
    """A holder's answer is malformed or its proof does not hold; it names the holder.

    Attributes:
        index: Which holder.
    """

    category = Category.CONFLICT
    code = "lying-share"

    def __init__(self, detail: str, *, index: int) -> None:
        super().__init__(detail)
        self.index = index


class BadKeyCardError(ExchangeError):
    """The published share keys do not lead to the pinned public key."""

    category = Category.INCORRECT
    code = "bad-key-card"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyShare:
    """One holder's share of the pseudonym key."""

    epoch: int
    version: int
    index: int
    secret: Secret


class EvaluationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Blinded elements for one holder.

    Attributes:
        epoch: Of the key.
        version: Of the shares.
        elements: 1 to ``ELEMENTS_MAX`` blinded elements.
    """

    epoch: int
    version: int
    elements: list[bytes]


class EvaluationResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One holder's answer.

    Attributes:
        index: Of the holder's share.
        epoch: Of the key.
        version: Of the shares.
        elements: The request's elements times the share, in order.
        proof: That they are, for the whole batch.
    """

    index: int
    epoch: int
    version: int
    elements: list[bytes]
    proof: bytes


class _KeptShare(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A share as its holder keeps it."""

    epoch: int
    version: int
    index: int
    secret: bytes


class _ShareFile(_KeptShare, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The newest share and those before it that somebody may still ask for."""

    former: list[_KeptShare] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What the exchange calls a person, to those who had the identity evaluated.

    Attributes:
        pseudonym: What travels.
        link: A key that never travels: whoever has it has seen the identity (``pseudonym.binding``).
    """

    pseudonym: Pseudonym
    link: Secret


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Blinded:
    """A batch on its way: what is sent, and what undoes the blinding."""

    inputs: tuple[bytes, ...]
    elements: tuple[Element, ...]
    blindings: tuple[int, ...]


def blind(identities: Sequence[Identity], randomness: Randomness) -> Blinded:
    """Blind a batch; one multiplication an identity."""
    inputs = tuple(identity.oprf_input for identity in identities)
    blindings = tuple(random_scalar(randomness) for _ in inputs)
    elements = tuple(
        multiply(blinding, element_of(identity)) for identity, blinding in zip(identities, blindings, strict=True)
    )
    return Blinded(inputs=inputs, elements=elements, blindings=blindings)


def element_of(identity: Identity) -> Element:
    """The identity as a group element: what is blinded. Whoever has it can try out identities against it."""
    return hash_to_element(identity.oprf_input, _GROUP_DST)


def evaluate(share: KeyShare, request: EvaluationRequest, randomness: Randomness) -> EvaluationResponse:
    """This holder's answer; two multiplications an element.

    Raises:
        WrongShareVersionError: The request is for another key or other shares.
        BadElementError: One of its elements is none.
    """
    if (request.epoch, request.version) != (share.epoch, share.version):
        raise WrongShareVersionError(
            f"this holder keeps epoch {share.epoch} version {share.version} of the pseudonym key"
        )
    blinded = [decode_element(raw) for raw in request.elements]
    key = decode_scalar(share.secret.raw)
    evaluated = oprf.evaluate(key, blinded)
    proof = oprf.prove(key, multiply_base(key), blinded, evaluated, random_scalar(randomness))
    return EvaluationResponse(
        index=share.index,
        epoch=share.epoch,
        version=share.version,
        elements=list(evaluated),
        proof=proof.encode(),
    )


def check_response(request: EvaluationRequest, response: EvaluationResponse, holder: HolderCard) -> None:
    """Check a holder's answer against its published share key; two multiplications an element.

    Raises:
        LyingShareError: It is not the answer of this holder to this request.
    """
    problem = ""
    if response.index != holder.index or (response.epoch, response.version) != (request.epoch, request.version):
        problem = "answers for another share"
    elif len(response.elements) != len(request.elements) or len(response.proof) != oprf.PROOF_BYTES:
        problem = "answers another number of elements"
    else:
        try:
            oprf.verify(
                decode_element(holder.share_public),
                [Element(raw) for raw in request.elements],
                [decode_element(raw) for raw in response.elements],
                oprf.Proof.decode(response.proof),
            )
        except ExchangeError as error:
            problem = f"does not prove its answer ({error.code})"
    if problem:
        raise LyingShareError(f"key holder {holder.address} (share {holder.index}) {problem}", index=holder.index)


def unblind(blinded: Blinded, responses: Mapping[int, EvaluationResponse], *, epoch: int) -> list[Name]:
    """The batch's names from exactly t checked answers; t multiplications an identity.

    Args:
        blinded: As sent.
        responses: By holder index, checked.
        epoch: Of the key.
    """
    weights = lagrange(list(responses))
    names = []
    for position, (given, blinding) in enumerate(zip(blinded.inputs, blinded.blindings, strict=True)):
        inverse = invert(blinding)
        total: Element | None = None
        for index, response in responses.items():
            term = multiply(weights[index] * inverse % ORDER, Element(response.elements[position]))
            total = term if total is None else add(total, term)
        if total is None:
            raise MalformedEvaluationError("no holder has answered")
        names.append(name_of(oprf.finalize(given, total), epoch))
    return names


def name_of(output: bytes, epoch: int) -> Name:
    """The name behind an OPRF output."""
    pseudonym = _derived(output, b"pseudonym", epoch, PSEUDONYM_BYTES)
    return Name(
        pseudonym=Pseudonym(b32encode(pseudonym).decode()[:PSEUDONYM_CHARACTERS].lower()),
        link=Secret(_derived(output, b"link", epoch, LINK_BYTES)),
    )


def _derived(output: bytes, what: bytes, epoch: int, length: int) -> bytes:
    """Key material from an OPRF output, apart for each use."""
    info = b"health-exchange " + what + b" epoch " + str(epoch).encode()
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(output)


def check_key_card(card: KeyCard) -> None:
    """Check that every t published share keys lead to the pinned public key.

    Enough to check: the first t do, and each further holder together with t - 1 of them does.

    Raises:
        BadKeyCardError: They do not, an index occurs twice, or there are fewer holders than the threshold.
        BadElementError: A published key is no group element.
    """
    points = {holder.index: decode_element(holder.share_public) for holder in card.holders}
    public = decode_element(card.public)
    indexes = sorted(points)
    if len(points) != len(card.holders) or len(points) < card.threshold or card.threshold < 1 or indexes[0] < 1:
        raise BadKeyCardError("the key card's holders do not fit its threshold")
    fixed = indexes[: card.threshold - 1]
    for index in indexes[card.threshold - 1 :]:
        if interpolate({each: points[each] for each in [*fixed, index]}) != public:
            raise BadKeyCardError(f"the share key of holder {index} does not lead to the pinned public key")


def encode_request(request: EvaluationRequest) -> bytes:
    """The request as it travels."""
    return msgspec.msgpack.encode(request)


def decode_request(raw: bytes) -> EvaluationRequest:
    """Read a request; raises ``MalformedEvaluationError``. Its elements are checked when they are used."""
    request = _decode(raw, EvaluationRequest)
    if not 1 <= len(request.elements) <= ELEMENTS_MAX:
        raise MalformedEvaluationError(f"a request has 1 to {ELEMENTS_MAX} elements")
    return request


def encode_response(response: EvaluationResponse) -> bytes:
    """The response as it travels."""
    return msgspec.msgpack.encode(response)


def decode_response(raw: bytes) -> EvaluationResponse:
    """Read a response; raises ``MalformedEvaluationError``."""
    return _decode(raw, EvaluationResponse)


def encode_shares(shares: Sequence[KeyShare]) -> bytes:
    """Shares as their holder keeps them, at least one, the newest first. Secret."""
    newest, *former = [
        _KeptShare(epoch=each.epoch, version=each.version, index=each.index, secret=each.secret.raw) for each in shares
    ]
    return msgspec.json.encode(_ShareFile(**msgspec.structs.asdict(newest), former=former))


def decode_shares(raw: bytes) -> tuple[KeyShare, ...]:
    """Read kept shares, the newest first; raises ``MalformedEvaluationError``."""
    try:
        file = msgspec.json.decode(raw, type=_ShareFile)
    except (msgspec.MsgspecError, ValueError):
        file = None
    if file is None:
        raise MalformedEvaluationError("the key share's file cannot be read")
    for each in (file, *file.former):
        decode_scalar(each.secret)
    return tuple(
        KeyShare(epoch=each.epoch, version=each.version, index=each.index, secret=Secret(each.secret))
        for each in (file, *file.former)
    )


def _decode(raw: bytes, kind: type[_M]) -> _M:
    """``raw`` as one of the two messages."""
    if len(raw) <= MESSAGE_BYTES_MAX:
        try:
            return msgspec.msgpack.decode(raw, type=kind)
        except (msgspec.MsgspecError, ValueError):
            pass
    raise MalformedEvaluationError("not an evaluation message")

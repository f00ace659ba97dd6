"""Letters of look-ups at a node: opened on arrival, sealed on leaving, under one request id."""

from typing import TypeVar

import msgspec

from health_exchange.audit.wording import printable
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import RETRYABLE, Category, ExchangeError, ForbiddenError, UnavailableError
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.letters import ANSWER_BYTES_MAX, UnreadableLetterError, open_letter, seal_letter
from health_exchange.protocol.lookups import Sealed, letter_about
from health_exchange.telemetry.trace import is_request_id, note

_M = TypeVar("_M", bound=msgspec.Struct)
_ANSWER = "/answer"


class PeerRefusedError(ExchangeError):
    """A peer refuses what it is asked in a look-up; ``detail`` says why, in its words.

    Attributes:
        by_policy: Whether its policy refuses, not only this message.
    """

    category = Category.FORBIDDEN
    code = "peer-refused"

    def __init__(self, detail: str, *, by_policy: bool) -> None:
        super().__init__(detail)
        self.by_policy = by_policy


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What of a peer's refusal is read."""

    category: str = ""
    code: str = "unknown"
    detail: str = ""


async def ask_peer(  # the parts of a letter and of its answer
    parts: NodeParts,
    peer: NodeAddress,
    path: str,
    kind: str,
    request_id: str,
    message: msgspec.Struct,
    want: type[_M],
    *,
    timeout_s: float | None = None,
) -> _M:
    """What a peer answers to a sealed message, within the deadline of a look-up unless another one is given.

    Raises:
        UnavailableError: It does not answer within the deadline.
        PeerRefusedError: It refuses, and why.
        UnreadableLetterError: It answers something else.
    """
    about = letter_about(kind, sender=parts.address, recipient=peer, request_id=request_id)
    box_key = parts.directory.nodes[peer].box_key
    letter = seal_letter(box_key, msgspec.msgpack.encode(message), about=about, randomness=parts.randomness)
    body = msgspec.msgpack.encode(Sealed(request_id=request_id, letter=letter))
    deadline_s = parts.limits.holder_deadline_s if timeout_s is None else timeout_s
    reply = await parts.transport.send(peer, "POST", path, body, timeout_s=deadline_s)
    if not reply.is_ok:
        raise _refusal(peer, reply.body)
    about = letter_about(kind + _ANSWER, sender=peer, recipient=parts.address, request_id=request_id)
    return _decoded(open_letter(parts.keys.boxes, reply.body, about=about, bytes_max=ANSWER_BYTES_MAX), want)


def open_request(parts: NodeParts, raw: bytes, sender: NodeAddress, kind: str, want: type[_M]) -> tuple[str, _M]:
    """A peer's sealed message and its request id; raises ``UnreadableLetterError``."""
    sealed = _decoded(raw, Sealed)
    if is_request_id(sealed.request_id):
        note(ticket=sealed.request_id)
    about = letter_about(kind, sender=sender, recipient=parts.address, request_id=sealed.request_id)
    return sealed.request_id, _decoded(open_letter(parts.keys.boxes, sealed.letter, about=about), want)


def seal_answer(parts: NodeParts, recipient: NodeAddress, kind: str, request_id: str, message: msgspec.Struct) -> bytes:
    """The answer to a peer's sealed message."""
    about = letter_about(kind + _ANSWER, sender=parts.address, recipient=recipient, request_id=request_id)
    box_key = parts.directory.nodes[recipient].box_key
    return seal_letter(box_key, msgspec.msgpack.encode(message), about=about, randomness=parts.randomness)


def _refusal(peer: NodeAddress, raw: bytes) -> ExchangeError:
    """A peer's refusal in its words."""
    try:
        refusal = msgspec.json.decode(raw, type=_Refusal)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        refusal = _Refusal()
    detail = f"{printable(refusal.detail[:300])} [{printable(refusal.code[:64])}]"
    if refusal.category in {"", *RETRYABLE, Category.FAULT}:
        return UnavailableError(f"{peer} cannot answer now: {detail}")
    return PeerRefusedError(detail, by_policy=refusal.code == ForbiddenError.code)


def _decoded(raw: bytes, want: type[_M]) -> _M:
    """``raw`` as a message."""
    try:
        return msgspec.msgpack.decode(raw, type=want)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise UnreadableLetterError("not a message of a look-up")

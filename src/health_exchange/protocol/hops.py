"""Who is asking: every request between nodes is signed by its sender, for its receiver, now.

TLS keeps strangers off the line; the signature says which node speaks, and survives a proxy that ends TLS. The receiver
must also refuse a nonce it has seen within twice the allowed skew: ``hop_nonce`` gives it.

The key also signs checkpoints and cosignatures; each kind of message starts with a first line of its own.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from health_exchange.crypto.signatures import is_signed_by, sign_ed25519
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyUse, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.instants import read_instant, write_instant

SENDER = "x-exchange-sender"
RECIPIENT = "x-exchange-recipient"
AT = "x-exchange-at"
NONCE = "x-exchange-nonce"
SIGNATURE = "x-exchange-signature"
REQUEST_ID = "x-request-id"
"""Names the request in logs of both nodes. Not signed: nothing is decided by it."""
NONCE_BYTES = 16
SKEW_S = 300

_FIRST_LINE = b"health_exchange hop v1\n"
_NONCE = re.compile(r"[0-9a-f]{32}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")


class UnsignedHopError(ExchangeError):
    """The request's hop headers are missing or cannot be read."""

    category = Category.UNAUTHENTICATED
    code = "hop-unsigned"


class HopStrangerError(ExchangeError):
    """The sender is not in the directory."""

    category = Category.UNAUTHENTICATED
    code = "hop-stranger"


class HopSignatureError(ExchangeError):
    """The named sender did not sign this request."""

    category = Category.UNAUTHENTICATED
    code = "hop-signature"


class MisdirectedHopError(ExchangeError):
    """The request was signed for another node."""

    category = Category.FORBIDDEN
    code = "hop-misdirected"


class ClockSkewError(ExchangeError):
    """Sender's and receiver's clocks differ too much, or the request is old."""

    category = Category.UNAUTHENTICATED
    code = "clock-skew"


def sign_hop(
    method: str,
    path: str,
    body: bytes,
    *,
    sender: NodeAddress,
    recipient: NodeAddress,
    at: datetime,
    nonce: bytes,
    seed: Secret,
) -> dict[str, str]:
    """Headers that authenticate one request.

    Args:
        method: As in HTTP.
        path: With its query string.
        body: Whole.
        sender: Us.
        recipient: Whose door it is for.
        at: Now.
        nonce: 16 bytes, never used before.
        seed: Our log seed.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a hop's nonce is {NONCE_BYTES} bytes")
    headers = {SENDER: str(sender), RECIPIENT: str(recipient), AT: write_instant(at), NONCE: nonce.hex()}
    return headers | {SIGNATURE: sign_ed25519(seed, _message(method, path, body, headers)).hex()}


def verify_hop(  # noqa: PLR0913  # the parts of a request, and what it is judged by
    headers: Mapping[str, str],
    method: str,
    path: str,
    body: bytes,
    *,
    recipient: NodeAddress,
    cards: Mapping[NodeAddress, NodeCard],
    now: datetime,
    skew_s: float = SKEW_S,
    even_former: bool = False,
) -> NodeAddress:
    """Who sent the request. The caller still has to refuse a repeated ``hop_nonce``.

    Args:
        headers: Lower-case names. Untrusted, as are ``method``, ``path`` and ``body``.
        method: As received.
        path: As received, with its query string.
        body: Whole.
        recipient: Us.
        cards: Everybody we know.
        now: By our clock.
        skew_s: How far the sender's instant may lie from ours.
        even_former: Whether a key will do whose time is over: for what is no secret among nodes.

    Raises:
        UnsignedHopError: Headers missing or unreadable.
        HopStrangerError: Sender not among ``cards``.
        HopSignatureError: Not signed by it, or changed since.
        MisdirectedHopError: Signed for another node.
        ClockSkewError: Signed more than ``skew_s`` from now.
    """
    sender, at = _claims(headers)
    card = cards.get(sender)
    if card is None:
        raise HopStrangerError("the sender is not in the directory")
    signature = bytes.fromhex(headers[SIGNATURE])
    keys = card.all_keys(KeyUse.LOG) if even_former else card.keys_at(KeyUse.LOG, now)
    if not is_signed_by(keys, _message(method, path, body, headers), signature):
        raise HopSignatureError("the request is not signed by its sender")
    if headers[RECIPIENT] != str(recipient):
        raise MisdirectedHopError("the request is signed for another node")
    skew = (at - now).total_seconds()
    if abs(skew) > skew_s:
        raise ClockSkewError(f"the sender's clock is {skew:+.0f} s from ours, {skew_s:g} s are allowed")
    return sender


def hop_nonce(headers: Mapping[str, str]) -> bytes:
    """The 16 bytes to remember per sender; call after ``verify_hop``."""
    return bytes.fromhex(headers[NONCE])


def _claims(headers: Mapping[str, str]) -> tuple[NodeAddress, datetime]:
    """Sender and instant as the headers claim them."""
    texts = [headers.get(name, "") for name in (SENDER, RECIPIENT, AT, NONCE, SIGNATURE)]
    try:
        if _NONCE.fullmatch(texts[3]) and _SIGNATURE.fullmatch(texts[4]):
            NodeAddress.parse(texts[1])
            return NodeAddress.parse(texts[0]), read_instant(texts[2])
    except ValueError:
        pass
    raise UnsignedHopError("a request between nodes carries readable hop headers")


def _message(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """What is signed; JSON quotes every part, so none can run into the next."""
    parts = [method, path, sha256(body).hexdigest(), *(headers[name] for name in (SENDER, RECIPIENT, AT, NONCE))]
    return _FIRST_LINE + msgspec.json.encode(parts)

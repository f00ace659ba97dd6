"""Tickets: that t key holders know of a look-up, and have entered it in their logs, before anybody answers it.

A ticket is made in the very evaluation that makes the pseudonym: the asking node says who asks, why and when, and sends
it with the one blinded identity; each key holder enters it in its log, then answers, and signs for the entry. Whoever
is asked checks the signatures with public keys only. A ticket is about one blinded element, so that who knows the
identity and the blinding can tell which person it is for; nobody else can (``pseudonym.binding``).

Source: DESIGN.md, promise 4.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated

import msgspec

from health_exchange.crypto.signatures import is_signed_by, sign_ed25519
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyUse, NetworkDirectory, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.instants import read_instant, write_instant

LIFETIME = timedelta(minutes=5)
RECEIPTS_MAX = 16
Word = Annotated[str, msgspec.Meta(max_length=128)]
"""A name, code or instant on the wire."""
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_FIRST_LINE = b"health_exchange ticket receipt v1\n"


class MalformedTicketError(ExchangeError):
    """Not a ticket."""

    category = Category.INCORRECT
    code = "malformed-ticket"


class ForgedTicketError(ExchangeError):
    """Fewer than t key holders have signed for the look-up as it is claimed."""

    category = Category.FORBIDDEN
    code = "ticket-forged"


class StaleTicketError(ExchangeError):
    """The ticket is older than five minutes, or from the future."""

    category = Category.FORBIDDEN
    code = "ticket-stale"


class SpentTicketError(ExchangeError):
    """The ticket was used here before."""

    category = Category.FORBIDDEN
    code = "ticket-spent"


class RetargetedTicketError(ExchangeError):
    """The ticket is for another node or another person than it is used for."""

    category = Category.FORBIDDEN
    code = "ticket-retargeted"


class TicketClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who looks up, why, and when: what key holders sign for.

    Attributes:
        request_id: Names the look-up; used once.
        node: Address of the asking node, which answers for the rest.
        practitioner: Who asks, as registered there.
        kind: Kind of principal.
        organization: Unified social credit code of its organisation.
        purpose: PurposeOfUse code.
        reason_sha256: Of the reason in words, in hex; empty where none is given.
        at: Instant of the request.
        epoch: Of the pseudonym key.
        version: Of its shares.
        element: The blinded identity.
    """

    request_id: Word
    node: Word
    practitioner: Word
    kind: Word
    organization: Word
    purpose: Word
    reason_sha256: Word
    at: Word
    epoch: int
    version: int
    element: Digest


class LogReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key holder's word that the look-up stands in its log.

    Attributes:
        holder: Its address.
        leaf: Commitment of the entry, 32 bytes: an auditor finds it in the log or proves that the holder lied.
        at: When it was entered.
        signature: The holder's log key under claims, holder, leaf and instant.
    """

    holder: Word
    leaf: Digest
    at: Word
    signature: Annotated[bytes, msgspec.Meta(max_length=64)]


class Ticket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Claims with the receipts of t distinct key holders."""

    claims: TicketClaims
    receipts: Annotated[tuple[LogReceipt, ...], msgspec.Meta(max_length=RECEIPTS_MAX)]


class TicketRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key holder is asked: to evaluate the claims' one element."""

    claims: TicketClaims


class TicketAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it answers: an encoded evaluation, and its receipt."""

    evaluation: Annotated[bytes, msgspec.Meta(max_length=4096)]
    receipt: LogReceipt


def reason_digest(reason: str) -> str:
    """What stands for a reason where its words are not needed; empty for none."""
    return sha256(reason.encode()).hexdigest() if reason else ""


def claims_digest(claims: TicketClaims) -> str:
    """What stands for a look-up as it was claimed, in hex."""
    return sha256(msgspec.json.encode(claims)).hexdigest()


def sign_receipt(claims: TicketClaims, *, holder: NodeAddress, leaf: bytes, at: datetime, seed: Secret) -> LogReceipt:
    """A key holder's receipt for an entry that is durable."""
    instant = write_instant(at)
    signature = sign_ed25519(seed, _message(claims, str(holder), leaf, instant))
    return LogReceipt(holder=str(holder), leaf=leaf, at=instant, signature=signature)


def verify_receipt(
    claims: TicketClaims, receipt: LogReceipt, cards: Mapping[NodeAddress, NodeCard], now: datetime
) -> NodeAddress:
    """Whose receipt for ``claims`` it is.

    Raises:
        StaleTicketError: It was not made lately.
        ForgedTicketError: Its holder is unknown, or did not sign it for these claims.
    """
    _check_age(receipt.at, now)
    try:
        holder = NodeAddress.parse(receipt.holder)
        message = _message(claims, receipt.holder, receipt.leaf, receipt.at)
        if is_signed_by(cards[holder].keys_at(KeyUse.LOG, now), message, receipt.signature):
            return holder
    except (ValueError, KeyError):
        pass
    raise ForgedTicketError("a receipt is not signed by the key holder it names")


def verify_ticket(ticket: Ticket, *, sender: NodeAddress, directory: NetworkDirectory, now: datetime) -> TicketClaims:
    """The claims, once t key holders of the directory are seen to have signed for them, lately, for ``sender``.

    The caller still has to spend the ticket, and to check whom it is for.

    Raises:
        RetargetedTicketError: It was made for another node.
        StaleTicketError: It is older than :data:`LIFETIME`, for another key, or from the future.
        ForgedTicketError: Fewer than t distinct key holders signed for it.
    """
    claims = ticket.claims
    cards = {(key.epoch, key.share_version): key for key in directory.keys_at(now)}
    key = cards.get((claims.epoch, claims.version))
    if claims.node != str(sender):
        raise RetargetedTicketError("the ticket was made for another node")
    if key is None:
        raise StaleTicketError("the ticket was made with another pseudonym key")
    _check_age(claims.at, now)
    known = {holder.address for holder in key.holders}
    signed = {verify_receipt(claims, receipt, directory.nodes, now) for receipt in ticket.receipts} & known
    if len(signed) < key.threshold:
        raise ForgedTicketError(f"{len(signed)} key holders have signed for the ticket, it takes {key.threshold}")
    return claims


def _check_age(text: str, now: datetime) -> None:
    """Raise unless an instant of an untrusted message lies within a ticket's life."""
    try:
        age = abs(now - read_instant(text))
    except ValueError:
        age = None
    if age is None:
        raise MalformedTicketError("a ticket's instant cannot be read")
    if age > LIFETIME:
        raise StaleTicketError(f"a ticket is good for {LIFETIME.total_seconds():.0f} s")


def _message(claims: TicketClaims, holder: str, leaf: bytes, at: str) -> bytes:
    """What is signed: JSON quotes every part, so none can run into the next."""
    return _FIRST_LINE + msgspec.json.encode([claims_digest(claims), holder, leaf.hex(), at])

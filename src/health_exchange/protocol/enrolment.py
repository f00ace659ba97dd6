"""Asking for a card in the directory, and giving it: a new node, or one that has new keys.

The node makes its keys itself and asks with their public halves, signed by the new verifying key; a node that has a
card already signs with the key in use too. Who is to be let in is a decision of people: they compare the request's
fingerprint by another way than it came.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

import msgspec

from health_exchange.crypto.boxes import PUBLIC_BYTES as BOX_BYTES
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import (
    ED25519_PUBLIC_BYTES,
    SignatureMismatchError,
    SigningKeys,
    VerifyingKeys,
    ed25519_public,
    sign,
    verify,
)
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import FormerKey, KeyUse, NetworkDirectory, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power, Tier

CONTEXT = b"health-exchange membership request v1"
REQUEST_BYTES_MAX = 64 << 10
HOST = re.compile(r"[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
NAME_CHARACTERS_MAX = 100
DEPTHS = {Tier.PROVINCE: {2}, Tier.CITY: {3}, Tier.COUNTY: {3, 4}, Tier.ATTACHED: {2, 3, 4}}
"""How deep a node of each tier may lie. The nation is not among them: nobody lets it in."""


class BadMembershipRequestError(ExchangeError):
    """Not a request for a card, or one that cannot be granted."""

    category = Category.INCORRECT
    code = "bad-membership-request"


class UnprovenRequestError(ExchangeError):
    """The request is not by whom it says."""

    category = Category.FORBIDDEN
    code = "unproven-membership-request"


class MembershipRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The card that a node asks for, and a certificate with it.

    Attributes:
        address: Its place.
        tier: Its rank.
        name: What people call it.
        exchange_url: Door for peers.
        fhir_url: Door for facilities and readers.
        verifying_key: Its newest keys, as on a ``NodeCard``.
        box_key: As above.
        log_key: As above.
        certificate_request: PKCS #10, PEM; empty where it needs no certificate.
    """

    address: str
    tier: Tier
    name: str
    exchange_url: str
    fhir_url: str
    verifying_key: bytes
    box_key: bytes
    log_key: bytes
    certificate_request: str = ""


class _Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request as it travels; ``by_known`` is empty for a new node."""

    request: bytes
    signature: bytes
    by_known: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRequest:
    """A request whose signature by its new key holds.

    Attributes:
        request: What is asked.
        address: For whom.
        fingerprint: To be compared by another way than it came, in hex.
    """

    request: MembershipRequest
    address: NodeAddress
    fingerprint: str
    _body: bytes
    _by_known: bytes

    def check_known(self, card: NodeCard, at: datetime) -> None:
        """Check that the node which has ``card`` asks for this; raises ``UnprovenRequestError``."""
        for key in card.keys_at(KeyUse.SIGNING, at):
            if _holds(VerifyingKeys.from_bytes(key), self._body, self._by_known):
                return
        raise UnprovenRequestError(f"the request is not signed by a key of {card.address} that is in use")


def make_request(
    card: NodeCard, keys: NodeKeys, *, certificate_request: bytes = b"", in_use: SigningKeys | None = None
) -> tuple[bytes, str]:
    """A request for ``card`` with the newest of ``keys``, as it travels; and its fingerprint.

    Args:
        card: Its place, names and doors; its keys are not looked at.
        keys: The node's.
        certificate_request: PEM; empty for none.
        in_use: What the node signs with now, where it has a card already.
    """
    body = msgspec.json.encode(
        MembershipRequest(
            address=str(card.address),
            tier=card.tier,
            name=card.name,
            exchange_url=card.exchange_url,
            fhir_url=card.fhir_url,
            verifying_key=keys.signing.public.raw,
            box_key=keys.box.public_raw,
            log_key=ed25519_public(keys.log_seed),
            certificate_request=certificate_request.decode(),
        )
    )
    signed = _Signed(
        request=body,
        signature=sign(keys.signing, body, context=CONTEXT),
        by_known=sign(in_use, body, context=CONTEXT) if in_use else b"",
    )
    return msgspec.json.encode(signed), print_of(body)


def open_request(raw: bytes) -> OpenedRequest:
    """The request in ``raw``; untrusted but for its own signature.

    Raises:
        BadMembershipRequestError: It is none, or asks for what no node can have.
        UnprovenRequestError: Its new key did not sign it.
    """
    signed, request, address = _read(raw)
    if problem := _problem(request, address):
        raise BadMembershipRequestError(problem)
    if not _holds(VerifyingKeys.from_bytes(request.verifying_key), signed.request, signed.signature):
        raise UnprovenRequestError("the request is not signed by the verifying key it brings")
    return OpenedRequest(
        request=request,
        address=address,
        fingerprint=print_of(signed.request),
        _body=signed.request,
        _by_known=signed.by_known,
    )


Witnesses = Callable[[NodeAddress], tuple[NodeAddress, ...]]
"""Who shall cosign a new node's log."""


def grant(
    directory: NetworkDirectory, opened: OpenedRequest, *, at: datetime, overlap: timedelta, witnesses: Witnesses
) -> NetworkDirectory:
    """The next directory: with the new node, or with a known node's new keys and names; the same one if that is so.

    Args:
        directory: The present one.
        opened: What is asked.
        at: Now.
        overlap: How long a known node goes on with the keys it has, so that all others learn of the new ones first.
        witnesses: For a new node.

    Raises:
        BadMembershipRequestError: The node cannot be where it wants to be, or its keys are another node's.
        UnprovenRequestError: A known node did not sign the request.
    """
    known = directory.nodes.get(opened.address)
    _check_place(directory, opened, known)
    if known is not None and _asks_for_what_it_has(known, opened.request):
        return directory
    if known is None:
        card = _new_card(opened, witnesses(opened.address))
    else:
        opened.check_known(known, at)
        card = _renewed_card(known, opened.request, at=at, until=at + overlap)
    return replace(directory, nodes={**directory.nodes, opened.address: card}, serial=directory.serial + 1)


def _check_place(directory: NetworkDirectory, opened: OpenedRequest, known: NodeCard | None) -> None:
    """Raise unless the tree has the place that is asked for, and nobody else the keys."""
    request, address = opened.request, opened.address
    parent = directory.nodes.get(address.parent) if address.parent else None
    problem = ""
    if known is None and (parent is None or not parent.may(Power.RELAYS)):
        problem = f"{address} has no node above it that takes envelopes: {address.parent or 'nothing'}"
    elif known is None and len(address.segments) not in DEPTHS.get(request.tier, set()):
        problem = f"a node of tier {request.tier} does not lie at {address}"
    elif known is not None and request.tier != known.tier:
        problem = f"{address} is of tier {known.tier}, which new keys do not change"
    brought = {request.verifying_key, request.box_key, request.log_key}
    others = (card for card in directory.nodes.values() if card.address != address)
    if not problem and any(brought & set(card.all_keys(use)) for card in others for use in KeyUse):
        problem = "a key in the request is another node's"
    if problem:
        raise BadMembershipRequestError(problem)


def _asks_for_what_it_has(known: NodeCard, request: MembershipRequest) -> bool:
    """Whether the request was granted before, or is for a certificate alone."""
    return (known.name, known.exchange_url, known.fhir_url, known.verifying_key, known.box_key, known.log_key) == (
        request.name, request.exchange_url, request.fhir_url,
        request.verifying_key, request.box_key, request.log_key,
    )  # fmt: skip


def _new_card(opened: OpenedRequest, witnesses: tuple[NodeAddress, ...]) -> NodeCard:
    request = opened.request
    return NodeCard(
        address=opened.address,
        tier=request.tier,
        name=request.name,
        verifying_key=request.verifying_key,
        box_key=request.box_key,
        log_key=request.log_key,
        exchange_url=request.exchange_url,
        fhir_url=request.fhir_url,
        witnesses=witnesses,
    )


def _renewed_card(known: NodeCard, request: MembershipRequest, *, at: datetime, until: datetime) -> NodeCard:
    """The card with its new keys; one that is still waiting for its time gives way to them at once."""
    brought = {
        KeyUse.SIGNING: request.verifying_key,
        KeyUse.SEALING: request.box_key,
        KeyUse.LOG: request.log_key,
    }
    followed = [
        FormerKey(use=use, key=known.all_keys(use)[0], until=until)
        for use, key in brought.items()
        if key != known.all_keys(use)[0]
    ]
    if any(key in known.all_keys(use)[1:] for use, key in brought.items()):
        raise BadMembershipRequestError(f"the request of {known.address} brings back a key that was replaced")
    if any(former.until > at for former in known.former for each in followed if former.use is each.use):
        raise BadMembershipRequestError(f"{known.address} has not begun to use the keys it asked for last time")
    return replace(
        known,
        name=request.name,
        exchange_url=request.exchange_url,
        fhir_url=request.fhir_url,
        verifying_key=request.verifying_key,
        box_key=request.box_key,
        log_key=request.log_key,
        former=(*known.former, *followed),
    )


def _read(raw: bytes) -> tuple[_Signed, MembershipRequest, NodeAddress]:
    """The file's parts; raises ``BadMembershipRequestError``."""
    try:
        signed = msgspec.json.decode(raw[:REQUEST_BYTES_MAX], type=_Signed)
        request = msgspec.json.decode(signed.request, type=MembershipRequest)
        return signed, request, NodeAddress.parse(request.address)
    except (msgspec.MsgspecError, ValueError):
        pass
    raise BadMembershipRequestError("the file is no request for membership")


def _problem(request: MembershipRequest, address: NodeAddress) -> str:
    """What is wrong with what is asked; empty for nothing. Raises ``MalformedKeyError`` too."""
    VerifyingKeys.from_bytes(request.verifying_key)
    if len(request.box_key) != BOX_BYTES or len(request.log_key) != ED25519_PUBLIC_BYTES:
        return "a key in the request has the wrong length"
    if not 0 < len(request.name.strip()) <= NAME_CHARACTERS_MAX or not request.name.isprintable():
        return f"the name of {address} is not 1 to {NAME_CHARACTERS_MAX} printable characters"
    for url in (request.exchange_url, request.fhir_url):
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.port is None or parts.path.strip("/"):
            return "a door is https://host:port, without a path"
        if not HOST.fullmatch(parts.hostname):
            return "the host of a door is one name or address, without wildcards"
    return ""


def _holds(keys: VerifyingKeys, body: bytes, signature: bytes) -> bool:
    try:
        verify(keys, body, signature, context=CONTEXT)
    except SignatureMismatchError:
        return False
    return True


def hosts_of(exchange_url: str, fhir_url: str) -> frozenset[str]:
    """The hosts of a node's doors."""
    return frozenset(str(urlsplit(url).hostname) for url in (exchange_url, fhir_url))


def print_of(raw: bytes) -> str:
    """The fingerprint that people compare: 128 bits of SHA-256, in groups they can read aloud."""
    digits = sha256(raw).hexdigest()[:32]
    return "-".join(digits[at : at + 4] for at in range(0, 32, 4))

"""A known node's side of changing its certificate or its public keys, as files.

What is new is made here and lies beside what is in use until the nation has granted it; ``request.json`` is all that
leaves. The running node takes a granted key when the directory says so, and an installed certificate at once.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from health_exchange.crypto.certificates import check_pair, request_certificate
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import SystemClock
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.membership import Membership
from health_exchange.protocol.enrolment import make_request
from health_exchange.wiring.directory_files import newest_directory
from health_exchange.wiring.files import replace_file, write_new
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.settings import Settings, read_named


class NothingAskedError(ExchangeError):
    """An answer without a question."""

    category = Category.CONFLICT
    code = "nothing-asked"


class StillWaitingError(ExchangeError):
    """What was asked for last time is not in use yet."""

    category = Category.CONFLICT
    code = "still-waiting"


class MissingKeysError(ExchangeError):
    """The key file lacks a key that the directory names."""

    category = Category.INCORRECT
    code = "missing-keys"


def ask_for_certificate(settings: Settings, *, request: Path) -> None:
    """Make a new private key beside the one in use, and write the request for its certificate.

    Raises:
        StillWaitingError: A key is waiting for its certificate already.
    """
    waiting = _waiting_key(settings)
    if waiting.exists():
        raise StillWaitingError(f"{waiting} waits for its certificate; remove it to ask anew")
    asked = request_certificate(settings.address)
    card, in_use = _standing(settings)
    granted = _granted(card, KeyFile(settings.keys).now())
    raw, _fingerprint = make_request(card, granted, certificate_request=asked.request, in_use=in_use.signing)
    write_new(waiting, asked.key)
    replace_file(request, raw)


def install_certificate(settings: Settings, *, answer: Path, now: datetime) -> datetime:
    """Put the granted certificate and its key in place of those in use; until when it is valid.

    Raises:
        NothingAskedError: No key waits for a certificate.
        BadCertificateError: It is not for that key, this node, now, or not by the network's authority.
    """
    waiting = _waiting_key(settings)
    if not waiting.exists():
        raise NothingAskedError(f"no key waits for a certificate: {waiting} is not there")
    certificate, key = read_named(str(answer / "certificate.pem")), waiting.read_bytes()
    until = check_pair(certificate, key, read_named(settings.authority), name=settings.address, now=now)
    replace_file(Path(settings.certificate_key), key)
    replace_file(Path(settings.certificate), certificate)
    waiting.unlink()
    return until


def ask_for_keys(settings: Settings, names: Sequence[str], *, request: Path) -> bool:
    """Add new keys to the key file and write the request for a card with them; ``False`` where some wait already.

    Where keys wait for the nation already, the request for those is written again and no more are made.

    Args:
        settings: The node's.
        names: Which, as ``NodeKeys.renewed`` names them.
        request: Where to write it.

    Raises:
        StillWaitingError: Keys that were granted are not in use yet.
        KeysBusyError: Another command is at these keys.
    """
    file = KeyFile(settings.keys)
    with file.locked():
        card, in_use = _standing(settings)
        present = file.now()
        granted = _granted(card, present)
        waits = (present.signing, present.box, present.log_seed) != (granted.signing, granted.box, granted.log_seed)
        if not waits and granted.signing is not in_use.signing:
            raise StillWaitingError("keys that were granted last time are not in use yet: wait until they are")
        renewed = present if waits else present.renewed(names, os.urandom)
        raw, _fingerprint = make_request(card, renewed, in_use=in_use.signing)
        # First the keys: a request for keys that were lost would be granted for nothing.
        file.replace(renewed)
        replace_file(request, raw)
    return not waits


def _standing(settings: Settings) -> tuple[NodeCard, NodeKeys]:
    """This node's card in the newest directory it knows, and the keys that are in use by it."""
    store = open_store(settings)
    try:
        signed = store.read_now(lambda tx: newest_directory(settings, tx))
    finally:
        store.close()
    membership = Membership(
        address=NodeAddress.parse(settings.address),
        nation=VerifyingKeys.from_bytes(settings.nation_key),
        signed=signed,
        keys=KeyFile(settings.keys).now(),
        clock=SystemClock(),
    )
    return membership.card, membership.keys


def _granted(card: NodeCard, keys: NodeKeys) -> NodeKeys:
    """The newest keys that the directory names, in front."""
    found = keys.with_publics(verifying_key=card.verifying_key, box_key=card.box_key, log_key=card.log_key)
    if found is None:
        raise MissingKeysError(f"the key file lacks a key that the directory names for {card.address}")
    return found


def _waiting_key(settings: Settings) -> Path:
    """Where a private key waits for its certificate."""
    path = Path(settings.certificate_key)
    return path.with_name(f"{path.name}.next")

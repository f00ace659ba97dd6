"""A known node's side of changing its certificate or its public keys, as files.

What is new is made here and lies beside what is in use until the nation has granted it; ``request.json`` is all that
leaves. The running node takes a granted key when the directory says so, and an installed certificate at once.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from health_exchange.crypto.boxes import key_id
from health_exchange.crypto.certificates import check_pair, request_certificate
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import VerifyingKeys, ed25519_public
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.directory import KeyUse, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power
from health_exchange.model.secrecy import Secret
from health_exchange.node.membership import Membership, last_box
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


def ask_for_certificate(settings: Settings, *, request: Path, clock: Clock) -> None:
    """Make a new private key beside the one in use, and write the request for its certificate.

    Raises:
        StillWaitingError: A key is waiting for its certificate already.
    """
    waiting = _waiting_key(settings)
    if waiting.exists():
        raise StillWaitingError(f"{waiting} waits for its certificate; remove it to ask anew")
    asked = request_certificate(settings.address)
    card, in_use = _standing(settings, clock)
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


def ask_for_keys(settings: Settings, names: Sequence[str], *, request: Path, clock: Clock) -> bool:
    """Add new keys to the key file and write the request for a card with them; ``False`` where all wait already.

    Keys that wait for the nation already are asked for again, and not made anew.

    Args:
        settings: The node's.
        names: Which, as ``NodeKeys.renewed`` names them.
        request: Where to write it.
        clock: Tells which keys are in use.

    Raises:
        StillWaitingError: Keys that were granted are not in use yet.
        FileBusyError: Another command is at these keys.
    """
    file = KeyFile(settings.keys)
    with file.locked():
        card, in_use = _standing(settings, clock)
        present = file.now()
        granted = _granted(card, present)
        if _seeds(granted) != _seeds(in_use):
            raise StillWaitingError("keys that were granted last time are not in use yet: wait until they are")
        before, now = _seeds(granted), _seeds(present)
        fresh = [name for name in names if now[name] == before[name]]
        renewed = present.renewed(fresh, os.urandom)
        raw, _fingerprint = make_request(card, renewed, in_use=in_use.signing)
        # First the keys: a request for keys that were lost would be granted for nothing.
        file.replace(renewed)
        replace_file(request, raw)
    return bool(fresh)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What became of the keys that others have followed.

    Attributes:
        destroyed: How many have left the key file.
        kept: Why the others have not, a sentence each.
    """

    destroyed: int
    kept: tuple[str, ...]


def forget_keys(settings: Settings, *, clock: Clock) -> Forgotten:
    """Destroy the former private keys that nothing needs any more.

    A key that signs is needed for as long as the directory says; one that others seal to, until every origin whose
    envelopes reach this node has sealed one to the newest.

    Raises:
        FileBusyError: Another command is at these keys.
    """
    file = KeyFile(settings.keys)
    with file.locked():
        card, _in_use = _standing(settings, clock)
        present = file.now()
        needs = partial(_need, card, nation_key=settings.nation_key, now=clock.now())
        signing = {each: needs(KeyUse.SIGNING, each.public.raw) for each in present.former.signing}
        log_seed = {each: needs(KeyUse.LOG, ed25519_public(each)) for each in present.former.log_seed}
        box = {each: needs(KeyUse.SEALING, each.public_raw) for each in present.former.box}
        awaited = _awaited(settings, card) if any(not why for why in box.values()) else ""
        box = {each: why or awaited for each, why in box.items()}
        whys = [*signing.values(), *log_seed.values(), *box.values()]
        if not all(whys):
            file.replace(
                present.keeping(
                    signing=tuple(each for each, why in signing.items() if why),
                    log_seed=tuple(each for each, why in log_seed.items() if why),
                    box=tuple(each for each, why in box.items() if why),
                )
            )
    return Forgotten(destroyed=whys.count(""), kept=tuple(dict.fromkeys(why for why in whys if why)))


def _need(card: NodeCard, use: KeyUse, public: bytes, *, nation_key: bytes, now: datetime) -> str:
    """Why a former key is still needed; empty where the directory does not say so."""
    if use is KeyUse.SIGNING and public == nation_key:
        return "a signing key signs directories: every node's settings pin it"
    if public == card.all_keys(use)[0] or public not in card.all_keys(use):
        return f"a {use} key is in use: the one after it is not granted yet"
    if public in card.keys_at(use, now):
        until = next(each.until for each in card.former if each.key == public)
        return f"a {use} key is used until {until:%Y-%m-%d %H:%M:%S} UTC, and accepted for a while after"
    return ""


def _awaited(settings: Settings, card: NodeCard) -> str:
    """Why something sealed to an earlier box key may still be under way; empty where nothing is."""
    newest = key_id(card.box_key)
    store = open_store(settings)
    try:
        nodes = store.read_now(lambda tx: newest_directory(settings, tx)).directory.nodes.values()
        below = [each for each in nodes if each.address != card.address and card.address.contains(each.address)]
        origins = [each.address for each in below if each.may(Power.ADMITS_FACILITIES)]
        waiting = [str(each) for each in origins if store.read_now(partial(last_box, origin=each)) != newest]
    finally:
        store.close()
    if not waiting:
        return ""
    return f"a sealing key may be needed: nothing sealed to the new one has come yet from {', '.join(waiting)}"


def _standing(settings: Settings, clock: Clock) -> tuple[NodeCard, NodeKeys]:
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
        clock=clock,
    )
    return membership.card, membership.keys


def _granted(card: NodeCard, keys: NodeKeys) -> NodeKeys:
    """The newest keys that the directory names, in front."""
    found = keys.with_publics(verifying_key=card.verifying_key, box_key=card.box_key, log_key=card.log_key)
    if found is None:
        raise MissingKeysError(f"the key file lacks a key that the directory names for {card.address}")
    return found


def _seeds(keys: NodeKeys) -> dict[str, Secret]:
    """What tells keys from others, by name."""
    return {"signing": keys.signing.seed, "box": keys.box.seed, "log_seed": keys.log_seed}


def _waiting_key(settings: Settings) -> Path:
    """Where a private key waits for its certificate."""
    path = Path(settings.certificate_key)
    return path.with_name(f"{path.name}.next")

"""The two sides of letting a node in, as files: the node's folder with its request, the nation's answer to it.

FOLDER/request.json  node.toml  keys.json  certificate.key  clients.json     on the node's side; only the first leaves
ANSWER/certificate.pem  network/…     what is public, and the certificate, on the nation's; to be copied into it
"""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from health_exchange.crypto.certificates import Issued, issue_requested, request_certificate
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import SigningKeys, VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.randomness import Randomness
from health_exchange.protocol.directories import OldDirectoryError, SignedDirectory, make_directory, open_directory
from health_exchange.protocol.enrolment import OpenedRequest, grant, hosts_of, make_request, open_request, print_of
from health_exchange.wiring.directory_files import (
    directory_lock,
    newest_directory,
    publish_directory,
    read_directory_files,
)
from health_exchange.wiring.files import write_new
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.network_folder import settings_text
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.settings import Settings, read_named


class UnsuitableFolderError(ExchangeError):
    """A folder cannot be written as asked."""

    category = Category.INCORRECT
    code = "unsuitable-folder"


class NotTheNationError(ExchangeError):
    """Only the nation makes directories."""

    category = Category.FORBIDDEN
    code = "not-the-nation"


class WrongFingerprintError(ExchangeError):
    """The request is not the one whose fingerprint was told."""

    category = Category.FORBIDDEN
    code = "wrong-fingerprint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """What became of a request.

    Attributes:
        card: The node's, as it is in the directory now.
        serial: The directory's number.
        is_new: Whether this made a new directory.
    """

    card: NodeCard
    serial: int
    is_new: bool


def prepare_node(
    card: NodeCard, *, network: Path, folder: Path, host: str, database: str, randomness: Randomness
) -> tuple[str, str]:
    """Write a new node's folder with its request; the fingerprints of request and of the nation's key.

    Args:
        card: Place, names and doors; its keys are made here.
        network: What the nation publishes: ``nation.key``, the directory and its signature.
        folder: Made here.
        host: Address to listen on.
        database: The node's database, as in its settings.
        randomness: For its keys.

    Raises:
        UnsuitableFolderError: ``folder`` exists already.
        ExchangeError: What the nation publishes cannot be used, or the request could not be granted.
    """
    nation = _nation_key(network)
    open_directory(
        read_named(str(network / "directory.json")), read_named(str(network / "directory.sig")), nation=nation
    )
    keys, certificate = NodeKeys.generate(randomness), request_certificate(str(card.address))
    raw, fingerprint = make_request(card, keys, certificate_request=certificate.request)
    open_request(raw)
    _make(folder)
    settings = settings_text(card, host, nation.raw, network="network", database=database)
    for name, content in (
        ("keys.json", keys.to_json()),
        ("certificate.key", certificate.key),
        ("clients.json", b"[]"),
        ("node.toml", settings.encode()),
        ("request.json", raw),
    ):
        write_new(folder / name, content)
    return fingerprint, print_of(nation.raw)


def admit_node(
    settings: Settings,
    raw: bytes,
    *,
    fingerprint: str,
    authority_key: Path,
    answer: Path,
    now: datetime,
    overlap: timedelta,
    days: int,
) -> Admitted:
    """Grant a request, publish the next directory beside the nation's node, and write the answer.

    Args:
        settings: The nation's.
        raw: The request. Untrusted.
        fingerprint: As the node's people tell it; may be empty for a node that is known, which signs for itself.
        authority_key: Private key of the network's certificate authority.
        answer: Folder to be copied into the node's; made here.
        now: Start of the certificate's validity.
        overlap: See ``protocol.enrolment.grant``.
        days: How long the certificate is valid.

    Raises:
        WrongFingerprintError: Another request, or none told for a new node.
        UnsuitableFolderError: ``answer`` exists already.
        ExchangeError: The request cannot be granted, or these settings are not the nation's.
    """
    opened = open_request(raw)
    authority = Issued(certificate=read_named(settings.authority), key=read_named(str(authority_key)))
    signing = nation_signing(settings)
    if answer.exists():
        raise UnsuitableFolderError(f"{answer} exists already")
    with directory_lock(settings):
        known = master_directory(settings)
        _check_told(known, opened, fingerprint)
        granted = grant(known.directory, opened, at=now, overlap=overlap, witnesses=_witnesses(known.directory, opened))
        certificate = _certificate(authority, opened, now=now, days=days)
        signed = known if granted is known.directory else make_directory(granted, signing)
        if signed is not known:
            publish_directory(settings, signed)
    _make(answer / "network")
    if certificate:
        write_new(answer / "certificate.pem", certificate)
    _write_public(answer / "network", signed, settings)
    return Admitted(card=signed.directory.nodes[opened.address], serial=signed.serial, is_new=signed is not known)


def master_directory(settings: Settings) -> SignedDirectory:
    """The nation's directory, from which the next one is made.

    Raises:
        OldDirectoryError: Its node has used a newer one: the file comes from a backup, and the next would be a fork.
    """
    filed = read_directory_files(settings)
    store = open_store(settings)
    try:
        newest = store.read_now(lambda tx: newest_directory(settings, tx))
    finally:
        store.close()
    if newest.serial > filed.serial:
        raise OldDirectoryError(
            f"{settings.directory} is number {filed.serial}, and the nation's node has used {newest.serial}: "
            "put the newest one in its place; `network directory` at any node writes it"
        )
    return filed


def write_public(settings: Settings, folder: Path) -> SignedDirectory:
    """Write what everybody may have: the newest directory this node knows, the authority, the nation's key.

    Raises:
        UnsuitableFolderError: ``folder`` exists already.
    """
    store = open_store(settings)
    try:
        signed = store.read_now(lambda tx: newest_directory(settings, tx))
    finally:
        store.close()
    _make(folder)
    _write_public(folder, signed, settings)
    return signed


def _write_public(folder: Path, signed: SignedDirectory, settings: Settings) -> None:
    """The public files, as new nodes and known ones find them."""
    write_new(folder / "authority.pem", read_named(settings.authority))
    write_new(folder / "nation.key", b64encode(settings.nation_key) + b"\n")
    write_new(folder / "directory.json", signed.raw)
    write_new(folder / "directory.sig", signed.signature)


def nation_signing(settings: Settings) -> SigningKeys:
    """The key that signs directories: the one that all settings pin, though the nation's node may have newer ones.

    Raises:
        NotTheNationError: It is not in the key set these settings name.
    """
    keys = NodeKeys.from_json(read_named(settings.keys))
    signing = keys.signing_key(settings.nation_key)
    if signing is None:
        raise NotTheNationError(f"{settings.keys} does not hold the key that signs directories")
    return signing


def _nation_key(network: Path) -> VerifyingKeys:
    """The key that signs directories, as the nation publishes it.

    Raises:
        UnsuitableFolderError: There is none.
    """
    path = network / "nation.key"
    try:
        return VerifyingKeys.from_bytes(b64decode(read_named(str(path)).strip(), validate=True))
    except ValueError:
        pass
    raise UnsuitableFolderError(f"{path} is no key in base64")


def _check_told(known: SignedDirectory, opened: OpenedRequest, fingerprint: str) -> None:
    """Raise unless the request is the one that people have spoken of; who is known and stays where it is need not.

    Where a node's doors are decides what its certificate is good for, so nobody moves by its signature alone.
    """
    if fingerprint and fingerprint != opened.fingerprint:
        raise WrongFingerprintError(f"the request's fingerprint is {opened.fingerprint}, another one was told")
    card = known.directory.nodes.get(opened.address)
    if not fingerprint and card is None:
        raise WrongFingerprintError("a new node is let in by the fingerprint that its people tell: --fingerprint")
    asked = hosts_of(opened.request.exchange_url, opened.request.fhir_url)
    if not fingerprint and card is not None and asked != hosts_of(card.exchange_url, card.fhir_url):
        raise WrongFingerprintError(
            "a node moves to other hosts by the fingerprint that its people tell: --fingerprint"
        )


def _witnesses(directory: NetworkDirectory, opened: OpenedRequest) -> Callable[[NodeAddress], tuple[NodeAddress, ...]]:
    """Who would cosign the log of the node that asks."""
    request = opened.request
    planned = [
        PlannedNode(
            address=card.address,
            tier=card.tier,
            name=card.name,
            exchange_url=card.exchange_url,
            fhir_url=card.fhir_url,
        )
        for card in directory.nodes.values()
        if card.address != opened.address
    ]
    asking = PlannedNode(
        address=opened.address,
        tier=request.tier,
        name=request.name,
        exchange_url=request.exchange_url,
        fhir_url=request.fhir_url,
    )
    plan = NetworkPlan(
        nodes=(*planned, asking),
        holders=tuple(holder.address for holder in directory.key.holders),
        threshold=directory.key.threshold,
    )
    return plan.witnesses


def _certificate(authority: Issued, opened: OpenedRequest, *, now: datetime, days: int) -> bytes:
    """The certificate that was asked for; empty where none was."""
    request = opened.request
    if not request.certificate_request:
        return b""
    hosts = sorted({*hosts_of(request.exchange_url, request.fhir_url), "localhost"})
    asked = request.certificate_request.encode()
    return issue_requested(authority, asked, str(opened.address), hosts, now=now, days=days)


def _make(folder: Path) -> None:
    """A new folder that only its owner enters."""
    problem = ""
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        problem = error.strerror or "cannot be made"
    if problem:
        raise UnsuitableFolderError(f"{folder}: {problem}")

"""The directory as it travels and is kept: JSON, signed by the nation, checked against the key that settings pin.

The bytes are passed on as they came. A release may add fields: an older one skips what it does not know and still
passes it on; what an older one must not skip gets a new ``format``, which it refuses by name, keeping what it has.
"""

from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from health_exchange.crypto.signatures import SigningKeys, VerifyingKeys, sign, verify
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import (
    FormerKey,
    FormerKeyCard,
    HolderCard,
    KeyCard,
    KeyUse,
    NetworkDirectory,
    NodeCard,
)
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.protocol.instants import read_instant, write_instant

CONTEXT = b"health-exchange directory v1"
FORMAT = 1


class UnreadableDirectoryError(ExchangeError):
    """The directory is not what the nation signed, or not a directory."""

    category = Category.INCORRECT
    code = "unreadable-directory"


class OldDirectoryError(ExchangeError):
    """A directory older than the one that is known already."""

    category = Category.CONFLICT
    code = "old-directory"


class ForkedDirectoryError(ExchangeError):
    """Two directories of one serial number, both signed by the nation."""

    category = Category.CONFLICT
    code = "forked-directory"


class _Former(msgspec.Struct, frozen=True, kw_only=True):
    """A ``FormerKey`` in JSON."""

    use: KeyUse
    key: bytes
    until: str


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    """A ``NodeCard`` in JSON; keys in base64."""

    address: str
    tier: Tier
    name: str
    verifying_key: bytes
    box_key: bytes
    log_key: bytes
    exchange_url: str
    fhir_url: str
    witnesses: list[str]
    former: list[_Former] = []


class _Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A ``HolderCard`` in JSON."""

    address: str
    index: int
    share_public: bytes


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    """A ``KeyCard`` that another one has followed, in JSON."""

    epoch: int
    share_version: int
    threshold: int
    public: bytes
    holders: list[_Holder]
    until: str


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; what was made before directories had numbers has the first one."""

    format: int = FORMAT
    serial: int = 1
    epoch: int
    share_version: int
    threshold: int
    public: bytes
    holders: list[_Holder]
    former_key: _Key | None = None
    nodes: list[_Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDirectory:
    """A directory with the bytes that the nation signed. Made by :func:`make_directory` or :func:`open_directory`.

    ``digest`` tells it from another of the same serial number, in hex.
    """

    raw: bytes
    signature: bytes
    directory: NetworkDirectory
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        # Once: a whole country's is megabytes, and peers ask for it all day.
        object.__setattr__(self, "digest", sha256(self.raw).hexdigest())

    @property
    def serial(self) -> int:
        """Its place among all directories."""
        return self.directory.serial


def make_directory(directory: NetworkDirectory, nation: SigningKeys) -> SignedDirectory:
    """The directory as the nation gives it out: JSON a person can read, and its signature."""
    raw = _encode(directory)
    return SignedDirectory(raw=raw, signature=sign(nation, raw, context=CONTEXT), directory=directory)


def _encode(directory: NetworkDirectory) -> bytes:
    key = directory.key
    file = _File(
        serial=directory.serial,
        epoch=key.epoch,
        share_version=key.share_version,
        threshold=key.threshold,
        public=key.public,
        holders=_holders(key),
        former_key=_former_key(directory.former_key),
        nodes=[_node(card) for card in directory.nodes.values()],
    )
    return msgspec.json.format(msgspec.json.encode(file))


def open_directory(raw: bytes, signature: bytes, *, nation: VerifyingKeys) -> SignedDirectory:
    """The directory, once the nation's signature under it holds; its key card is for the caller to check.

    Raises:
        SignatureMismatchError: The nation did not sign these bytes.
        UnreadableDirectoryError: It did, but they are no directory, or of a format this release does not know.
    """
    verify(nation, raw, signature, context=CONTEXT)
    problem = ""
    try:
        file = msgspec.json.decode(raw, type=_File)
        directory = _convert(file) if file.format == FORMAT else None
    except (msgspec.MsgspecError, ValueError) as error:
        directory, problem = None, str(error)
    if directory is None:
        raise UnreadableDirectoryError(
            f"the directory cannot be read: {problem}"
            if problem
            else f"this release reads directories of format {FORMAT}; upgrade the node"
        )
    return SignedDirectory(raw=raw, signature=signature, directory=directory)


def check_succession(known: SignedDirectory, shown: SignedDirectory) -> bool:
    """Whether ``shown`` takes the place of ``known``; ``False`` where it is the same.

    Raises:
        OldDirectoryError: It is older.
        ForkedDirectoryError: It has the same number and other bytes.
    """
    if shown.serial < known.serial:
        raise OldDirectoryError(f"directory {shown.serial} is older than {known.serial}, which is known here")
    if shown.serial == known.serial and shown.raw != known.raw:
        raise ForkedDirectoryError(f"the nation has signed two directories of number {known.serial}")
    return shown.serial > known.serial


def pack_directory(signed: SignedDirectory) -> bytes:
    """A signed directory in one piece."""
    return msgspec.msgpack.encode((signed.signature, signed.raw))


def unpack_directory(packed: bytes, *, nation: VerifyingKeys) -> SignedDirectory:
    """What was packed, checked as :func:`open_directory` does."""
    try:
        signature, raw = msgspec.msgpack.decode(packed, type=tuple[bytes, bytes])
    except (msgspec.MsgspecError, ValueError):
        signature = raw = b""
    if not raw:
        raise UnreadableDirectoryError("the bytes are no signed directory")
    return open_directory(raw, signature, nation=nation)


def _holders(key: KeyCard) -> list[_Holder]:
    return [
        _Holder(address=str(holder.address), index=holder.index, share_public=holder.share_public)
        for holder in key.holders
    ]


def _former_key(former: FormerKeyCard | None) -> _Key | None:
    if former is None:
        return None
    return _Key(
        epoch=former.card.epoch,
        share_version=former.card.share_version,
        threshold=former.card.threshold,
        public=former.card.public,
        holders=_holders(former.card),
        until=write_instant(former.until),
    )


def _key_card(file: _File | _Key) -> KeyCard:
    return KeyCard(
        epoch=file.epoch,
        share_version=file.share_version,
        threshold=file.threshold,
        public=file.public,
        holders=tuple(
            HolderCard(address=NodeAddress.parse(holder.address), index=holder.index, share_public=holder.share_public)
            for holder in file.holders
        ),
    )


def _node(card: NodeCard) -> _Node:
    return _Node(
        address=str(card.address),
        tier=card.tier,
        name=card.name,
        verifying_key=card.verifying_key,
        box_key=card.box_key,
        log_key=card.log_key,
        exchange_url=card.exchange_url,
        fhir_url=card.fhir_url,
        witnesses=[str(witness) for witness in card.witnesses],
        former=[_Former(use=each.use, key=each.key, until=write_instant(each.until)) for each in card.former],
    )


def _card(node: _Node) -> NodeCard:
    return NodeCard(
        address=NodeAddress.parse(node.address),
        tier=node.tier,
        name=node.name,
        verifying_key=node.verifying_key,
        box_key=node.box_key,
        log_key=node.log_key,
        exchange_url=node.exchange_url,
        fhir_url=node.fhir_url,
        witnesses=tuple(map(NodeAddress.parse, node.witnesses)),
        former=tuple(FormerKey(use=each.use, key=each.key, until=read_instant(each.until)) for each in node.former),
    )


def _convert(file: _File) -> NetworkDirectory:
    """The file's content in the vocabulary's types; raises ``ValueError`` where it does not fit together."""
    cards = {card.address: card for card in map(_card, file.nodes)}
    if len(cards) != len(file.nodes):
        raise ValueError("a node occurs twice")
    key = _key_card(file)
    kept = file.former_key
    former = FormerKeyCard(card=_key_card(kept), until=read_instant(kept.until)) if kept is not None else None
    holders = [holder.address for each in (key, *([former.card] if former else [])) for holder in each.holders]
    witnesses = [witness for card in cards.values() for witness in card.witnesses]
    parents = [card.address.parent for card in cards.values() if card.address.parent is not None]
    missing = next((each for each in [*parents, *witnesses, *holders] if each not in cards), None)
    if missing is not None:
        raise ValueError(f"{missing} is a parent, a witness or a key holder, and no node")
    return NetworkDirectory(nodes=cards, key=key, former_key=former, serial=file.serial)

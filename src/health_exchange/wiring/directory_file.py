"""The directory as a file: JSON, signed by the nation, checked against the nation's key that the settings pin."""

import msgspec

from health_exchange.crypto.signatures import SigningKeys, VerifyingKeys, sign, verify
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard, KeyCard, NetworkDirectory, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Tier

CONTEXT = b"health-exchange directory v1"


class UnreadableDirectoryError(ExchangeError):
    """The directory is not what the nation signed, or not a directory."""

    category = Category.INCORRECT
    code = "unreadable-directory"


class _Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class _Holder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ``HolderCard`` in JSON."""

    address: str
    index: int
    share_public: bytes


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    epoch: int
    share_version: int
    threshold: int
    public: bytes
    holders: list[_Holder]
    nodes: list[_Node]


def encode_directory(directory: NetworkDirectory) -> bytes:
    """The directory as JSON a person can read."""
    key = directory.key
    file = _File(
        epoch=key.epoch,
        share_version=key.share_version,
        threshold=key.threshold,
        public=key.public,
        holders=[
            _Holder(address=str(holder.address), index=holder.index, share_public=holder.share_public)
            for holder in key.holders
        ],
        nodes=[
            _Node(
                address=str(card.address),
                tier=card.tier,
                name=card.name,
                verifying_key=card.verifying_key,
                box_key=card.box_key,
                log_key=card.log_key,
                exchange_url=card.exchange_url,
                fhir_url=card.fhir_url,
                witnesses=[str(witness) for witness in card.witnesses],
            )
            for card in directory.nodes.values()
        ],
    )
    return msgspec.json.format(msgspec.json.encode(file))


def sign_directory(raw: bytes, nation: SigningKeys) -> bytes:
    """The nation's signature under the file's bytes."""
    return sign(nation, raw, context=CONTEXT)


def read_directory(raw: bytes, signature: bytes, *, nation: VerifyingKeys) -> NetworkDirectory:
    """The directory, once the nation's signature under it holds.

    Raises:
        SignatureMismatchError: The nation did not sign these bytes.
        UnreadableDirectoryError: It did, but they are no directory.
    """
    verify(nation, raw, signature, context=CONTEXT)
    problem = ""
    try:
        return _convert(msgspec.json.decode(raw, type=_File))
    except (msgspec.MsgspecError, ValueError) as error:
        problem = str(error)
    raise UnreadableDirectoryError(f"the directory cannot be read: {problem}")


def _convert(file: _File) -> NetworkDirectory:
    """The file's content in the vocabulary's types."""
    cards = [
        NodeCard(
            address=NodeAddress.parse(node.address),
            tier=node.tier,
            name=node.name,
            verifying_key=node.verifying_key,
            box_key=node.box_key,
            log_key=node.log_key,
            exchange_url=node.exchange_url,
            fhir_url=node.fhir_url,
            witnesses=tuple(map(NodeAddress.parse, node.witnesses)),
        )
        for node in file.nodes
    ]
    key = KeyCard(
        epoch=file.epoch,
        share_version=file.share_version,
        threshold=file.threshold,
        public=file.public,
        holders=tuple(
            HolderCard(address=NodeAddress.parse(holder.address), index=holder.index, share_public=holder.share_public)
            for holder in file.holders
        ),
    )
    return NetworkDirectory(nodes={card.address: card for card in cards}, key=key)

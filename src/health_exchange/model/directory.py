"""Who is in the network: each node's card, and who keeps shares of the pseudonym key.

Made once by the ceremony, signed by the nation, pinned in every node's settings. Keys are public bytes here; ``crypto``
gives them their types.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import POWERS, Power, Tier

_DIGITS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCard:
    """What every other node may know of a node.

    Attributes:
        address: Its place in the country.
        tier: Names its row in the table of powers.
        name: What people call it.
        verifying_key: Hybrid signature key (``crypto.signatures``).
        box_key: Where keys are wrapped to (``crypto.boxes``).
        log_key: 32 bytes of Ed25519 that sign its log's checkpoints and its cosignatures.
        exchange_url: Door for peers, mutual TLS.
        fhir_url: Door for facilities and readers.
        witnesses: Nodes that cosign its log.
    """

    address: NodeAddress
    tier: Tier
    name: str
    verifying_key: bytes
    box_key: bytes
    log_key: bytes
    exchange_url: str
    fhir_url: str
    witnesses: tuple[NodeAddress, ...] = ()

    def may(self, power: Power) -> bool:
        """Whether its tier has ``power``."""
        return power in POWERS[self.tier]

    @property
    def log_origin(self) -> str:
        """First line of its first log's checkpoints (C2SP tlog-checkpoint), and its name as a witness."""
        return f"health-exchange.example/{self.address}"

    def log_of(self, incarnation: int) -> str:
        """First line of the checkpoints of its log in one incarnation, 0 being the first."""
        return f"{self.log_origin}@{incarnation}" if incarnation else self.log_origin

    def incarnation_of(self, log: str) -> int | None:
        """The incarnation whose log is called ``log``; ``None`` where that is no log of this node."""
        _base, _, digits = log.partition("@")
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS_MAX else 0
        return number if log == self.log_of(number) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderCard:
    """One key holder: the node, the index of its share (from 1) and the public key of the share (32 bytes)."""

    address: NodeAddress
    index: int
    share_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCard:
    """The pseudonym key as everyone sees it.

    Attributes:
        epoch: Counts keys; part of every request and of the pseudonym's derivation.
        share_version: Counts refreshes of one key's shares.
        threshold: How many holders it takes.
        public: The joint public key the share keys must interpolate to, 32 bytes.
        holders: Who keeps shares.
    """

    epoch: int
    share_version: int
    threshold: int
    public: bytes
    holders: tuple[HolderCard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDirectory:
    """All nodes and the pseudonym key."""

    nodes: Mapping[NodeAddress, NodeCard]
    key: KeyCard

    def path_up(self, address: NodeAddress) -> tuple[NodeCard, ...]:
        """Cards of the nodes above ``address``, parent first."""
        return tuple(self.nodes[ancestor] for ancestor in address.ancestors)

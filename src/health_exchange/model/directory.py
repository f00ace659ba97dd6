"""Who is in the network: each node's card, and who keeps shares of the pseudonym key.

Signed by the nation, whose key every node's settings pin; each new one has the next serial number. Keys are public
bytes here; ``crypto`` gives them their types.

A key that is replaced stays on its card with the instant until which it is used: what it signed before stays
verifiable, and whoever learns of the new one in time is never surprised by it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import POWERS, Power, Tier

LEEWAY = timedelta(minutes=5)
"""How far clocks may lie apart: so much longer is a former key accepted than it is used."""
SHARE_LEEWAY = 3 * LEEWAY
"""How long former shares are kept after their time: two clocks and a ticket's life apart."""
_DIGITS_MAX = 12


class KeyUse(StrEnum):
    """What a node's public keys are for."""

    SIGNING = "signing"  # envelopes and receipts
    SEALING = "sealing"  # what is wrapped to the node
    LOG = "log"  # checkpoints, cosignatures, hops, tickets


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerKey:
    """A key that another one follows, and until when it is the one in use."""

    use: KeyUse
    key: bytes
    until: datetime


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
        former: Keys that the three above have followed or will follow, the oldest first.
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
    former: tuple[FormerKey, ...] = ()

    def may(self, power: Power) -> bool:
        """Whether its tier has ``power``."""
        return power in POWERS[self.tier]

    def key_in_use(self, use: KeyUse, at: datetime) -> bytes:
        """The key that the node itself uses at ``at``: a new one only once those before it have had their time."""
        waiting = (former.key for former in self.former if former.use is use and former.until > at)
        return next(waiting, self._newest(use))

    def keys_at(self, use: KeyUse, made_at: datetime) -> tuple[bytes, ...]:
        """Keys that may have made something at ``made_at``, the newest first."""
        former = (each.key for each in reversed(self.former) if each.use is use and each.until + LEEWAY >= made_at)
        return (self._newest(use), *former)

    def all_keys(self, use: KeyUse) -> tuple[bytes, ...]:
        """Every key it has had, the newest first: for what bears no instant."""
        return (self._newest(use), *(each.key for each in reversed(self.former) if each.use is use))

    def _newest(self, use: KeyUse) -> bytes:
        return {KeyUse.SIGNING: self.verifying_key, KeyUse.SEALING: self.box_key, KeyUse.LOG: self.log_key}[use]

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


def former_log_keys(cards: Iterable[NodeCard]) -> dict[str, list[bytes]]:
    """Keys that the cards' log keys have followed, by the log's name; nothing of those that have had one key only."""
    former = {card.log_origin: list(card.all_keys(KeyUse.LOG)[1:]) for card in cards}
    return {name: keys for name, keys in former.items() if keys}


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
class FormerKeyCard:
    """The pseudonym key's card that another one follows, and until when it is the one to ask by."""

    card: KeyCard
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkDirectory:
    """All nodes and the pseudonym key.

    Attributes:
        nodes: By address.
        key: The newest card of the pseudonym key.
        former_key: The card before it, where there was one.
        serial: Counts the directories that the nation has signed.
    """

    nodes: Mapping[NodeAddress, NodeCard]
    key: KeyCard
    former_key: FormerKeyCard | None = None
    serial: int = 1

    def key_in_use(self, at: datetime) -> KeyCard:
        """The card to ask key holders by at ``at``."""
        former = self.former_key
        return former.card if former is not None and former.until > at else self.key

    def keys_at(self, at: datetime) -> tuple[KeyCard, ...]:
        """Cards that somebody may still ask by at ``at``, the newest first."""
        former = self.former_key
        return (self.key, former.card) if former is not None and former.until + SHARE_LEEWAY >= at else (self.key,)

    def path_up(self, address: NodeAddress) -> tuple[NodeCard, ...]:
        """Cards of the nodes above ``address``, parent first."""
        return tuple(self.nodes[ancestor] for ancestor in address.ancestors)

"""What a node's use cases work with, handed to them by wiring.

A part that the node's tier has no power for is ``None``: the means are withheld, not merely unused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.directory import NetworkDirectory, NodeCard
from health_exchange.model.identifiers import StreamId
from health_exchange.model.randomness import Randomness
from health_exchange.node.membership import Membership
from health_exchange.node.premises import NOWHERE, Premises
from health_exchange.node.workers import Here, Workers
from health_exchange.policy.engine import PolicySet
from health_exchange.protocol.transport import PeerTransport
from health_exchange.pseudonym.threshold import KeyShare
from health_exchange.store.engine import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds an operator may set; each is refused or waited for beyond, never silently cut.

    Attributes:
        evaluations_per_day: Pseudonym evaluations the whole network grants one asking node a day; a holder's own
            quota follows from it (``pseudonym.quotas``).
        envelope_entries: Most changes in one envelope.
        envelope_bytes: Most bytes of resources in one envelope, before compression.
        peer_timeout_s: How long a peer may take to answer.
        holder_deadline_s: How long one node may take in a look-up, for which somebody waits.
        broken_glass_per_day: How often one practitioner may break the glass in a day.
    """

    evaluations_per_day: int = 200_000
    envelope_entries: int = 1000
    envelope_bytes: int = 4 << 20
    peer_timeout_s: float = 10.0
    holder_deadline_s: float = 0.6
    broken_glass_per_day: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """One node's place, keys, rules, memory and voice.

    Attributes:
        membership: What it is in the network now: directory, own card, keys, share.
        stream: The stream its own envelopes form, new for every incarnation.
        incarnation: This life of its database; 0 for the first (``store.incarnations``).
        workers: Compute what somebody waits for.
        background: Compute what may wait.
        divisions: Names of division codes, for people.
        premises: What it stands on.
    """

    membership: Membership
    stream: StreamId
    policies: PolicySet
    store: Store
    transport: PeerTransport
    clock: Clock
    randomness: Randomness
    workers: Workers = field(default_factory=Here)
    background: Workers = field(default_factory=Here)
    limits: Limits = field(default_factory=Limits)
    incarnation: int = 0
    divisions: Mapping[str, str] = field(default_factory=dict)
    premises: Premises = NOWHERE

    @property
    def address(self) -> NodeAddress:
        """Its place in the country."""
        return self.membership.address

    @property
    def log_origin(self) -> str:
        """The name of its log in this incarnation."""
        return self.card.log_of(self.incarnation)

    @property
    def card(self) -> NodeCard:
        """Its own card; ``card.may(power)`` decides what it does."""
        return self.membership.card

    @property
    def directory(self) -> NetworkDirectory:
        """All cards and the pseudonym key's card, as they are now."""
        return self.membership.directory

    @property
    def keys(self) -> NodeKeys:
        """Its private keys."""
        return self.membership.keys

    @property
    def share(self) -> KeyShare | None:
        """Its share of the pseudonym key that others ask by now, where it keeps one."""
        return self.membership.share_in_use

"""How a network comes into being: key sets, the pseudonym key without a dealer, the signed directory.

Pure but for what it is handed; ``network_folder`` writes the result. On one machine one process plays all holders; in
production each holder runs its part and only sealed pieces travel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import VerifyingKeys, ed25519_public
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard, KeyCard, NetworkDirectory, NodeCard
from health_exchange.model.randomness import Randomness
from health_exchange.protocol.directories import SignedDirectory, make_directory
from health_exchange.pseudonym.dealing import generate_key
from health_exchange.pseudonym.threshold import KeyShare
from health_exchange.wiring.plan import NetworkPlan

EPOCH = 1
SHARE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What the ceremony leaves: public the directory, each node's own the rest; and what was planned."""

    plan: NetworkPlan
    signed: SignedDirectory
    nation: VerifyingKeys
    keys: Mapping[NodeAddress, NodeKeys]
    shares: Mapping[NodeAddress, KeyShare]

    @property
    def directory(self) -> NetworkDirectory:
        """Number one."""
        return self.signed.directory


def hold_ceremony(plan: NetworkPlan, *, randomness: Randomness) -> Ceremony:
    """Keys for every node of ``plan`` and shares for its holders."""
    keys = {node.address: NodeKeys.generate(randomness) for node in plan.nodes}
    generated = generate_key(threshold=plan.threshold, holders=len(plan.holders), randomness=randomness)
    key = KeyCard(
        epoch=EPOCH,
        share_version=SHARE_VERSION,
        threshold=plan.threshold,
        public=generated.public,
        holders=tuple(
            HolderCard(address=address, index=index, share_public=generated.share_publics[index])
            for index, address in enumerate(plan.holders, start=1)
        ),
    )
    cards = {
        node.address: NodeCard(
            address=node.address,
            tier=node.tier,
            name=node.name,
            verifying_key=keys[node.address].signing.public.raw,
            box_key=keys[node.address].box.public_raw,
            log_key=ed25519_public(keys[node.address].log_seed),
            exchange_url=node.exchange_url,
            fhir_url=node.fhir_url,
            witnesses=plan.witnesses(node.address),
        )
        for node in plan.nodes
    }
    directory = NetworkDirectory(nodes=cards, key=key)
    nation = next(node.address for node in plan.nodes if node.address.parent is None)
    return Ceremony(
        plan=plan,
        signed=make_directory(directory, keys[nation].signing),
        nation=keys[nation].signing.public,
        keys=keys,
        shares={
            address: KeyShare(epoch=EPOCH, version=SHARE_VERSION, index=index, secret=generated.shares[index])
            for index, address in enumerate(plan.holders, start=1)
        },
    )

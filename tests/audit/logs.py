"""Small logs as a node would keep them, for tests of export and verification."""

import random
from datetime import UTC, datetime, timedelta

from health_exchange.audit import tiles
from health_exchange.audit.checkpoints import Checkpoint, cosign, sign_checkpoint
from health_exchange.audit.entries import AuditEntry, commitment, encode_entry
from health_exchange.audit.export import LogContent, WitnessKey
from health_exchange.audit.merkle import root_of
from health_exchange.crypto.signatures import ed25519_public
from health_exchange.model.secrecy import Secret

ORIGIN = "health-exchange.example/cn/33"
WITNESS = "health-exchange.example/cn"
SEED, WITNESS_SEED = Secret(b"l" * 32), Secret(b"w" * 32)
AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def entry(number: int) -> AuditEntry:
    """An entry like a node's."""
    return AuditEntry(
        kind="read",
        at=(AT + timedelta(seconds=number)).isoformat(),
        node="cn/33",
        action="read",
        outcome="allowed",
        principal=f"viewer-{number}",
        principal_kind="viewer",
        purpose="TREAT",
    )


def content(size: int, *, every: int = 3, seed: int = 1) -> LogContent:
    """A log of ``size`` entries with a cosigned checkpoint every few of them and at its end."""
    dice = random.Random(seed)
    salted = [dice.randbytes(32) + encode_entry(entry(number)) for number in range(size)]
    kept: dict[str, bytes] = {}
    checkpoints, cosignatures = {}, {}
    for number, raw in enumerate(salted, start=1):
        kept |= tiles.append(number - 1, [commitment(raw[32:], raw[:32])], kept.get)
        if number % every == 0 or number == size:
            checkpoint = Checkpoint(origin=ORIGIN, size=number, root=root_of(number, tiles.subtree_reader(kept.get)))
            checkpoints[number] = sign_checkpoint(checkpoint, SEED)
            cosignatures[number] = [cosign(checkpoint, witness=WITNESS, seed=WITNESS_SEED, at=AT)]
    return LogContent(
        origin=ORIGIN,
        public=ed25519_public(SEED),
        witnesses=[WitnessKey(name=WITNESS, public=ed25519_public(WITNESS_SEED))],
        tiles=kept,
        checkpoints=checkpoints,
        cosignatures=cosignatures,
        entries=salted,
    )

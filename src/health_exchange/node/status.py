"""How a node is doing: what it received, sent, opened and holds back, how fresh it is, its log, and what is wrong.

Counts only: nothing here is about one person. Telling them costs the same however much is kept.
"""

from datetime import datetime
from typing import Literal

import msgspec

from health_exchange.model.powers import Power
from health_exchange.node.greeting import RELEASE
from health_exchange.node.parts import NodeParts
from health_exchange.node.troubles import Trouble, state_of, troubles_of
from health_exchange.store import audit_log, counters, exports, outbox, pending, statistics, streams, tallies
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction

Condition = Literal["ok", "degraded", "behind", "not ready"]


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where the node's log stands.

    Attributes:
        size: Number of entries.
        checkpoint: The latest signed checkpoint.
        cosigned_by: Witnesses of the latest checkpoint that has any.
    """

    size: int
    checkpoint: str
    cosigned_by: list[str]


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node at a glance.

    Attributes:
        address: Its place.
        tier: Its tier.
        name: What people call it.
        received: Resource versions admitted from facilities, or envelopes taken from below.
        forwarded: Entries sent in envelopes of its own, or envelopes passed on.
        opened: Entries of others it could open and has kept.
        held: Resources it keeps back, by reason.
        resources: Current resources it keeps.
        persons: Persons it keeps something of.
        persons_across_provinces: Those with records from more than one province.
        shared_with: Per node above, how many current resources it has of this node.
        undelivered: Envelopes its parent does not have yet.
        awaited: Receipts still to come.
        waiting_for_pseudonym: Subjects waiting for key holders.
        refused: Envelopes refused here.
        lag_s: Seconds between an envelope's making and its being taken here, the latest one.
        log: Its log.
        is_settled: Nothing is under way: all changes are numbered and sent, all envelopes delivered and
            signed for, all counted.
        at: When it said so.
        release: Of its program.
        condition: In one word: ``not ready`` where something keeps it from its work, ``behind`` where what it has for
            its parent waits, ``degraded`` where something else is wrong.
        troubles: What is wrong, and since when.
    """

    address: str
    tier: str
    name: str
    received: int
    forwarded: int
    opened: int
    held: dict[str, int]
    resources: int
    persons: int
    persons_across_provinces: int
    shared_with: dict[str, int]
    undelivered: int
    awaited: int
    waiting_for_pseudonym: int
    refused: int
    lag_s: float
    log: LogHead
    is_settled: bool
    at: datetime
    release: str
    condition: Condition
    troubles: list[Trouble]


async def status_of(parts: NodeParts) -> NodeStatus:
    """The node's numbers, all from one consistent state."""
    return await parts.store.read(lambda tx: _status(tx, parts))


def _status(tx: Transaction, parts: NodeParts) -> NodeStatus:
    admits = parts.card.may(Power.ADMITS_FACILITIES)
    state = state_of(tx, parts)
    troubles = troubles_of(state)
    awaited = sum(outbox.awaited_counts(tx).values())
    kept = tallies.kept(tx)
    unsent = statistics.unsent_changes(tx) if admits else 0
    return NodeStatus(
        address=str(parts.address),
        tier=str(parts.card.tier),
        name=parts.card.name,
        received=counters.value(tx, "received", ALL_DAYS),
        forwarded=counters.value(tx, "sent", ALL_DAYS) if admits else counters.value(tx, "forwarded", ALL_DAYS),
        opened=counters.value(tx, "opened", ALL_DAYS),
        held=dict(exports.held_counts(tx)),
        resources=kept.resources,
        persons=kept.persons,
        persons_across_provinces=kept.persons_across_provinces,
        shared_with=dict(exports.shared_counts(tx)),
        undelivered=state.undelivered,
        awaited=awaited,
        waiting_for_pseudonym=pending.count(tx),
        refused=streams.refused_count(tx),
        lag_s=counters.value(tx, "lag-ms", ALL_DAYS) / 1000,
        log=_log_head(tx),
        is_settled=not (state.undelivered or awaited or unsent or tallies.has_work(tx)),
        at=state.now,
        release=RELEASE,
        condition=_condition(troubles),
        troubles=troubles,
    )


def _condition(troubles: list[Trouble]) -> Condition:
    """The node's state in one word."""
    if any(trouble.blocks for trouble in troubles):
        return "not ready"
    if any(trouble.code == "envelopes-wait" for trouble in troubles):
        return "behind"
    return "degraded" if troubles else "ok"


def _log_head(tx: Transaction) -> LogHead:
    """The log's latest checkpoint and who vouches for it."""
    cosigned = sorted(audit_log.cosignatures_of(tx, audit_log.cosigned_size(tx)))
    return LogHead(
        size=audit_log.size(tx),
        checkpoint=(audit_log.latest_checkpoint(tx) or b"").decode(),
        cosigned_by=cosigned,
    )

"""A node's metrics, of all its processes, as OpenMetrics text.

What happens is counted where it happens and added up in the database (``store.meters``); what stands is looked at when
asked. Numbers that come from persons are rounded up to tens: of a small place they would tell of somebody.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from health_exchange.model.errors import ExchangeError
from health_exchange.node.greeting import RELEASE
from health_exchange.node.key_ages import key_dates
from health_exchange.node.keyholding import quota_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.troubles import State, state_of, troubles_of
from health_exchange.store import audit_log, counters, exports, meters, outbox, pending, statistics, streams, tallies
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.telemetry import families
from health_exchange.telemetry.metrics import Family, Sample, exposition, samples_of

TENS = 10
NEAR_LIMIT = 0.8
_COUNTED = (
    families.LAG_SECONDS,
    families.COMMIT_SECONDS,
    families.REQUESTS,
    families.REQUEST_SECONDS,
    families.PEER_REQUESTS,
    families.DECISIONS,
)

Measured = tuple[Family, Sequence[Sample]]


async def measure(parts: NodeParts) -> str:
    """The node's metrics as text.

    Raises:
        UnavailableError: The database does not answer.
    """
    parts.store.meters.hurry()
    # A database that takes nothing more is what an operator most wants to read about.
    with suppress(ExchangeError):
        await parts.store.write(lambda _tx: None)
    return await parts.store.read(lambda tx: exposition(_measured(tx, parts)))


def coarse(number: int) -> int:
    """``number`` rounded up to tens, so that nobody's coming or going shows."""
    return -(-number // TENS) * TENS


def _measured(tx: Transaction, parts: NodeParts) -> Iterator[Measured]:
    """Every family that has something to tell."""
    state = state_of(tx, parts)
    counted = meters.kept(tx)
    yield from _condition(state)
    yield from _ways(tx, state)
    yield from _kept(tx)
    yield from _log(tx)
    yield from _peers(state)
    yield from _quotas(tx, parts)
    yield from _keys(tx, state)
    yield from _house(state)
    for family in _COUNTED:
        yield family, samples_of(family, counted)


def _condition(state: State) -> Iterator[Measured]:
    """Which node, whether it is ready, what is wrong, whether its work is done."""
    card = state.parts.card
    node = {"address": str(card.address), "tier": str(card.tier), "release": RELEASE}
    yield families.NODE, [Sample(value=1, labels=tuple(node.items()))]
    troubles = troubles_of(state)
    yield families.READY, _plain(not any(trouble.blocks for trouble in troubles))
    ages = {trouble.code: _age(state, trouble.since or state.now) for trouble in reversed(troubles)}
    yield families.TROUBLE_SECONDS, _by("code", ages)
    turns = state.report.turns if state.report is not None else {}
    yield families.TURN_AGE_SECONDS, _by("turn", {name: _age(state, turn.ended_at) for name, turn in turns.items()})


def _ways(tx: Transaction, state: State) -> Iterator[Measured]:
    """What is on its way up, and how old."""
    parent = str(state.parts.address.parent or "")
    if parent:
        yield families.QUEUE_ENVELOPES, _by("peer", {parent: state.undelivered})
        waits = _age(state, state.oldest_at) if state.oldest_at is not None else 0
        yield families.QUEUE_AGE_SECONDS, _by("peer", {parent: waits})
        awaited = {str(above): 0 for above in state.parts.address.ancestors} | dict(outbox.awaited_counts(tx))
        yield families.RECEIPTS_AWAITED, _by("peer", awaited)
        yield families.UNSENT_CHANGES, _plain(statistics.unsent_changes(tx) if state.parts.address.parent else 0)
    yield families.LATEST_LAG_SECONDS, _plain(counters.value(tx, "lag-ms", ALL_DAYS) / 1000)
    yield families.REFUSED_ENVELOPES, _plain(streams.refused_count(tx))


def _kept(tx: Transaction) -> Iterator[Measured]:
    """How much is kept, waits and is held back; coarsely."""
    yield families.RESOURCES, _plain(coarse(tallies.kept(tx).resources))
    yield families.WAITING_SUBJECTS, _plain(coarse(pending.count(tx)))
    held = {reason: coarse(number) for reason, number in exports.held_counts(tx).items()}
    yield families.HELD_RESOURCES, _by("reason", held)


def _log(tx: Transaction) -> Iterator[Measured]:
    size = audit_log.size(tx)
    yield families.LOG_ENTRIES, _plain(size)
    yield families.LOG_UNCOSIGNED, _plain(size - audit_log.cosigned_size(tx))


def _peers(state: State) -> Iterator[Measured]:
    """Neighbours: whether they answer, and their clocks."""
    report = state.report
    contacts = report.contacts if report is not None else {}
    greeted = report.greeted if report is not None else {}
    yield families.PEER_UP, _by("peer", {peer: known.failing_since is None for peer, known in contacts.items()})
    yield families.PEER_CLOCK_SECONDS, _by("peer", {peer: hello.clock_ahead_s for peer, hello in greeted.items()})


def _quotas(tx: Transaction, parts: NodeParts) -> Iterator[Measured]:
    """How near asking nodes are to what this holder grants them today; who they are stands in the log."""
    if parts.share is None:
        return
    quota = quota_of(parts)
    today = parts.clock.now().date().isoformat()
    used = counters.values(tx, "evaluations:", today).values()
    yield families.QUOTA_USE, _plain(round(max(used, default=0) / quota, 4))
    yield families.QUOTA_ASKERS, _plain(sum(number >= NEAR_LIMIT * quota for number in used))


def _keys(tx: Transaction, state: State) -> Iterator[Measured]:
    """When certificates end, and how old keys are."""
    ends = {name: round(at.timestamp()) for name, at in state.certificates.items()}
    yield families.CERTIFICATE_EXPIRY, _by("certificate", ends)
    ages = {name: _age(state, key.since) for name, key in key_dates(tx).items()}
    yield families.KEY_AGE_SECONDS, _by("key", ages)


def _house(state: State) -> Iterator[Measured]:
    """Room, where the database is a file here."""
    size = state.parts.premises.database_bytes()
    if size is not None:
        yield families.DATABASE_BYTES, _plain(size)
    if state.room is not None:
        yield families.DISK_FREE_BYTES, _plain(state.room.free_bytes)


def _plain(value: float) -> list[Sample]:
    return [Sample(value=value)]


def _by(label: str, values: Mapping[str, float]) -> list[Sample]:
    return [Sample(value=value, labels=((label, name),)) for name, value in sorted(values.items())]


def _age(state: State, since: datetime) -> float:
    return round(max(0.0, (state.now - since.astimezone(UTC)).total_seconds()), 3)

"""What is wrong with a node, by its own lights: one table of checks, each with what it is about.

A trouble *blocks* where the node cannot do its own work: keep what it is given, and answer. A parent or key holder that
is away does not block: what is admitted is kept and sent later, and a node taken out of service for it would refuse
what it could take (docs/adr/0021).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from health_exchange.model.directory import KeyCard
from health_exchange.model.powers import Power
from health_exchange.node.greeting import Hello
from health_exchange.node.parts import NodeParts
from health_exchange.node.premises import Room
from health_exchange.node.reporting import OLD, Report, latest_report
from health_exchange.store import outbox
from health_exchange.store.engine import Transaction

HANGING = timedelta(minutes=5)
"""A turn that has not ended for so long hangs; the slowest is taken every other minute."""
FAILING = timedelta(seconds=30)
"""Turns fail now and then; those that fail for so long are told."""
WAITING = timedelta(seconds=60)
"""Envelopes that wait for longer are a trouble."""
UNCOSIGNED = timedelta(minutes=10)
EXPIRING = timedelta(days=14)
CLOCK_S = 30.0
"""How far a neighbour's clock may be from ours; hops are refused at ten times as much."""
DISK_FULL_BYTES, DISK_LOW_BYTES, DISK_LOW_SHARE = 64 << 20, 5 << 30, 0.05
_UNAVAILABLE = "unavailable"
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        code: Stable name.
        detail: One sentence: what, who, how much. No secrets, nothing of a person.
        since: Since when, where that is known.
        blocks: Whether the node cannot do its own work for it.
    """

    code: str
    detail: str
    since: datetime | None = None
    blocks: bool = False


def in_words(trouble: Trouble, now: datetime) -> str:
    """A trouble as a line for people: what, why, since when."""
    if trouble.since is None:
        return f"{trouble.code}: {trouble.detail}"
    since = f"{trouble.since:%Y-%m-%d %H:%M:%S} UTC ({spoken(now - trouble.since)})"
    return f"{trouble.code}: {trouble.detail}; since {since}"


def spoken(duration: timedelta) -> str:
    """A duration in the largest unit that it has one of."""
    seconds = max(0, int(duration.total_seconds()))
    length, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{seconds // length} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the checks look at.

    Attributes:
        parts: The node's.
        now: By its clock.
        report: Of who does the recurring work; ``None`` before the first.
        undelivered: Envelopes that wait for the next hop.
        oldest_at: Since when the oldest of them does.
        certificates: When each ends.
        room: On the database's disk, if that is here.
    """

    parts: NodeParts
    now: datetime
    report: Report | None
    undelivered: int
    oldest_at: datetime | None
    certificates: Mapping[str, datetime]
    room: Room | None


def state_of(tx: Transaction, parts: NodeParts) -> State:
    """What the checks look at, now."""
    return State(
        parts=parts,
        now=parts.clock.now(),
        report=latest_report(tx),
        undelivered=outbox.undelivered_count(tx),
        oldest_at=outbox.oldest_undelivered(tx),
        certificates=parts.premises.certificate_ends(),
        room=parts.premises.room(),
    )


def troubles_of(state: State) -> list[Trouble]:
    """Everything that is wrong, what blocks first."""
    found = [trouble for check in CHECKS for trouble in check(state)]
    return sorted(found, key=lambda trouble: not trouble.blocks)


def _working(state: State) -> Iterable[Trouble]:
    """Somebody does the recurring work, and none of it hangs."""
    report = state.report
    if report is None:
        yield Trouble(code="turns-stopped", detail="recurring work has not begun", blocks=True)
    elif state.now - report.at > OLD:
        yield Trouble(code="turns-stopped", detail="nobody does the recurring work", since=report.at, blocks=True)
    else:
        for name, turn in report.turns.items():
            if state.now - turn.ended_at > HANGING:
                yield Trouble(code="turn-hangs", detail=f"{name} does not end", since=turn.ended_at)


def _failing(state: State) -> Iterable[Trouble]:
    """No turn fails but for peers that are away, which are told as such."""
    for name, turn in (state.report.turns if state.report is not None else {}).items():
        since = turn.failing_since
        if since is not None and turn.code != _UNAVAILABLE and state.now - since > FAILING:
            yield Trouble(code="turn-fails", detail=f"{name}: {turn.detail or turn.code}", since=since)


def _certified(state: State) -> Iterable[Trouble]:
    """Certificates hold, and will for a while."""
    for name in state.parts.premises.certificates:
        ends_at = state.certificates.get(name)
        if ends_at is None:
            yield Trouble(code="certificate-unreadable", detail=f"the certificate file ({name}) cannot be read")
        elif ends_at <= state.now:
            detail = f"the certificate ({name}) has expired"
            yield Trouble(code="certificate-expired", detail=detail, since=ends_at, blocks=True)
        elif ends_at - state.now < EXPIRING:
            detail = f"the certificate ({name}) ends {ends_at:%Y-%m-%d %H:%M} UTC"
            yield Trouble(code="certificate-expires", detail=detail, since=ends_at - EXPIRING)


def _housed(state: State) -> Iterable[Trouble]:
    """There is room on the disk."""
    room = state.room
    if room is not None and room.free_bytes < DISK_FULL_BYTES:
        yield Trouble(code="disk-full", detail=f"{room.free_bytes >> 20} MiB are free for the database", blocks=True)
    elif room is not None and room.free_bytes < min(DISK_LOW_BYTES, DISK_LOW_SHARE * room.total_bytes):
        yield Trouble(code="disk-low", detail=f"{room.free_bytes >> 20} MiB are free for the database")


def _heard(state: State) -> Iterable[Trouble]:
    """The parent answers, and takes what is sent."""
    parent = state.parts.address.parent
    if parent is None or state.report is None:
        return
    contact = state.report.contacts.get(str(parent))
    if contact is not None and contact.failing_since is not None:
        yield Trouble(code="parent-away", detail=contact.detail, since=contact.failing_since)
    for stream, why in state.report.refused.items():
        yield Trouble(code="stream-refused", detail=f"stream {stream[:8]}: {why}")
    if state.oldest_at is not None and state.now - state.oldest_at > WAITING:
        detail = f"{state.undelivered} envelopes wait for {parent}"
        yield Trouble(code="envelopes-wait", detail=detail, since=state.oldest_at)


def _fits(hello: Hello, key: KeyCard) -> bool:
    """Whether a holder keeps the share that is asked for: the newest it has, or the one before that."""
    return hello.epoch == key.epoch and hello.share_version - key.share_version in {0, 1}


def _keyed(state: State) -> Iterable[Trouble]:
    """Enough key holders answer, with shares that fit."""
    key, report = state.parts.membership.key, state.report
    if report is None or not state.parts.card.may(Power.SEES_NATIONAL_IDS):
        return
    lost: list[datetime] = []
    unfit = 0
    for holder in key.holders:
        contact, greeted = report.contacts.get(str(holder.address)), report.greeted.get(str(holder.address))
        if contact is not None and contact.failing_since is not None:
            lost.append(contact.failing_since)
        elif greeted is not None and not _fits(greeted.hello, key):
            unfit += 1
    answering = len(key.holders) - len(lost) - unfit
    if answering < key.threshold:
        detail = (
            f"{answering} of {len(key.holders)} key holders answer with a share that fits, it takes {key.threshold}"
        )
        since = sorted(lost)[min(len(lost), len(key.holders) - key.threshold + 1) - 1] if lost else None
        yield Trouble(code="key-holders", detail=detail, since=since)


def _timed(state: State) -> Iterable[Trouble]:
    """Neighbours' clocks agree with ours."""
    for peer, greeted in (state.report.greeted if state.report is not None else {}).items():
        if abs(greeted.clock_ahead_s) > CLOCK_S:
            detail = f"the clock of {peer} is {greeted.clock_ahead_s:+.0f} s from ours"
            yield Trouble(code="clock", detail=detail, since=greeted.greeted_at)


def _witnessed(state: State) -> Iterable[Trouble]:
    """Witnesses cosign the log."""
    since = state.report.uncosigned_since if state.report is not None else None
    if since is not None and state.parts.card.witnesses and state.now - since > UNCOSIGNED:
        yield Trouble(code="log-uncosigned", detail="no witness cosigns what was logged", since=since)


CHECKS: tuple[Callable[[State], Iterable[Trouble]], ...] = (
    _working,
    _failing,
    _certified,
    _housed,
    _heard,
    _keyed,
    _timed,
    _witnessed,
)
"""What is checked; none asks another node, so that looking costs little however often it is done."""

"""What a restored database needs before its node may start, in one transaction, and the report of it.

The first entry of the new log says what is missing. Whoever was to be forgotten is forgotten again, and what persons
had said about sharing is kept to. What a node lost of the origins below it, they send again; what an origin itself lost
only its facilities can give again, and the report says of what there is evidence.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, StreamId
from health_exchange.model.powers import Power
from health_exchange.node.journal import log, node_journal
from health_exchange.node.parts import NodeParts
from health_exchange.node.standing import MARGIN
from health_exchange.policy.consent_rules import next_change
from health_exchange.policy.consents import OBJECTS_TO_ALL
from health_exchange.protocol.envelope import NO_PREVIOUS
from health_exchange.protocol.exchange_ids import exchange_id
from health_exchange.protocol.rejoining import HeldResource, StandingAnswer
from health_exchange.store import (
    feed,
    incarnations,
    locators,
    node_state,
    receipts,
    rejoining,
    shredding,
    shreds,
    streams,
    subjects,
)
from health_exchange.store.engine import Transaction
from health_exchange.store.incarnations import Rejoining

SKEW = timedelta(minutes=10)
"""How far two nodes' instants of one event may lie apart."""


class RejoinReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was lost and what was made good, for the operator.

    Attributes:
        node: This node.
        log: Name of its new log.
        lost_log: Name of the one that ended.
        taken_at: Instant of the backup.
        entries_restored: Entries of the lost log in the backup.
        entries_lost: How many more its witnesses have cosigned.
        stream: The stream that ended; empty where the node has none.
        envelopes_restored: Its last envelope in the backup.
        envelopes_lost: How many more anybody above has.
        lost: By type, how many resources above are newer than what was restored.
        lost_until: The latest change among them; empty for none.
        persons: How many persons they are about.
        forgotten: How many persons were forgotten again.
        consents: Of how many persons the wishes about sharing were taken over from above.
        sending_again: Origins below that send again what this node lost, and how many envelopes that was.
        facilities: Who may have to send again what was acknowledged after the backup.
        missing: Who did not answer.
    """

    node: str
    log: str
    lost_log: str
    taken_at: str
    entries_restored: int
    entries_lost: int
    stream: str
    envelopes_restored: int
    envelopes_lost: int
    lost: dict[str, int]
    lost_until: str
    persons: int
    forgotten: int
    consents: int
    sending_again: dict[str, int]
    facilities: list[str]
    missing: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the others told.

    Attributes:
        standing: By node, how this one stands there.
        held: Our resources above, by type and exchange id, the newest version anybody has.
        persons: By node that may know whom we hold, those persons and what they told about sharing.
        missing: Who did not answer.
    """

    standing: Mapping[NodeAddress, StandingAnswer]
    held: Mapping[tuple[str, str], HeldResource] = field(default_factory=dict)
    persons: Mapping[NodeAddress, Mapping[str, str]] = field(default_factory=dict)
    missing: tuple[NodeAddress, ...] = ()


def make_good(
    tx: Transaction, parts: NodeParts, before: Rejoining, told: Told, facilities: Sequence[str]
) -> RejoinReport:
    """Do all that the answers call for; the node may start afterwards."""
    witnessed = max((answer for answer in told.standing.values()), key=lambda answer: answer.log_size, default=None)
    seen = max((answer.streams.get(before.stream, 0) for answer in told.standing.values()), default=0)
    admits = parts.card.may(Power.ADMITS_FACILITIES)
    forgotten = _forget_again(tx, parts, before, told)
    consents = _keep_to_wishes(tx, parts, before, told)
    lost = _lost(tx, parts, before, told.held.values())
    report = RejoinReport(
        node=str(parts.address),
        log=parts.log_origin,
        lost_log=parts.card.log_of(before.earlier),
        taken_at=before.taken_at,
        entries_restored=before.entries,
        entries_lost=max(0, (witnessed.log_size if witnessed else 0) - before.entries),
        stream=before.stream if admits else "",
        envelopes_restored=before.sequence,
        envelopes_lost=max(0, seen - before.sequence) if admits else 0,
        lost=dict(sorted(Counter(each.type for each in lost).items())),
        lost_until=max((each.changed_at for each in lost), default=""),
        persons=len({each.pseudonym for each in lost if each.pseudonym}),
        forgotten=forgotten,
        consents=consents,
        sending_again=_await_again(tx, told),
        facilities=sorted(facilities) if admits else [],
        missing=[str(peer) for peer in told.missing],
    )
    _remember_persons(tx, parts, lost)
    entry = node_journal(
        parts, kind="restore", action="restore", reason=f"restored from a backup of {before.taken_at}",
        summary=_summary(report, witnessed),
    )  # fmt: skip
    root = witnessed.log_root.hex() if witnessed is not None and witnessed.log_size else msgspec.UNSET
    log(tx, msgspec.structs.replace(entry, count=report.entries_lost, digest=root))
    incarnations.rejoined(tx, before, report.missing)
    return report


def make_good_late(tx: Transaction, parts: NodeParts, before: Rejoining, told: Told) -> None:
    """What those call for who were missing and answer now, the node being at work."""
    _forget_again(tx, parts, before, told)
    _keep_to_wishes(tx, parts, before, told, restored_at=datetime.fromtimestamp(parts.incarnation, UTC))
    _remember_persons(tx, parts, _lost(tx, parts, before, told.held.values()))
    _await_again(tx, told)
    incarnations.rejoined(tx, before, [str(peer) for peer in told.missing])


def _summary(report: RejoinReport, witnessed: StandingAnswer | None) -> str:
    """The gap, for whoever reads the log."""
    size = witnessed.log_size if witnessed is not None else 0
    text = (
        f"{report.log} goes on from {report.lost_log}: {report.entries_restored} entries restored, last cosigned at "
        f"{size}, {report.entries_lost} lost"
    )
    if report.stream:
        text += (
            f"; stream {report.stream} ended: {report.envelopes_restored} envelopes restored, "
            f"{report.envelopes_lost} more seen above"
        )
    if report.sending_again:
        text += f"; {sum(report.sending_again.values())} envelopes of origins below to be sent again"
    return text + (f"; not asked: {' '.join(report.missing)}" if report.missing else "")


def _forget_again(tx: Transaction, parts: NodeParts, before: Rejoining, told: Told) -> int:
    """Forget whoever was to be forgotten since the backup, and tell those above whom the order never reached."""
    latest: dict[tuple[NodeAddress, Pseudonym], str] = {}
    for answer in told.standing.values():
        for shred in answer.shreds:
            key = NodeAddress.parse(shred.origin), Pseudonym(shred.pseudonym)
            latest[key] = max(latest.get(key, ""), shred.at)
    forgotten = 0
    for (origin, person), at in latest.items():
        if not _is_news(shreds.of(tx, origin, person), at, before.taken_at):
            continue
        forgotten += 1
        if origin == parts.address:
            for subject in subjects.subjects_of(tx, person):
                shredding.destroy(tx, subject.sid)
        else:
            shredding.shred(tx, person, anchor=f"{origin}|{person}")
        locators.forget(tx, person, origin)
        shreds.note(tx, origin, person)
    node_state.put(tx, shredding.SCRUB, b"due")
    for own in shreds.within(tx, parts.address, before.taken_at):
        knows = {
            peer
            for peer, answer in told.standing.items()
            if own.pseudonym in {each.pseudonym for each in answer.shreds}
        }
        if own.origin == parts.address and set(parts.address.ancestors) - knows:
            feed.add(tx, [feed.FeedRow(rid=0, version=0, op="shred", sid=0, pseudonym=own.pseudonym)])
    return forgotten


def _is_news(known: str, at: str, taken_at: str) -> bool:
    """Whether an order to forget came after what the backup knows of it."""
    told, limit = datetime.fromisoformat(at), datetime.fromisoformat(taken_at)
    return not known or told > max(limit, datetime.fromisoformat(known) + SKEW)


def _keep_to_wishes(
    tx: Transaction, parts: NodeParts, before: Rejoining, told: Told, restored_at: datetime | None = None
) -> int:
    """Bring what persons have said in line with what those above were told last; of how many.

    What they have said here since ``restored_at`` stays: it is the newer word. Who is no longer known above as one of
    ours may have objected even to that: nothing more is said of that person until it is heard anew.
    """
    changed: set[Pseudonym] = set()
    for peer, persons in told.persons.items():
        stands = told.standing.get(peer)
        if stands is None or stands.streams.get(before.stream, 0) < before.sequence:
            continue  # it has not taken all that the backup had sent, so the backup is the younger one
        for person, consent in rejoining.persons_of(tx, parts.address).items():
            said = persons.get(person, OBJECTS_TO_ALL)
            if said == consent:
                continue
            changes_at = next_change(said, after=tx.clock.now())
            for subject in subjects.subjects_of(tx, person):
                if restored_at is not None and rejoining.has_spoken(tx, subject.sid, restored_at.isoformat()):
                    continue
                subjects.set_consent(tx, subject.sid, said, changes_at.isoformat() if changes_at else None)
            changed.add(person)
    return len(changed)


def _lost(tx: Transaction, parts: NodeParts, before: Rejoining, held: Iterable[HeldResource]) -> Sequence[HeldResource]:
    """Of what is held above, what is newer than anything here."""
    since = (datetime.fromisoformat(before.taken_at) - 2 * MARGIN).isoformat()
    own: dict[tuple[str, str], int] = {
        (resource_type, exchange_id(parts.keys.exchange_ids, resource_type, local_id)): version
        for resource_type, local_id, version in rejoining.changed_since(tx, parts.address, since)
    }
    return [each for each in held if own.get((each.type, each.id), -1) < each.version]


def _await_again(tx: Transaction, told: Told) -> dict[str, int]:
    """Let each origin below go on behind what was lost of it; how many envelopes that is, by origin."""
    again: dict[str, int] = {}
    node_state.put(tx, receipts.COLLECT_AGAIN, b"due")
    for peer, answer in told.standing.items():
        if answer.stream:
            stream = StreamId(answer.stream)
            head = streams.head(tx, stream)
            if head is None:
                # Known from now on, so that receipts from above find their way down before its first envelope comes.
                streams.advance(tx, stream, peer, 0, bytes.fromhex(NO_PREVIOUS))
            node_state.set_cursor(tx, lost_up_to(stream), answer.sequence)
            had = head.sequence if head else 0
            if had < answer.sequence:
                again[str(peer)] = answer.sequence - had
    return again


def _remember_persons(tx: Transaction, parts: NodeParts, lost: Iterable[HeldResource]) -> None:
    """Know whoever only those above know by us still, so that an order to forget reaches them."""
    for name in sorted({each.pseudonym for each in lost if each.pseudonym and not each.deleted}):
        person = Pseudonym(name)
        subjects.find_or_make_subject(tx, pseudonym=person)
        if not locators.announced(tx, parts.address, [person]):
            locators.add(tx, parts.address, {person: ""})


def lost_up_to(stream: StreamId) -> str:
    """Cursor: up to where a stream may go on with a gap, because its origin sends that again."""
    return f"lost:{stream}"

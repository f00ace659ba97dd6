"""The sender: reads the change feed, seals what may leave into the next envelope of this node's stream, keeps it.

Envelope, cursor, standings and audit entry are one transaction, so that after a crash the sender finds either all of it
or none and never seals one change twice. The bytes that are kept are the bytes that are sent, however often.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from itertools import groupby

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.node.cleaning import Cleaned, Parcel, Parcels, clean_all, exchange_id_of
from health_exchange.node.journal import log, node_journal
from health_exchange.node.keeping import LOCATORS
from health_exchange.node.outgoing import Change, Outgoing, Rules, latest, may_leave, select
from health_exchange.node.parts import NodeParts
from health_exchange.policy.consent_rules import effective, is_findable
from health_exchange.policy.sharing import locator_recipients, recipients_of
from health_exchange.protocol.entries import Locator, encode_entries, encode_locators
from health_exchange.protocol.envelope import NO_PREVIOUS, EnvelopeHeader, SealedEnvelope, Section, seal_envelope
from health_exchange.protocol.streams import StreamHead
from health_exchange.store import (
    counters,
    exports,
    feed,
    locators,
    node_state,
    notices,
    outbox,
    resources,
    streams,
    subjects,
)
from health_exchange.store.bodies import SealedBody
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.store.exports import Standing
from health_exchange.store.feed import FeedRow
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject, SubjectState
from health_exchange.telemetry.events import log_event

CURSOR = "sent"
_OF_PERSONS = frozenset({"reassign", "shred"})
"""Changes that move or destroy what others of the same envelope might change."""
LIGHT_LOAD, LIGHT_ENTRIES = 600, 300
"""While no more changes wait than this, envelopes are small: the first is under way while the next is sealed. When
more wait, they are as large as they may be, because each costs every node on its way the same.
"""
EXPANSION = 5
"""How much larger a body is than it is kept, roughly."""
_PLAIN = ResourceClass(
    type="Observation", sensitivity=Sensitivity.CLINICAL, category=SensitiveCategory.GENERAL, jurisdiction=""
)


async def send(parts: NodeParts) -> bool:
    """Put the changes since last time into one envelope; whether there were any."""
    if parts.address.parent is None:
        return await parts.store.read(_has_news) and await parts.store.write(_pass_by)
    batch = await parts.store.read(lambda tx: _read(tx, parts))
    if batch.last == batch.cursor:
        return False
    rules = rules_of(parts)
    wanted = latest(batch.changes)
    cleaned = await _clean(parts, [change for change in wanted if may_leave(change, rules)])
    wanted, last = _within(parts.limits.envelope_bytes, wanted, cleaned, batch.last)
    batch = replace(batch, last=last)
    outgoing = select(wanted, rules, cleaned)
    envelope = None
    if not outgoing.is_empty:
        envelope = await asyncio.to_thread(_seal, parts, outgoing, batch.head)
    sequence = await parts.store.write(lambda tx: _keep(tx, parts, batch, outgoing, envelope))
    if sequence:
        count = batch.last - batch.cursor
        log_event("envelope-sealed", stream=parts.stream, sequence=sequence, count=count)
    return True


def _has_news(tx: Transaction) -> bool:
    return feed.last_number(tx) != node_state.cursor(tx, CURSOR)


def _pass_by(tx: Transaction) -> bool:
    """Let the changes pass: nobody is above this node, to whom they could go or from whom they could be held back."""
    node_state.set_cursor(tx, CURSOR, feed.last_number(tx))
    return True


def rules_of(parts: NodeParts) -> Rules:
    """What this node's policies and keys decide for each change."""
    path_up = parts.directory.path_up(parts.address)
    return Rules(
        recipients=cache(
            lambda resource_class, consent: recipients_of(parts.policies, resource_class, consent, path_up)
        ),
        locates=cache(lambda consent: bool(locator_recipients(parts.policies, path_up, consent))),
        everyone=tuple(card.address for card in path_up),
        exchange_id=partial(exchange_id_of, parts.keys.exchange_ids),
    )


async def _clean(parts: NodeParts, leaving: Sequence[Change]) -> dict[int, Cleaned]:
    """By change number, what leaves of each resource."""
    bodies = {change.number: (change, change.body) for change in leaving if change.body is not None}
    parcels = Parcels(
        parcels=tuple(
            Parcel(body=body, subject=change.pseudonym, changed_at=change.changed_at)
            for change, body in bodies.values()
        ),
        source=parts.address,
        key=parts.keys.exchange_ids,
    )
    size = EXPANSION * sum(len(body.sealed) for _change, body in bodies.values())
    done = await parts.background.run(clean_all, parcels, work_bytes=size)
    return dict(zip(bodies, done.cleaned, strict=True))


def _within(
    bytes_max: int, wanted: list[Change], cleaned: Mapping[int, Cleaned], last: int
) -> tuple[list[Change], int]:
    """As many changes, at least one, as one envelope takes; and the number up to which the feed is then read."""
    size = 0
    for place, change in enumerate(wanted):
        size += len(cleaned[change.number].body) if change.number in cleaned else 0
        if place and size > bytes_max:
            return wanted[:place], change.number - 1
    return wanted, last


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the next envelope carries.

    Attributes:
        cursor: Number of the last change that was sent.
        last: Number of the last change of this batch; the cursor where there is none.
        changes: Those that still mean something, in order.
        head: Where our stream stands.
        consents: What the persons of the batch have said, by subject.
    """

    cursor: int
    last: int
    changes: list[Change]
    head: StreamHead | None
    consents: Mapping[int, str]


def _read(tx: Transaction, parts: NodeParts) -> Batch:
    """The next changes with their bodies, still sealed.

    An envelope's sections are opened in no order of time, so one envelope holds either what changes records or what
    moves and destroys them, never both.
    """
    cursor = node_state.cursor(tx, CURSOR)
    few = feed.last_number(tx) - cursor <= LIGHT_LOAD
    entries = min(LIGHT_ENTRIES, parts.limits.envelope_entries) if few else parts.limits.envelope_entries
    waiting = feed.rows_after(tx, cursor, entries)
    rows = list(next((run for _kind, run in groupby(waiting, key=lambda row: row.op in _OF_PERSONS)), ()))
    owners = subjects.by_sids(tx, [row.sid for row in rows])
    kept = resources.sealed_by_rids(tx, [row.rid for row in rows if row.rid])
    standings = exports.standings(tx, [row.rid for row in rows])
    announced = locators.announced(tx, parts.address, {owner.pseudonym for owner in owners.values() if owner.pseudonym})
    alive = {name for name in {row.previous for row in rows if row.previous} if subjects.subjects_of(tx, name)}
    given = Given(announced=announced.keys(), alive=alive, at=parts.clock.now(), origin=str(parts.address))
    changes: list[Change] = []
    for row in rows:
        resource, body = kept.get(row.rid, (None, None))
        if resource is not None or row.op == "shred":
            changes.append(_change(row, resource, body, owners.get(row.sid), standings.get(row.rid), given))
    return Batch(
        cursor=cursor,
        last=rows[-1].number if rows else cursor,
        changes=changes,
        head=streams.head(tx, parts.stream),
        consents={sid: owner.consent for sid, owner in owners.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What all changes of a batch are decided by.

    Attributes:
        announced: Persons of whom those above were told.
        alive: Persons of whom something is still held here.
        at: Now.
        origin: This node.
    """

    announced: AbstractSet[Pseudonym]
    alive: AbstractSet[Pseudonym]
    at: datetime
    origin: str


def _change(
    row: FeedRow,
    resource: StoredResource | None,
    body: SealedBody | None,
    owner: Subject | None,
    standing: Standing | None,
    given: Given,
) -> Change:
    """A feed row with all that deciding about it needs, as it stands now."""
    if resource is None:
        return Change(
            number=row.number,
            rid=0,
            op=row.op,
            type="",
            id="",
            version=row.version,
            resource_class=_PLAIN,
            changed_at="",
            pseudonym=row.pseudonym,
            previous=None,
            subject_state=SubjectState.SHREDDED,
            consent="",
            body=None,
        )
    said = owner.consent if owner else ""
    op = "delete" if resource.deleted and row.op == "put" else row.op
    return Change(
        number=row.number,
        rid=row.rid,
        op=op,
        type=resource.type,
        id=resource.id,
        version=resource.version,
        resource_class=resource.resource_class,
        changed_at=resource.changed_at,
        pseudonym=row.pseudonym if row.op == "reassign" else (owner.pseudonym if owner else None),
        previous=row.previous,
        subject_state=str(owner.state) if owner else "",
        # Whoever is above asks for itself and for no organisation: what is meant for organisations binds its readers.
        consent=effective(
            said, at=given.at, organization=given.origin, purpose=Purpose.TREATMENT, data_at=resource.instant
        ),
        said=said,
        findable=is_findable(said, at=given.at),
        body=body if op == "put" else None,
        exported_to=standing.recipients if standing else frozenset(),
        announced=owner is not None and owner.pseudonym in given.announced,
        previous_is_gone=row.previous is not None and row.previous not in given.alive,
    )


def _seal(parts: NodeParts, outgoing: Outgoing, head: StreamHead | None) -> SealedEnvelope:
    """The next envelope of our stream."""
    path_up = parts.directory.path_up(parts.address)
    sections = sections_of(parts, outgoing)
    header = EnvelopeHeader(
        origin=parts.address,
        stream=parts.stream,
        sequence=head.sequence + 1 if head else 1,
        previous=head.digest.hex() if head else NO_PREVIOUS,
        created_at=parts.clock.now(),
        purpose=Purpose.TREATMENT,
        recipients=tuple(card.address for card in path_up),
    )
    boxes = {card.address: card.box_key for card in path_up}
    return seal_envelope(header, sections, boxes=boxes, signing=parts.keys.signing, randomness=parts.randomness)


def sections_of(parts: NodeParts, outgoing: Outgoing) -> list[Section]:
    """The sections of an envelope: always the same names in the same order, whatever is in them.

    One for each set of nodes that policy lets open some level, one for each node alone, one for locators. Entries for a
    set that is none of these (a forbid of one tier) go to each of its nodes alone.
    """
    path_up = parts.directory.path_up(parts.address)
    groups = sorted(
        {recipients_of(parts.policies, _of_level(level, parts.address), "", path_up) for level in Sensitivity}
        - {frozenset()},
        key=lambda group: (len(group), sorted(group)),
    )
    shared = {group: list(outgoing.shared.get(group, ())) for group in groups}
    private = {card.address: list(outgoing.private.get(card.address, ())) for card in path_up}
    for group, entries in outgoing.shared.items():
        if group not in shared:
            for address in group:
                private[address].extend(entries)
    located = [
        Locator(pseudonym=pseudonym, withdrawn=not is_held, consent=outgoing.said.get(pseudonym, "") if is_held else "")
        for pseudonym, is_held in outgoing.locators.items()
    ]
    return [
        *(
            Section(name=f"records-{index}", recipients=tuple(sorted(group)), plaintext=encode_entries(entries))
            for index, (group, entries) in enumerate(shared.items(), start=1)
        ),
        *(
            Section(name=f"notes-{index}", recipients=(address,), plaintext=encode_entries(entries))
            for index, (address, entries) in enumerate(private.items(), start=1)
        ),
        Section(
            name=LOCATORS,
            recipients=tuple(sorted(locator_recipients(parts.policies, path_up))),
            plaintext=encode_locators(located),
        ),
    ]


def _of_level(level: Sensitivity, origin: NodeAddress) -> ResourceClass:
    """A class that stands for its level."""
    return ResourceClass(
        type="Observation", sensitivity=level, category=SensitiveCategory.GENERAL, jurisdiction=str(origin)
    )


def _keep(tx: Transaction, parts: NodeParts, batch: Batch, outgoing: Outgoing, envelope: SealedEnvelope | None) -> int:
    """The one transaction of a sending; the envelope's place in the stream, 0 for none."""
    if node_state.cursor(tx, CURSOR) != batch.cursor:
        return 0
    # Who has said something else meanwhile was decided about by what no longer holds: the same changes are read again.
    if subjects.consents_by_sids(tx, batch.consents) != batch.consents:
        return 0
    node_state.set_cursor(tx, CURSOR, batch.last)
    # A person erased meanwhile has no standing any more; what was sealed is followed by its shred.
    there = resources.alive(tx, [standing.rid for standing in outgoing.exports])
    exports.record(tx, [standing for standing in outgoing.exports if standing.rid in there])
    if envelope is None:
        return 0
    head = streams.head(tx, parts.stream)
    sequence = head.sequence + 1 if head else 1
    recipients = parts.address.ancestors
    _note_persons(tx, parts, outgoing, sequence)
    streams.advance(tx, parts.stream, parts.address, sequence, envelope.digest)
    outbox.enqueue(
        tx,
        raw=envelope.raw,
        stream=parts.stream,
        sequence=sequence,
        digest=envelope.digest,
        recipients=recipients,
        sent_up_to=batch.last,
    )
    entries = [entry for group in (*outgoing.shared.values(), *outgoing.private.values()) for entry in group]
    counters.add(tx, "sent", ALL_DAYS, len(entries))
    log(
        tx,
        node_journal(
            parts,
            kind="share",
            action="share",
            subjects=[entry.pseudonym for entry in entries if entry.pseudonym],
            summary=f"{parts.stream}/{sequence}: {len(entries)} entries",
        ),
    )
    return sequence


def _note_persons(tx: Transaction, parts: NodeParts, outgoing: Outgoing, sequence: int) -> None:
    """Remember of whom those above have been told what, and which envelope told of a consent or an erasure."""
    told = locators.announced(tx, parts.address, outgoing.locators)
    news = {
        pseudonym: outgoing.taken_back[pseudonym]
        for pseudonym, is_held in outgoing.locators.items()
        if told.get(pseudonym, "") != outgoing.said.get(pseudonym, "") or (pseudonym in told and not is_held)
    }
    news |= outgoing.taken_back
    notices.add(tx, "consent", parts.stream, sequence, {name: news[name] for name in news.keys() - outgoing.shredded})
    notices.add(tx, "shred", parts.stream, sequence, dict.fromkeys(outgoing.shredded, 0))
    held = [pseudonym for pseudonym, is_held in outgoing.locators.items() if is_held]
    locators.add(tx, parts.address, {pseudonym: outgoing.said.get(pseudonym, "") for pseudonym in held})
    for pseudonym, is_held in outgoing.locators.items():
        if not is_held:
            locators.forget(tx, pseudonym, parts.address)

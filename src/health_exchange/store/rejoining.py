"""What the database of one node knows of another: for a neighbour that lost its own, and for what is sent again."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import func, select

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym, StreamId
from health_exchange.model.sensitivity import ResourceClass, class_of
from health_exchange.store.schema import classes, feed, history, locators, notices, outbox, resources, streams, subjects
from health_exchange.store.transaction import Transaction, chunks


class Held(NamedTuple):
    """A resource of another origin, or its tombstone, as it is kept here."""

    rid: int
    type: str
    id: str
    version: int
    deleted: bool
    pseudonym: str
    changed_at: str


def held_of(tx: Transaction, origin: NodeAddress, *, since: str, after: int, limit: int) -> list[Held]:
    """What is kept of an origin and changed there since an instant, by row. Linear in all that is kept."""
    rows = tx.execute(
        select(
            resources.c.rid,
            resources.c.type,
            resources.c.id,
            resources.c.version,
            resources.c.deleted,
            subjects.c.pseudonym,
            resources.c.changed_at,
        )
        .join_from(resources, subjects, subjects.c.sid == resources.c.sid, isouter=True)
        .where(resources.c.rid > after, resources.c.origin == str(origin), resources.c.changed_at >= since)
        .order_by(resources.c.rid)
        .limit(limit)
    )
    return [
        Held(
            rid=row.rid,
            type=row.type,
            id=row.id,
            version=row.version,
            deleted=row.deleted,
            pseudonym=row.pseudonym or "",
            changed_at=row.changed_at,
        )
        for row in rows
    ]


def changed_since(tx: Transaction, origin: NodeAddress, since: str) -> Iterator[tuple[str, str, int]]:
    """Type, id and version of an origin's own resources that changed since an instant."""
    rows = tx.execute(
        select(resources.c.type, resources.c.id, resources.c.version).where(
            resources.c.origin == str(origin), resources.c.changed_at >= since
        )
    )
    return ((row.type, row.id, row.version) for row in rows)


def persons_of(
    tx: Transaction, node: NodeAddress, *, after: str = "", limit: int | None = None
) -> dict[Pseudonym, str]:
    """Persons of whom a node is known to hold something, with the consent it told, by pseudonym."""
    rows = tx.execute(
        select(locators.c.pseudonym, locators.c.consent)
        .where(locators.c.node == str(node), locators.c.pseudonym > after)
        .order_by(locators.c.pseudonym)
        .limit(limit)
    )
    return {Pseudonym(row.pseudonym): row.consent for row in rows}


def streams_of(tx: Transaction, origin: NodeAddress) -> dict[StreamId, int]:
    """An origin's streams, and the last place of each that came here."""
    rows = tx.execute(select(streams.c.stream, streams.c.sequence).where(streams.c.origin == str(origin)))
    return {StreamId(row.stream): row.sequence for row in rows}


def change_sent_with(tx: Transaction, stream: StreamId, sequence: int) -> int:
    """The last change that our envelopes up to one tell of; 0 where that was not noted."""
    ours = (outbox.c.stream == stream) & (outbox.c.sequence <= sequence)
    return tx.execute(select(func.max(outbox.c.sent_up_to)).where(ours)).scalar_one() or 0


def rows_changed_around(tx: Transaction, number: int) -> set[int]:
    """Rows of the resources that changed both up to a change of the feed and after it."""
    before = select(feed.c.rid).where(feed.c.change_id <= number)
    after = select(feed.c.rid).distinct().where(feed.c.change_id > number, feed.c.rid > 0, feed.c.rid.in_(before))
    return set(tx.execute(after).scalars())


def classes_ever(tx: Transaction, rids: set[int]) -> dict[int, set[ResourceClass]]:
    """Every class that a resource has had in any version, by row."""
    known = {
        row.class_id: class_of(row.type, row.sensitivity, row.category, row.jurisdiction)
        for row in tx.execute(select(classes))
    }
    found: dict[int, set[ResourceClass]] = {}
    for table in (resources, history):
        for chunk in chunks(rids):
            for row in tx.execute(select(table.c.rid, table.c.class_id).where(table.c.rid.in_(chunk))):
                found.setdefault(row.rid, set()).add(known[row.class_id])
    return found


def told_after(tx: Transaction, stream: StreamId, sequence: int) -> set[Pseudonym]:
    """Persons of whose consents our envelopes after one have told."""
    rows = tx.execute(
        select(notices.c.pseudonym).where(
            notices.c.kind == "consent", notices.c.stream == stream, notices.c.sequence > sequence
        )
    )
    return {Pseudonym(name) for name in rows.scalars()}


def has_spoken(tx: Transaction, sid: int, since: str) -> bool:
    """Whether a Consent of a subject was made or changed here since an instant."""
    consents = select(resources.c.rid).where(
        resources.c.sid == sid, resources.c.type == "Consent", resources.c.changed_at >= since
    )
    return tx.execute(consents.limit(1)).first() is not None

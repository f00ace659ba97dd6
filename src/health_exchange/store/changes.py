"""What the sender and the views read: numbered changes with the opened bodies and what is known of their subjects."""

from dataclasses import dataclass

from sqlalchemy import select

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.store import exports, feed, resources
from health_exchange.store.among import among, rows_among
from health_exchange.store.resources import StoredResource
from health_exchange.store.schema import subjects
from health_exchange.store.transaction import Transaction

_PEOPLE = select(subjects.c.sid, subjects.c.pseudonym, subjects.c.state, subjects.c.consent).where(
    among(subjects.c.sid, "sids")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChange:
    """One change.

    Attributes:
        row: The feed's row.
        resource: The resource at the change's version; ``None`` for a shredding, and after one.
        pseudonym: The person: at the time for ``reassign`` and ``shred``, otherwise now.
        subject_state: Of the subject now; empty for a directory resource.
        consent: The person's consent class now.
        exported_to: Who holds an earlier version.
    """

    row: feed.FeedRow
    resource: StoredResource | None
    pseudonym: Pseudonym | None
    subject_state: str
    consent: str
    exported_to: frozenset[NodeAddress]


def changes_after(tx: Transaction, number: int, limit: int) -> list[StoredChange]:
    """Numbered changes after ``number``, in order."""
    rows = feed.rows_after(tx, number, limit)
    rids = {row.rid for row in rows if row.rid}
    current = resources.by_rids(tx, rids)
    standings = exports.standings(tx, rids)
    people = {found.sid: found for found in rows_among(tx, _PEOPLE, "sids", {row.sid for row in rows if row.sid})}
    changes = []
    for row in rows:
        resource = current.get(row.rid)
        if resource is not None and resource.version != row.version:
            resource = resources.version(tx, resource.type, resource.id, row.version)
        person = people.get(row.sid)
        changes.append(
            StoredChange(
                row=row,
                resource=resource,
                pseudonym=row.pseudonym or (person.pseudonym if person else None),
                subject_state=person.state if person else "",
                consent=person.consent if person else "",
                exported_to=standings[row.rid].recipients if row.rid in standings else frozenset(),
            )
        )
    return changes

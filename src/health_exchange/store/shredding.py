"""Destroying what is kept of a person, in one transaction: key, bodies, history, index, standing; and telling on."""

from sqlalchemy import delete, select, update

from health_exchange.model.identifiers import Pseudonym
from health_exchange.store import exports, feed, node_state, tallies, token_index
from health_exchange.store.schema import history, pending, resources, subjects
from health_exchange.store.subjects import SubjectState
from health_exchange.store.transaction import Transaction, chunks

SCRUB = "scrub"
"""Node state: deleted bytes still lie in the database's files."""


def shred(tx: Transaction, pseudonym: Pseudonym, *, anchor: str | None = None) -> int:
    """Destroy everything of the person and add one ``shred`` to the feed; how many resources there were.

    A subject whose identity was taken back or is being corrected may be somebody else: it stays.

    Args:
        tx: The transaction.
        pseudonym: Whose.
        anchor: Only of the subject with this anchor: above the origins, what one origin sent.
    """
    living = select(subjects.c.sid, subjects.c.key_wrapped).where(
        subjects.c.pseudonym == pseudonym,
        subjects.c.state == SubjectState.KNOWN.value,
        subjects.c.key_wrapped.is_not(None),
    )
    people = list(tx.execute(living if anchor is None else living.where(subjects.c.anchor == anchor)))
    destroyed = sum(destroy(tx, person.sid) for person in people)
    for person in people:
        tx.ring.forget(person.key_wrapped)
    if people:
        node_state.put(tx, SCRUB, b"due")
        feed.add(tx, [feed.FeedRow(rid=0, version=0, op="shred", sid=people[0].sid, pseudonym=pseudonym)])
    return destroyed


def names_of(tx: Transaction, pseudonym: Pseudonym) -> frozenset[tuple[str, str]]:
    """Type and id of everything kept of a person, tombstones too."""
    rows = tx.execute(
        select(resources.c.type, resources.c.id)
        .join(subjects, subjects.c.sid == resources.c.sid)
        .where(subjects.c.pseudonym == pseudonym, subjects.c.state == SubjectState.KNOWN.value)
    )
    return frozenset((row.type, row.id) for row in rows)


def destroy(tx: Transaction, sid: int) -> int:
    """Destroy everything of one subject, and tell nobody; how many resources there were."""
    rows = list(tx.execute(select(resources.c.rid, resources.c.deleted).where(resources.c.sid == sid)))
    rids = [row.rid for row in rows]
    tallies.change(tx, {(sid, ""): -sum(not row.deleted for row in rows)})
    exports.forget(tx, rids)
    token_index.drop(tx, rids)
    for chunk in chunks(rids):
        for table in (history, resources):
            tx.execute(delete(table).where(table.c.rid.in_(chunk)))
    tx.execute(delete(history).where(history.c.sid == sid))
    tx.execute(delete(pending).where(pending.c.sid == sid))
    tx.execute(
        update(subjects)
        .where(subjects.c.sid == sid)
        .values(
            key_wrapped=None,
            anchor=None,
            pseudonym=None,
            consent="",
            consent_changes_at=None,
            state=SubjectState.SHREDDED.value,
        )
    )
    return len(rids)

"""Changes that an origin tells of what others hold: taking a resource back, and saying whose it really is."""

from sqlalchemy import delete, update

from health_exchange.crypto.sealing import NONCE_BYTES
from health_exchange.model.identifiers import Pseudonym
from health_exchange.store import feed, subjects, tallies, token_index
from health_exchange.store.bodies import pack_body, seal_packed
from health_exchange.store.resources import StoredResource
from health_exchange.store.schema import history, resources
from health_exchange.store.transaction import Transaction


def withdraw(tx: Transaction, resource: StoredResource, *, version: int, changed_at: str) -> None:
    """Take a resource back above its origin: nothing of any version stays but a tombstone."""
    if not resource.deleted:
        tallies.change(tx, {(resource.sid, resource.origin): -1})
    token_index.drop(tx, [resource.rid])
    tx.execute(delete(history).where(history.c.rid == resource.rid))
    tx.execute(
        update(resources)
        .where(resources.c.rid == resource.rid)
        .values(version=version, changed_at=changed_at, instant=None, deleted=True, body=None, tokens=[])
    )
    feed.add(tx, [feed.FeedRow(rid=resource.rid, version=version, op="delete", sid=resource.sid)])


def reassign(tx: Transaction, resource: StoredResource, owner: subjects.Subject, previous: Pseudonym | None) -> None:
    """Give a resource to another subject, under that one's key; former versions go, they were told of the wrong one."""
    body = None
    if resource.body is not None:
        body = seal_packed(
            owner.key,
            pack_body(resource.type, resource.body),
            sid=owner.sid,
            resource_type=resource.type,
            resource_id=resource.id,
            version=resource.version,
            nonce=tx.randomness(NONCE_BYTES),
        )
    if not resource.deleted and resource.sid != owner.sid:
        tallies.change(tx, {(resource.sid, resource.origin): -1, (owner.sid, resource.origin): 1})
    tx.execute(delete(history).where(history.c.rid == resource.rid))
    tx.execute(update(resources).where(resources.c.rid == resource.rid).values(sid=owner.sid, body=body))
    row = feed.FeedRow(
        rid=resource.rid,
        version=resource.version,
        op="reassign",
        sid=owner.sid,
        pseudonym=owner.pseudonym,
        previous=previous,
    )
    feed.add(tx, [row])

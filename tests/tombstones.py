"""Deleting as a node does, for tests that begin with what is deleted."""

from health_exchange.store.resources import NewVersion, StoredResource, put
from health_exchange.store.transaction import Transaction


def delete_resource(tx: Transaction, resource: StoredResource, *, version: int, changed_at: str) -> int:
    """Put a tombstone in place of ``resource``, which must still be current; its row number."""
    tombstone = NewVersion(
        type=resource.type,
        id=resource.id,
        sid=resource.sid,
        origin=resource.origin,
        version=version,
        resource_class=resource.resource_class,
        changed_at=changed_at,
        instant=None,
        expected=resource.version,
    )
    return put(tx, tombstone)

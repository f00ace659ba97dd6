"""The sealed cache of pseudonyms, for ingest only: a keyed tag of the identity leads to a sealed pseudonym.

The store sees neither identity nor pseudonym; ``pseudonym.cache`` makes and opens what is kept here.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, select

from health_exchange.store.schema import identity_cache
from health_exchange.store.transaction import Transaction, chunks

_BY_TAGS = select(identity_cache.c.tag, identity_cache.c.sealed).where(
    identity_cache.c.tag.in_(bindparam("tags", expanding=True))
)


def lookup(tx: Transaction, tags: Sequence[bytes]) -> dict[bytes, bytes]:
    """Sealed pseudonyms of the tags that are known."""
    return {row.tag: row.sealed for chunk in chunks(tags) for row in tx.execute(_BY_TAGS, {"tags": chunk})}


def forget(tx: Transaction, tags: Sequence[bytes]) -> None:
    """Drop what is kept under tags."""
    for chunk in chunks(tags):
        tx.execute(delete(identity_cache).where(identity_cache.c.tag.in_(chunk)))


def remember(tx: Transaction, sealed: Mapping[bytes, bytes]) -> None:
    """Keep sealed pseudonyms by tag; known tags stay as they are."""
    known = lookup(tx, list(sealed))
    rows = [(tag, value) for tag, value in sealed.items() if tag not in known]
    tx.insert_many(identity_cache, rows)

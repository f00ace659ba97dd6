"""Answers given to requests, so that a repeated one gets the same answer and is carried out once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zstandard
from sqlalchemy import bindparam, delete, select, update

from health_exchange.store.schema import answered
from health_exchange.store.transaction import Transaction, chunks

EMPTIED = b""
"""Body of an answer about what was erased since."""
_FOLDED = b"\x28\xb5\x2f\xfd"
"""How what is compressed begins. What the release before this one kept is not, and begins otherwise."""
_OF = select(answered.c.digest, answered.c.body).where(answered.c.key == bindparam("of"))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """Digest of the request and the answer it got."""

    digest: bytes
    body: bytes


def answer_of(tx: Transaction, key: str) -> KeptAnswer | None:
    """The answer kept under ``key``."""
    row = tx.execute(_OF, {"of": key}).one_or_none()
    return KeptAnswer(digest=row.digest, body=_unfolded(row.body)) if row else None


def keep(tx: Transaction, key: str, digest: bytes, body: bytes) -> None:
    """Keep an answer. A key that is kept already fails the transaction: the other request was faster."""
    # A long answer says the same of every resource but its id.
    folded = zstandard.ZstdCompressor().compress(body)
    tx.insert_many(answered, [(key, digest, folded, tx.clock.now().isoformat())])


def mentioning(tx: Transaction, mentions: Callable[[bytes], bool], *, since: str = "") -> list[str]:
    """Keys of answers kept since an instant whose bodies mention something. Linear in them."""
    rows = tx.execute(select(answered.c.key, answered.c.body).where(answered.c.kept_at >= since))
    return [row.key for row in rows if row.body != EMPTIED and mentions(_unfolded(row.body))]


def empty(tx: Transaction, keys: Sequence[str]) -> None:
    """Take the bodies out of answers; that their requests were carried out stays known."""
    for chunk in chunks(keys):
        tx.execute(update(answered).where(answered.c.key.in_(chunk)).values(body=EMPTIED))


def forget_before(tx: Transaction, kept_at: str) -> int:
    """Drop answers older than ``kept_at``; how many."""
    return tx.execute(delete(answered).where(answered.c.kept_at < kept_at)).rowcount


def _unfolded(body: bytes) -> bytes:
    """A body as it was given."""
    return zstandard.ZstdDecompressor().decompress(body) if body.startswith(_FOLDED) else body

"""What may be used once: token ids, hop nonces, evaluated requests. Kept until they would have expired anyway."""

from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, select

from health_exchange.store.schema import replays
from health_exchange.store.transaction import Transaction

_USED = select(replays.c.key).where(replays.c.kind == bindparam("kind"), replays.c.key == bindparam("key"))


def spend(tx: Transaction, kind: str, key: str, expires_at: datetime) -> bool:
    """Use ``key`` up; ``False`` where it was used before."""
    if tx.execute(_USED, {"kind": kind, "key": key}).one_or_none() is not None:
        return False
    tx.insert_many(replays, [(kind, key, _text(expires_at))])
    return True


def is_spent(tx: Transaction, kind: str, key: str) -> bool:
    """Whether ``key`` was used up."""
    return tx.execute(_USED, {"kind": kind, "key": key}).one_or_none() is not None


def forget_expired(tx: Transaction) -> int:
    """Drop what can no longer be replayed; how many."""
    return tx.execute(delete(replays).where(replays.c.expires_at < _text(tx.clock.now()))).rowcount


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")

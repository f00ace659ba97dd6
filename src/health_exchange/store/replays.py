"""What may be used once: token ids, hop nonces, evaluated requests. Kept until they would have expired anyway."""

from datetime import UTC, datetime

from sqlalchemy import delete, insert, select

from health_exchange.store.schema import replays
from health_exchange.store.transaction import Transaction


def spend(tx: Transaction, kind: str, key: str, expires_at: datetime) -> bool:
    """Use ``key`` up; ``False`` where it was used before."""
    used = tx.execute(select(replays.c.key).where(replays.c.kind == kind, replays.c.key == key)).one_or_none()
    if used is not None:
        return False
    tx.execute(insert(replays).values(kind=kind, key=key, expires_at=_text(expires_at)))
    return True


def forget_expired(tx: Transaction) -> int:
    """Drop what can no longer be replayed; how many."""
    return tx.execute(delete(replays).where(replays.c.expires_at < _text(tx.clock.now()))).rowcount


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="microseconds")

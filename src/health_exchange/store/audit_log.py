"""The log's entries, sealed under the key of their month, and its tiles, checkpoints and cosignatures as bytes.

The log's leaf is a salted commitment that ``audit.entries`` computes. One writer at a time numbers entries from 1 as it
adds them, gapless and in the order of commits, so that an entry's position in the log is its number less one. Period
keys are destroyed at the end of retention, never by shredding.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from health_exchange.crypto.sealing import NONCE_BYTES, open_sealed, seal
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.store.schema import (
    audit_entries,
    audit_periods,
    audit_references,
    audit_subjects,
    checkpoints,
    cosignatures,
    tiles,
    witnessed,
)
from health_exchange.store.transaction import Transaction

KEY_BYTES = 32
REFERENCE_BYTES = 16
_REFERENCES = b"audit-references"

_PERIOD_KEY = select(audit_periods.c.key_wrapped).where(audit_periods.c.period == bindparam("of"))
_LAST = select(func.max(audit_entries.c.entry_id))
_TILE = select(tiles.c.content).where(tiles.c.path == bindparam("at"))
_LATEST = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry at its place; ``raw`` is ``None`` where its period's key was destroyed."""

    position: int
    leaf: bytes
    raw: bytes | None


class NewEntry(NamedTuple):
    """An entry to keep.

    Attributes:
        raw: Salt and entry.
        leaf: Their commitment.
        subjects: Whose records the entry is about.
        reference: By what it can be found again; kept as a keyed hash. Empty for none.
    """

    raw: bytes
    leaf: bytes
    subjects: Iterable[Pseudonym] = ()
    reference: str = ""


def append(tx: Transaction, new: Sequence[NewEntry]) -> range:
    """Keep entries, in this order; their numbers."""
    period = tx.clock.now().strftime("%Y-%m")
    first = tx.allocate("audit-entries", len(new))
    key = _period_key(tx, period)
    nonces = tx.randomness(NONCE_BYTES * len(new))
    kept, about, references = [], [], []
    for entry_id, entry in enumerate(new, first):
        nonce = nonces[NONCE_BYTES * (entry_id - first) : NONCE_BYTES * (entry_id - first + 1)]
        sealed = seal(key, entry.raw, aad=_aad(entry_id, period), nonce=nonce)
        kept.append((entry_id, entry_id - 1, period, entry.leaf, sealed))
        about += [(pseudonym, entry_id) for pseudonym in sorted(set(entry.subjects))]
        if entry.reference:
            references.append((_hashed(tx, entry.reference), entry_id))
    tx.insert_many(audit_entries, kept)
    tx.insert_many(audit_subjects, about)
    tx.insert_many(audit_references, references)
    return range(first, first + len(new))


def entries_under(tx: Transaction, reference: str, limit: int) -> list[bytes]:
    """Entries that were kept under a reference, the latest first; those past retention are left out."""
    rows = tx.execute(
        select(audit_entries, audit_periods.c.key_wrapped)
        .join(audit_references, audit_references.c.entry_id == audit_entries.c.entry_id)
        .join(audit_periods, audit_periods.c.period == audit_entries.c.period)
        .where(audit_references.c.reference == _hashed(tx, reference), audit_periods.c.key_wrapped.is_not(None))
        .order_by(audit_entries.c.entry_id.desc())
        .limit(limit)
    )
    return [
        open_sealed(tx.ring.unwrap(row.key_wrapped), row.sealed, aad=_aad(row.entry_id, row.period)) for row in rows
    ]


def size(tx: Transaction) -> int:
    """How many entries there are."""
    return tx.execute(_LAST).scalar_one() or 0


def leaves(tx: Transaction, start: int, end: int) -> list[bytes]:
    """Commitments at positions ``start`` to ``end``, exclusive."""
    rows = tx.execute(
        select(audit_entries.c.leaf)
        .where(audit_entries.c.entry_id > start, audit_entries.c.entry_id <= end)
        .order_by(audit_entries.c.entry_id)
    )
    return list(rows.scalars())


def entries(tx: Transaction, start: int, end: int) -> list[LogEntry]:
    """Opened entries at positions ``start`` to ``end``, exclusive."""
    rows = tx.execute(
        select(audit_entries, audit_periods.c.key_wrapped)
        .join(audit_periods, audit_periods.c.period == audit_entries.c.period)
        .where(audit_entries.c.entry_id > start, audit_entries.c.entry_id <= end)
        .order_by(audit_entries.c.entry_id)
    )
    return [
        LogEntry(
            position=row.entry_id - 1,
            leaf=row.leaf,
            raw=open_sealed(tx.ring.unwrap(row.key_wrapped), row.sealed, aad=_aad(row.entry_id, row.period))
            if row.key_wrapped is not None
            else None,
        )
        for row in rows
    ]


def position_of(entry_id: int) -> int:
    """Where an entry stands in the log."""
    return entry_id - 1


def positions_about(tx: Transaction, pseudonym: Pseudonym) -> list[int]:
    """Positions of the entries that disclose something of a person."""
    rows = tx.execute(
        select(audit_subjects.c.entry_id)
        .where(audit_subjects.c.pseudonym == pseudonym)
        .order_by(audit_subjects.c.entry_id)
    )
    return [position_of(entry_id) for entry_id in rows.scalars()]


def first_position_of(tx: Transaction, period: str) -> int:
    """Where the entries of a month and those after it begin; the log's size where there are none."""
    first: int | None = tx.execute(
        select(func.min(audit_entries.c.entry_id)).where(audit_entries.c.period >= period)
    ).scalar_one()
    return size(tx) if first is None else position_of(first)


def save_tiles(tx: Transaction, contents: Mapping[str, bytes]) -> None:
    """Keep tiles by path, in place of what was there."""
    tx.execute(delete(tiles).where(tiles.c.path.in_(list(contents))))
    tx.insert_many(tiles, list(contents.items()))


def tile(tx: Transaction, path: str) -> bytes | None:
    """One tile."""
    content: bytes | None = tx.execute(_TILE, {"at": path}).scalar_one_or_none()
    return content


def all_tiles(tx: Transaction) -> dict[str, bytes]:
    """Every tile by its path."""
    return {row.path: row.content for row in tx.execute(select(tiles).order_by(tiles.c.path))}


def save_checkpoint(tx: Transaction, tree_size: int, note: bytes) -> None:
    """Keep the signed checkpoint of one tree size; the first one stays."""
    known = tx.execute(select(checkpoints.c.size).where(checkpoints.c.size == tree_size)).one_or_none()
    if known is None:
        tx.execute(insert(checkpoints).values(size=tree_size, note=note))


def latest_checkpoint(tx: Transaction) -> bytes | None:
    """The latest signed checkpoint."""
    return tx.execute(_LATEST).scalar_one_or_none()


def all_checkpoints(tx: Transaction) -> list[tuple[int, bytes]]:
    """Every checkpoint with its size, in order."""
    return [(row.size, row.note) for row in tx.execute(select(checkpoints).order_by(checkpoints.c.size))]


def checkpoint_at(tx: Transaction, tree_size: int) -> bytes | None:
    """The signed checkpoint of one tree size."""
    return tx.execute(select(checkpoints.c.note).where(checkpoints.c.size == tree_size)).scalar_one_or_none()


def cosigned_size(tx: Transaction) -> int:
    """Size of the latest checkpoint that a witness has cosigned; 0 where none has."""
    latest: int | None = tx.execute(select(func.max(cosignatures.c.size))).scalar_one()
    return latest or 0


def save_cosignature(tx: Transaction, tree_size: int, witness: str, raw: bytes) -> None:
    """Keep a witness's cosignature of one checkpoint; the first one stays."""
    ours = (cosignatures.c.size == tree_size) & (cosignatures.c.witness == witness)
    if tx.execute(select(cosignatures.c.size).where(ours)).one_or_none() is None:
        tx.execute(insert(cosignatures).values(size=tree_size, witness=witness, raw=raw))


def cosignatures_of(tx: Transaction, tree_size: int) -> dict[str, bytes]:
    """Cosignatures of one checkpoint, by witness."""
    rows = tx.execute(select(cosignatures).where(cosignatures.c.size == tree_size).order_by(cosignatures.c.witness))
    return {row.witness: row.raw for row in rows}


def witnessed_head(tx: Transaction, origin: str) -> tuple[int, bytes] | None:
    """Size and root this node last cosigned of another log."""
    row = tx.execute(select(witnessed).where(witnessed.c.origin == origin)).one_or_none()
    return (row.size, row.root) if row else None


def witness(tx: Transaction, origin: str, tree_size: int, root: bytes) -> None:
    """Note what this node cosigns of another log."""
    if (
        tx.execute(update(witnessed).where(witnessed.c.origin == origin).values(size=tree_size, root=root)).rowcount
        == 0
    ):
        tx.execute(insert(witnessed).values(origin=origin, size=tree_size, root=root))


def destroy_period(tx: Transaction, period: str) -> None:
    """Destroy the key of a month whose retention has ended; leaves stay, entries open no more."""
    tx.execute(update(audit_periods).where(audit_periods.c.period == period).values(key_wrapped=None))


def _period_key(tx: Transaction, period: str) -> Secret:
    wrapped = tx.execute(_PERIOD_KEY, {"of": period}).scalar_one_or_none()
    if wrapped is not None:
        return tx.ring.unwrap(wrapped)
    key = Secret(tx.randomness(KEY_BYTES))
    tx.execute(insert(audit_periods).values(period=period, key_wrapped=tx.ring.wrap(key)))
    return key


def _hashed(tx: Transaction, reference: str) -> bytes:
    """A reference as the index holds it: who has only the database cannot look for one."""
    key = blake2b(_REFERENCES, key=tx.keys.tokens.raw, digest_size=32).digest()
    return blake2b(reference.encode(), key=key, digest_size=REFERENCE_BYTES).digest()


def _aad(entry_id: int, period: str) -> bytes:
    return f"audit|{entry_id}|{period}".encode()

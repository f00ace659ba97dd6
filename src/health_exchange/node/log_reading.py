"""A node's own log as an auditor's question finds it: latest entries first, a bounded page at a time, each proven.

Entries lie sealed and only persons have an index, so any other question opens entries one by one: a page looks at no
more than ``SCAN_MAX`` of them and says where to go on.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache

import msgspec

from health_exchange.audit import tiles
from health_exchange.audit.checkpoints import parse_checkpoint
from health_exchange.audit.entries import decode_entry
from health_exchange.audit.excerpts import LogExcerpt, ProvenEntry
from health_exchange.audit.merkle import prove_inclusion
from health_exchange.audit.questions import Conditions, LogQuestion
from health_exchange.node import housekeeping
from health_exchange.node.journal import SALT_BYTES
from health_exchange.node.parts import NodeParts
from health_exchange.store import audit_log, incarnations
from health_exchange.store.audit_log import LogEntry
from health_exchange.store.engine import Transaction

COUNT_MAX = 500
SCAN_MAX = 20_000
_CHUNK = 500
_STRAGGLE = timedelta(hours=1)
"""An entry may stand behind later ones by the time its request took; this is far beyond."""


async def read_log(
    parts: NodeParts, question: LogQuestion, *, before: int | None, count: int, asker: str
) -> LogExcerpt:
    """One page of what the question asks for, up to whatever was committed when it was asked.

    Args:
        parts: The node's.
        question: Checked.
        before: Only entries below this position; ``None`` from the end.
        count: At most so many.
        asker: Who asks; it may take long.

    Raises:
        TooSlowError: It takes too long; or ``CrowdedError``, its turn does not come.
    """
    await housekeeping.checkpoint(parts)
    return await parts.store.read(lambda tx: _excerpt(tx, parts, question, before, min(count, COUNT_MAX)), asker=asker)


def _excerpt(tx: Transaction, parts: NodeParts, question: LogQuestion, before: int | None, count: int) -> LogExcerpt:
    """The page, in one consistent state."""
    note = audit_log.latest_checkpoint(tx)
    size = parse_checkpoint(note.decode()).size if note is not None else 0
    end = size if before is None else min(before, size)
    found: list[LogEntry] = []
    rest, withheld = None, 0
    conditions = Conditions(question)
    for looked, kept in enumerate(_candidates(tx, question, conditions, end)):
        if len(found) == count or looked == SCAN_MAX:
            rest = kept.position + 1
            break
        withheld += kept.raw is None
        if kept.raw is not None and conditions.hold_for(decode_entry(kept.raw[SALT_BYTES:])):
            found.append(kept)
    proven = _proven(tx, found, size)
    sizes = sorted({each.size for each in proven} | ({size} if size else set()))
    return LogExcerpt(
        origin=parts.log_origin,
        checkpoints=[_signed(tx, each) for each in sizes],
        entries=proven,
        before=rest,
        withheld=withheld,
    )


def _proven(tx: Transaction, found: Iterable[LogEntry], size: int) -> list[ProvenEntry]:
    """Entries with their paths: to the latest cosigned checkpoint where it covers them, else to the latest one."""
    cosigned = min(audit_log.cosigned_size(tx), size)
    if cosigned <= incarnations.lives(tx)[-1].first_entry:
        cosigned = 0  # signed under the name of a log that ended
    # Neighbours share most of their paths.
    subtree = cache(tiles.subtree_reader(cache(lambda name: audit_log.tile(tx, name))))
    proven = []
    for kept in found:
        under, raw = cosigned if kept.position < cosigned else size, kept.raw or b""
        proven.append(
            ProvenEntry(
                position=kept.position,
                salt=raw[:SALT_BYTES],
                entry=msgspec.Raw(raw[SALT_BYTES:]),
                size=under,
                path=[bytes(sibling) for sibling in prove_inclusion(kept.position, under, subtree)],
            )
        )
    return proven


def _candidates(tx: Transaction, question: LogQuestion, conditions: Conditions, end: int) -> Iterator[LogEntry]:
    """Entries that may be asked for, the latest first."""
    if question.position is not None:
        yield from audit_log.entries(tx, question.position, min(question.position + 1, end))
        return
    if question.person:
        for position in reversed(audit_log.positions_about(tx, question.person)):
            if position < end:
                yield from audit_log.entries(tx, position, position + 1)
        return
    first = 0
    if conditions.since is not None:
        first = audit_log.first_position_of(tx, f"{conditions.since - _STRAGGLE:%Y-%m}")
    while end > first:
        start = max(first, end - _CHUNK)
        yield from reversed(audit_log.entries(tx, start, end))
        end = start


def _signed(tx: Transaction, size: int) -> str:
    """The checkpoint of one size with its cosignatures."""
    note = audit_log.checkpoint_at(tx, size) or b""
    return (note + b"".join(audit_log.cosignatures_of(tx, size).values())).decode()

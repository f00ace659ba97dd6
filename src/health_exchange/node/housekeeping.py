"""Signed checkpoints over the log, and putting away what is no longer needed."""

import asyncio
from datetime import timedelta
from functools import partial

from health_exchange.audit import tiles
from health_exchange.audit.checkpoints import Checkpoint, sign_checkpoint
from health_exchange.audit.merkle import root_of
from health_exchange.node.parts import NodeParts
from health_exchange.search import reindexing
from health_exchange.store import answered, audit_log, generations, node_state, replays, tallies
from health_exchange.store.engine import Transaction
from health_exchange.store.shredding import SCRUB
from health_exchange.telemetry.events import log_event

LOGGED = "logged"
"""Cursor: how many entries stand in tiles under a checkpoint."""
LEAVES_MAX = 10_000
ANSWERS_KEPT = timedelta(days=7)
"""How long the same request gets the same answer."""


async def checkpoint(parts: NodeParts) -> bool:
    """Put new entries into tiles and sign the log's new size and root; whether there was news."""
    logged, size = await parts.store.read(_sizes)
    if logged == size:
        return False
    await parts.store.write(lambda tx: _advance(tx, parts))
    return True


async def tally(parts: NodeParts) -> bool:
    """Fold what was written into the counts that status tells; whether there was anything."""
    if not await parts.store.read(tallies.has_work):
        return False
    await parts.store.write(tallies.fold)
    return True


async def scrub(parts: NodeParts) -> bool:
    """Overwrite what a shredding deleted, also in the database's own logs; whether there was anything."""
    if await parts.store.read(lambda tx: node_state.get(tx, SCRUB)) not in {b"due", b"underway"}:
        return False
    # Said before, so that a shredding meanwhile says it anew; a crash in between leaves it due.
    await parts.store.write(lambda tx: node_state.put(tx, SCRUB, b"underway"))
    done = await asyncio.to_thread(parts.store.scrub)
    return await parts.store.write(partial(_end_scrub, done=done))


async def forget(parts: NodeParts) -> bool:
    """Drop what can no longer be replayed, and answers too old to be asked for again."""
    await parts.store.write(lambda tx: _forget(tx, parts))
    return False


async def reindex(parts: NodeParts) -> bool:
    """Give rows of an earlier release the search tokens of this one; whether there were any without."""
    if await parts.store.read(generations.is_current):
        return False
    done = await parts.store.write(reindexing.step)
    if done is not None and done.unopened:
        log_event("reindex-passed-over", count=done.unopened)
    return done is not None


def _end_scrub(tx: Transaction, *, done: bool) -> bool:
    """Note that it is done, unless more was deleted meanwhile or a reader was in the way."""
    if done and node_state.get(tx, SCRUB) == b"underway":
        node_state.put(tx, SCRUB, b"done")
        return True
    node_state.put(tx, SCRUB, b"due")
    return False


def _forget(tx: Transaction, parts: NodeParts) -> None:
    replays.forget_expired(tx)
    answered.forget_before(tx, (parts.clock.now() - ANSWERS_KEPT).isoformat())


def _sizes(tx: Transaction) -> tuple[int, int]:
    """Entries under the latest checkpoint, and all entries."""
    return node_state.cursor(tx, LOGGED), audit_log.size(tx)


def _advance(tx: Transaction, parts: NodeParts) -> None:
    """The next tiles and their checkpoint, in one transaction."""
    logged, size = _sizes(tx)
    size = min(size, logged + LEAVES_MAX)

    def load(name: str) -> bytes | None:
        return changed.get(name) or audit_log.tile(tx, name)

    changed: dict[str, bytes] = {}
    changed = tiles.append(logged, audit_log.leaves(tx, logged, size), load)
    root = root_of(size, tiles.subtree_reader(load))
    note = sign_checkpoint(Checkpoint(origin=parts.log_origin, size=size, root=root), parts.keys.log_seed)
    audit_log.save_tiles(tx, changed)
    audit_log.save_checkpoint(tx, size, note.encode())
    node_state.set_cursor(tx, LOGGED, size)

"""Replacing the key that wraps all keys in a node's database, while the node serves.

The new key enters the key file beside the old one; running processes see that before they wrap anything and where
something does not open. Then every wrapped key is wrapped anew in small steps. Once a whole pass finds nothing under
the old key, the old key leaves the file. Killed at any point, the same command goes on.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from health_exchange.audit.entries import AuditEntry
from health_exchange.model.errors import UnavailableError
from health_exchange.node.journal import log
from health_exchange.store import rewrapping
from health_exchange.store.engine import Store, Transaction
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.settings import Settings

T = TypeVar("T")

BUSY_TRIES = 20
SCRUB_EVERY_S = 0.5


def rotate_at_rest(settings: Settings, *, step: int, rest_s: float, tell: Callable[[str], None]) -> int:
    """Put a new key at rest in place of the present one; how many subjects' keys were wrapped anew.

    Args:
        settings: The node's.
        step: How many keys one transaction wraps.
        rest_s: How long to leave the database to the node between two transactions.
        tell: Is told how it goes.

    Raises:
        FileBusyError: Another command is at these keys.
        UnavailableError: The database does not answer; what was done stays, the command goes on from there.
    """
    file = KeyFile(settings.keys)
    with file.locked():
        if file.now().former.at_rest:
            tell("a rotation was begun before; going on with it")
        else:
            file.replace(file.now().renewed(["at_rest"], os.urandom))
            tell(f"{settings.keys} holds a new key beside the present one")
        store = open_store(settings)
        try:
            changed = _wrap_all(store, settings, step=step, rest_s=rest_s, tell=tell)
        finally:
            store.close()
        file.replace(file.now().keeping(at_rest=()))
        tell("nothing needs the former key any more; it has left the key file")
    return changed


def _scrub(store: Store, tell: Callable[[str], None]) -> None:
    """Overwrite pages with keys wrapped by the former key, once no reader is in the way."""
    for _attempt in range(BUSY_TRIES):
        if store.scrub():
            return
        time.sleep(SCRUB_EVERY_S)
    tell("a reader keeps the database from overwriting what was wrapped before; run the command again when it is gone")


def _wrap_all(store: Store, settings: Settings, *, step: int, rest_s: float, tell: Callable[[str], None]) -> int:
    """Passes over all subjects until one finds nothing to do; how much the others found."""
    tell(f"{store.read_now(rewrapping.count_left)} subjects to look at")
    total, in_pass, is_whole = 0, 0, False
    while True:
        done = _patiently(store, lambda tx: rewrapping.step(tx, step))
        total, in_pass = total + done.changed, in_pass + done.changed
        if done.looked:
            time.sleep(rest_s)
            continue
        if is_whole and not in_pass:
            break
        in_pass, is_whole = 0, True
    _patiently(store, rewrapping.wrap_periods)
    _patiently(store, partial(log, entry=_entry(settings, total)))
    _scrub(store, tell)
    return total


def _patiently(store: Store, fn: Callable[[Transaction], T]) -> T:
    """What ``fn`` returns, asked again where the node holds the database just now."""
    for attempt in range(BUSY_TRIES):
        try:
            return store.write_now(fn)
        except UnavailableError:
            time.sleep(0.1 * attempt)
    return store.write_now(fn)


def _entry(settings: Settings, count: int) -> AuditEntry:
    """What the log says of it."""
    return AuditEntry(
        kind="keys",
        at=datetime.now(UTC).isoformat(),
        node=settings.address,
        action="rotate-at-rest",
        outcome="allowed",
        principal="operator",
        principal_kind="operator",
        summary=f"{count} subject keys wrapped anew",
    )

"""The first thing a node does: say in its log that it starts, with which policies."""

from functools import partial

from health_exchange.audit.entries import AuditEntry
from health_exchange.node.journal import log, node_journal
from health_exchange.node.key_ages import note_keys
from health_exchange.node.parts import NodeParts
from health_exchange.store.engine import Transaction


def note_start(parts: NodeParts) -> None:
    """Enter the start in the log; a node whose log cannot be written does not start.

    Raises:
        UnavailableError: The database does not answer.
    """
    entry = node_journal(parts, kind="start", action="start", summary=f"stream {parts.stream}")
    parts.store.write_now(partial(_note, parts=parts, entry=entry))


def _note(tx: Transaction, parts: NodeParts, entry: AuditEntry) -> None:
    log(tx, entry)
    note_keys(tx, parts)

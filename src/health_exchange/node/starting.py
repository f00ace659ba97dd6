"""The first thing a node does: say in its log that it starts, with which policies."""

from functools import partial

from health_exchange.audit.entries import AuditEntry
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.journal import log, node_journal
from health_exchange.node.key_ages import note_keys
from health_exchange.node.parts import NodeParts
from health_exchange.store import incarnations, node_state
from health_exchange.store.engine import Transaction


class NotRejoinedError(ExchangeError):
    """The database was restored, and what others know of what was lost was not asked for yet."""

    category = Category.CONFLICT
    code = "not-rejoined"


def note_start(parts: NodeParts) -> None:
    """Enter the start in the log; a node whose log cannot be written does not start.

    Raises:
        NotRejoinedError: Its database was restored and has not rejoined the network.
        UnavailableError: The database does not answer.
    """
    parts.store.read_now(_check_rejoined)
    entry = node_journal(parts, kind="start", action="start", summary=f"stream {parts.stream}")
    parts.store.write_now(partial(_note, parts=parts, entry=entry))


def _note(tx: Transaction, parts: NodeParts, entry: AuditEntry) -> None:
    log(tx, entry)
    note_keys(tx, parts)


def _check_rejoined(tx: Transaction) -> None:
    if node_state.get(tx, incarnations.LOADING) is not None:
        raise NotRejoinedError("a restore of the database was broken off: empty it and restore again")
    if incarnations.rejoining(tx) is not None:
        raise NotRejoinedError("the database was restored: run health-exchange database rejoin first")

"""The first thing a node does: say in its log that it starts, with which policies."""

from health_exchange.node.journal import log, node_journal
from health_exchange.node.parts import NodeParts


def note_start(parts: NodeParts) -> None:
    """Enter the start in the log; a node whose log cannot be written does not start.

    Raises:
        UnavailableError: The database does not answer.
    """
    entry = node_journal(parts, kind="start", action="start", summary=f"stream {parts.stream}")
    parts.store.write_now(lambda tx: log(tx, entry))

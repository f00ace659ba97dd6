"""Who was not heard of lately: an aggregating node looks at its subtree, and directions say what they may lack.

A node is behind where it does not answer, or where its envelopes have waited for its parent over two surveys. Before
the first survey, or when the last one is old, this node says that it does not know its own subtree.
"""

from datetime import datetime, timedelta

import msgspec

from health_exchange.node.network import network_status
from health_exchange.node.parts import NodeParts
from health_exchange.store import node_state
from health_exchange.store.engine import Transaction

EVERY = timedelta(seconds=10)
GOOD_FOR = 6 * EVERY
_NAME = "survey"


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the subtree.

    Attributes:
        at: When.
        away: Nodes that did not answer; nothing is known of what lies below them.
        waiting: Nodes whose envelopes waited for their parent.
        behind: Who is behind, by this survey and the one before.
    """

    at: datetime
    away: list[str]
    waiting: list[str]
    behind: list[str]


async def survey(parts: NodeParts) -> bool:
    """Look at the subtree, if the last look is old enough. Never counts as work: it has no end."""
    last = await parts.store.read(_last)
    if last is not None and abs(parts.clock.now() - last.at) < EVERY:
        return False
    status = await network_status(parts)
    waiting = [node.address for node in status.nodes if node.undelivered]
    before = last.waiting if last is not None else []
    found = Survey(
        at=parts.clock.now(),
        away=status.away,
        waiting=waiting,
        behind=sorted({*status.away, *(set(waiting) & set(before))}),
    )
    await parts.store.write(lambda tx: node_state.put(tx, _NAME, msgspec.json.encode(found)))
    return False


def behind(tx: Transaction, parts: NodeParts) -> tuple[str, ...]:
    """Addresses of the nodes of the subtree that are behind; this node's own where it does not know."""
    last = _last(tx)
    if last is None or abs(parts.clock.now() - last.at) > GOOD_FOR:
        return (str(parts.address),)
    return tuple(last.behind)


def _last(tx: Transaction) -> Survey | None:
    """The last survey."""
    raw = node_state.get(tx, _NAME)
    return msgspec.json.decode(raw, type=Survey) if raw else None

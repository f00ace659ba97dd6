"""Who was not heard of lately: an aggregating node looks at its subtree, and directions say what they may lack.

A node is behind where it does not answer, or where its envelopes have waited for its parent over two surveys. Before
the first survey, or when the last one is old, this node says that it does not know its own subtree.
"""

import asyncio
from datetime import datetime, timedelta

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.node.parts import NodeParts
from health_exchange.node.patience import LONGEST_S, asking
from health_exchange.store import node_state, outbox
from health_exchange.store.engine import Transaction

PULSE_PATH = "/exchange/v1/pulse"
EVERY = timedelta(seconds=10)
GOOD_FOR = 6 * EVERY
_NAME = "survey"


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What a survey asks of a subtree: cheap, however much a node keeps.

    Attributes:
        away: Nodes that did not answer; nothing is known of what lies below them.
        waiting: Nodes whose envelopes wait for their parent.
    """

    away: list[str]
    waiting: list[str]


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the subtree: when, whose envelopes waited, and who is behind by this look and the one before."""

    at: datetime
    waiting: list[str]
    behind: list[str]


async def survey(parts: NodeParts) -> bool:
    """Look at the subtree, if the last look is old enough. Never counts as work: it has no end."""
    last = await parts.store.read(_last)
    if last is not None and abs(parts.clock.now() - last.at) < EVERY:
        return False
    found = await pulse(parts)
    before = last.waiting if last is not None else []
    looked = Survey(
        at=parts.clock.now(),
        waiting=found.waiting,
        behind=sorted({*found.away, *(set(found.waiting) & set(before))}),
    )
    await parts.store.write(lambda tx: node_state.put(tx, _NAME, msgspec.json.encode(looked)))
    return False


async def pulse(parts: NodeParts, within_s: float = LONGEST_S) -> Pulse:
    """This node's pulse and those of its subtree, within some time."""
    children = sorted(address for address in parts.directory.nodes if address.parent == parts.address)
    answers = await asyncio.gather(*(_ask(parts, child, within_s) for child in children))
    is_waiting = await parts.store.read(outbox.undelivered_count) > 0
    away, waiting = list[str](), [str(parts.address)] if is_waiting else []
    for child, answer in zip(children, answers, strict=True):
        if answer is None:
            away.append(str(child))
        else:
            away += answer.away
            waiting += answer.waiting
    return Pulse(away=away, waiting=waiting)


async def _ask(parts: NodeParts, child: NodeAddress, within_s: float) -> Pulse | None:
    """A child's subtree, or ``None``."""
    try:
        answer = await parts.transport.send(child, "GET", asking(PULSE_PATH, within_s), timeout_s=within_s)
        return msgspec.json.decode(answer.body, type=Pulse) if answer.is_ok else None
    except (ExchangeError, msgspec.MsgspecError, ValueError):
        return None


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

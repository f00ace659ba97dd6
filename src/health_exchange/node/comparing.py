"""Whether a database that was put back by other means than a restore is all there, and what to do if it is not.

A database recovered to its last commit goes on as it was. One recovered to an earlier point (a snapshot of a disk, an
archive that lacks its end) must not: it would say other things under the same names. Those who knew the node can tell.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

import msgspec

from health_exchange.audit.entries import decode_entry
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.journal import SALT_BYTES
from health_exchange.node.letterbox import ask_peer
from health_exchange.node.parts import NodeParts
from health_exchange.node.standing import LETTER, REJOIN_PATH
from health_exchange.protocol.rejoining import RejoinQuestion, StandingAnswer
from health_exchange.store import audit_log, incarnations, streams
from health_exchange.store.engine import Transaction
from health_exchange.store.incarnations import Rejoining


class NotToRenewError(ExchangeError):
    """The database was restored or renewed already, and has only to rejoin; or it never was a node's."""

    category = Category.CONFLICT
    code = "not-to-renew"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What the database holds against what others have seen.

    Attributes:
        entries: Of the log, here.
        entries_seen: The most that any witness has cosigned.
        envelopes: Of the node's own stream, here.
        envelopes_seen: The most that anybody above has.
        missing: Who did not answer.
    """

    entries: int
    entries_seen: int
    envelopes: int
    envelopes_seen: int
    missing: list[str]

    @property
    def is_behind(self) -> bool:
        """Whether somebody has seen what is not here."""
        return self.entries_seen > self.entries or self.envelopes_seen > self.envelopes


async def compare(parts: NodeParts) -> Comparison:
    """Ask the witnesses and the nodes above how much they have seen; changes nothing anywhere."""
    entries, envelopes = await parts.store.read(lambda tx: _held(tx, parts))
    peers = sorted({*parts.address.ancestors, *parts.card.witnesses})
    answers = await asyncio.gather(*(_ask(parts, peer) for peer in peers))
    told = [answer for answer in answers if answer is not None]
    return Comparison(
        entries=entries,
        entries_seen=max((answer.log_size for answer in told), default=0),
        envelopes=envelopes,
        envelopes_seen=max((answer.streams.get(parts.stream, 0) for answer in told), default=0),
        missing=_names(peers, answers),
    )


def renew(tx: Transaction) -> Rejoining:
    """Begin a new incarnation of a database that lacks its end; the node has to rejoin before it starts.

    Raises:
        NotToRenewError: It has to rejoin already, or has no log.
    """
    size = audit_log.size(tx)
    if incarnations.rejoining(tx) is not None or not size:
        raise NotToRenewError("the database has only to rejoin, or was never a node's")
    (last,) = audit_log.entries(tx, size - 1, size)
    if last.raw is None:
        raise NotToRenewError("the last entry of the log is past retention: restore a backup instead")
    return incarnations.begin(tx, datetime.fromisoformat(decode_entry(last.raw[SALT_BYTES:]).at))


def _held(tx: Transaction, parts: NodeParts) -> tuple[int, int]:
    """Entries of the log, and envelopes of the own stream."""
    head = streams.head(tx, parts.stream)
    return audit_log.size(tx), head.sequence if head else 0


async def _ask(parts: NodeParts, peer: NodeAddress) -> StandingAnswer | None:
    """What one node has seen; ``None`` where it does not answer."""
    question = RejoinQuestion(
        part="seen", incarnation=parts.incarnation, log=parts.log_origin, since=parts.clock.now().isoformat()
    )
    name = sha256(msgspec.msgpack.encode(question)).hexdigest()
    timeout_s = parts.limits.peer_timeout_s
    try:
        return await ask_peer(parts, peer, REJOIN_PATH, LETTER, name, question, StandingAnswer, timeout_s=timeout_s)
    except ExchangeError:
        return None


def _names(peers: Sequence[NodeAddress], answers: Sequence[StandingAnswer | None]) -> list[str]:
    """Who gave no answer."""
    return [str(peer) for peer, answer in zip(peers, answers, strict=True) if answer is None]

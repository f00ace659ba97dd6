"""Coming back with a restored database: asking everybody who knew the node what was lost, before it starts.

The witnesses of its log, the nodes it reports to and the origins below it are asked; ``node.making_good`` does what
their answers call for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.model.identifiers import StreamId
from health_exchange.model.powers import Power
from health_exchange.node.letterbox import ask_peer
from health_exchange.node.making_good import RejoinReport, Told, make_good, make_good_late
from health_exchange.node.parts import NodeParts
from health_exchange.node.standing import LETTER, REJOIN_PATH
from health_exchange.policy.sharing import locator_recipients
from health_exchange.protocol.rejoining import (
    HeldPage,
    HeldResource,
    Part,
    PersonsPage,
    RejoinQuestion,
    StandingAnswer,
)
from health_exchange.store import incarnations, rejoining
from health_exchange.store.engine import Transaction
from health_exchange.store.incarnations import Rejoining

AT_ONCE = 16
"""How many are asked at the same time."""

_A = TypeVar("_A", StandingAnswer, HeldPage, PersonsPage)


class NothingToRejoinError(ExchangeError):
    """The database was not restored, or has rejoined already."""

    category = Category.CONFLICT
    code = "nothing-to-rejoin"


async def rejoin(parts: NodeParts, facilities: Sequence[str], *, without_missing: bool = False) -> RejoinReport:
    """Make good what can be, enter it as the new log's first entry, and let the node start; the report.

    Args:
        parts: The node's, its database restored and not started.
        facilities: Names of those that send records here.
        without_missing: Go on although somebody does not answer: what only they know is not made good.

    Raises:
        NothingToRejoinError: There is nothing to make good.
        UnavailableError: Somebody does not answer; nothing was changed here, and asking again does no harm.
    """
    before = await parts.store.read(incarnations.rejoining)
    if before is None:
        raise NothingToRejoinError("the database was not restored, or has rejoined the network already")
    told = await _Round(parts=parts, before=before).ask()
    if told.missing and not without_missing:
        names = ", ".join(map(str, told.missing))
        raise UnavailableError(f"no answer from {names}; nothing was changed: ask again, or go on without the missing")
    return await parts.store.write(lambda tx: make_good(tx, parts, before, told, facilities))


async def ask_missing(parts: NodeParts) -> bool:
    """Ask those who did not answer when the node rejoined; whether any of them does now."""
    before = await parts.store.read(incarnations.late)
    if before is None:
        return False
    told = await _Round(parts=parts, before=before).ask_again([NodeAddress.parse(name) for name in before.missing])
    await parts.store.write(lambda tx: make_good_late(tx, parts, before, told))
    return bool(told.standing)


@dataclass(slots=True, kw_only=True)
class _Round:
    """One round of questions.

    Attributes:
        parts: The node's.
        before: What is known of the incarnation that was lost.
        missing: Who has not answered something.
    """

    parts: NodeParts
    before: Rejoining
    missing: set[NodeAddress] = field(default_factory=set)
    _heads: Mapping[NodeAddress, Mapping[StreamId, int]] = field(default_factory=dict)
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def ask(self) -> Told:
        """Everybody's answers; those who do not answer are named."""
        parts = self.parts
        return await self._ask({*parts.address.ancestors, *parts.card.witnesses, *origins_below(parts)})

    async def ask_again(self, missing: Sequence[NodeAddress]) -> Told:
        """All that those have to tell who had not answered something."""
        return await self._ask({peer for peer in missing if peer in self.parts.directory.nodes})

    async def _ask(self, peers: AbstractSet[NodeAddress]) -> Told:
        """What ``peers`` tell, each of what it may know."""
        parts = self.parts
        standing = await self._standing(sorted(peers))
        held: dict[tuple[str, str], HeldResource] = {}
        persons: dict[NodeAddress, Mapping[str, str]] = {}
        if parts.card.may(Power.ADMITS_FACILITIES):
            for peer in sorted(peers & set(parts.address.ancestors)):
                await self._collect_held(peer, held)
            told_of = locator_recipients(parts.policies, parts.directory.path_up(parts.address))
            for peer in sorted(peers & set(told_of)):
                found = await self._collect_persons(peer)
                if found is not None:
                    persons[peer] = found
        return Told(
            standing=standing,
            held=held,
            persons=persons,
            missing=tuple(sorted(self.missing)),
        )

    async def _standing(self, peers: Sequence[NodeAddress]) -> Mapping[NodeAddress, StandingAnswer]:
        """How this node stands with each of those who answer."""
        self._heads = await self.parts.store.read(lambda tx: _heads_of(tx, peers))
        answers = await asyncio.gather(*(self._put(peer, "standing", "", StandingAnswer) for peer in peers))
        return {peer: answer for peer, answer in zip(peers, answers, strict=True) if answer is not None}

    async def _collect_held(self, peer: NodeAddress, held: dict[tuple[str, str], HeldResource]) -> None:
        """Add what ``peer`` holds of us to ``held``, in which the newest version anybody has stays."""
        page = await self._put(peer, "held", "", HeldPage)
        while page is not None:
            for each in page.resources:
                known = held.get((each.type, each.id))
                if known is None or known.version < each.version:
                    held[each.type, each.id] = each
            page = await self._put(peer, "held", page.after, HeldPage) if page.after else None

    async def _collect_persons(self, peer: NodeAddress) -> Mapping[str, str] | None:
        """The persons whom ``peer`` knows us to hold; ``None`` where it did not tell all."""
        found: dict[str, str] = {}
        page = await self._put(peer, "persons", "", PersonsPage)
        while page is not None:
            found |= page.persons
            page = await self._put(peer, "persons", page.after, PersonsPage) if page.after else None
        return None if peer in self.missing else found

    async def _put(self, peer: NodeAddress, part: Part, after: str, want: type[_A]) -> _A | None:
        """One question; ``None`` where ``peer`` does not answer it."""
        parts, before = self.parts, self.before
        question = RejoinQuestion(
            part=part,
            incarnation=parts.incarnation,
            log=parts.card.log_of(before.earlier),
            since=before.taken_at,
            heads={str(stream): place for stream, place in self._heads.get(peer, {}).items()},
            after=after,
        )
        name = sha256(msgspec.msgpack.encode(question)).hexdigest()
        timeout_s = parts.limits.peer_timeout_s
        try:
            async with self._gate:
                return await ask_peer(parts, peer, REJOIN_PATH, LETTER, name, question, want, timeout_s=timeout_s)
        except ExchangeError:
            self.missing.add(peer)
            return None


def origins_below(parts: NodeParts) -> list[NodeAddress]:
    """The nodes that admit records below this one, for whom this one is a recipient."""
    return sorted(
        address
        for address, card in parts.directory.nodes.items()
        if card.may(Power.ADMITS_FACILITIES) and address != parts.address and parts.address.contains(address)
    )


def _heads_of(tx: Transaction, peers: Sequence[NodeAddress]) -> Mapping[NodeAddress, Mapping[StreamId, int]]:
    """Where the streams of each stand here."""
    return {peer: rejoining.streams_of(tx, peer) for peer in peers}

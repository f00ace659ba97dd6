"""Where to ask: directions from the nation or, while it is away, from the provinces, each for its own subtree."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import ExchangeError, ForbiddenError, UnavailableError
from health_exchange.model.powers import Power
from health_exchange.node.letterbox import PeerRefusedError, ask_peer
from health_exchange.node.locating import LETTER, LOCATORS_PATH
from health_exchange.node.parts import NodeParts
from health_exchange.node.ticketing import Ticketed
from health_exchange.protocol.lookups import LocateRequest, SignedDirections, check_directions
from health_exchange.store import subjects


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """Directions from one or more nodes: by holder the directions to show it."""

    by: tuple[NodeAddress, ...] = ()
    lost: tuple[tuple[NodeAddress, str], ...] = ()
    behind: tuple[str, ...] = ()
    routes: dict[NodeAddress, SignedDirections] = field(default_factory=dict)


async def guidance_for(parts: NodeParts, ticketed: Ticketed, reason: str) -> Guidance:
    """Directions from the nation or, while it is away, from the provinces, each for its own subtree.

    Raises:
        ForbiddenError: The nation's policy refuses the look-up: nobody is asked instead.
        UnavailableError: Nobody says where to ask.
    """
    cards = parts.directory.nodes.values()
    nation = next(card.address for card in cards if card.address.parent is None)
    first = await _directions(parts, nation, ticketed, reason)
    if isinstance(first, SignedDirections):
        return await _routes(parts, [(nation, first)], (), ticketed)
    if isinstance(first, PeerRefusedError) and first.by_policy:
        raise ForbiddenError(first.detail)
    provinces = [card.address for card in cards if card.address.parent == nation and card.may(Power.AGGREGATES)]
    answers = await asyncio.gather(*(_directions(parts, each, ticketed, reason) for each in provinces))
    given = [
        (address, answer)
        for address, answer in zip(provinces, answers, strict=True)
        if isinstance(answer, SignedDirections)
    ]
    lost = [
        (address, answer.detail)
        for address, answer in zip(provinces, answers, strict=True)
        if isinstance(answer, ExchangeError)
    ]
    if not given:
        raise UnavailableError("neither the nation nor any province says where to ask", retry_after_s=5.0)
    return await _routes(parts, given, ((nation, first.detail), *lost), ticketed)


async def _directions(
    parts: NodeParts, node: NodeAddress, ticketed: Ticketed, reason: str
) -> SignedDirections | ExchangeError:
    """One node's directions, checked, or why there are none."""
    claims = ticketed.ticket.claims
    request = LocateRequest(ticket=ticketed.ticket, pseudonym=ticketed.name.pseudonym, reason=reason)
    try:
        signed = await ask_peer(parts, node, LOCATORS_PATH, LETTER, claims.request_id, request, SignedDirections)
        check_directions(
            signed,
            claims=claims,
            pseudonym=ticketed.name.pseudonym,
            holder=node,
            cards=parts.directory.nodes,
            now=parts.clock.now(),
        )
    except ExchangeError as error:
        return error
    return signed


async def _routes(
    parts: NodeParts,
    given: Sequence[tuple[NodeAddress, SignedDirections]],
    lost: tuple[tuple[NodeAddress, str], ...],
    ticketed: Ticketed,
) -> Guidance:
    """By holder, the directions to show it; this node too, where it keeps something of the person."""
    known = {str(address): address for address, card in parts.directory.nodes.items() if _admits(card)}
    routes: dict[NodeAddress, SignedDirections] = {}
    unknown: list[tuple[NodeAddress, str]] = []
    behind: set[str] = set()
    for by, signed in given:
        behind.update(signed.directions.behind)
        for name in signed.directions.consents:
            holder = known.get(name)
            if holder is None or not by.contains(holder):
                unknown.append((by, "it names a holder that this node does not know"))
            else:
                routes[holder] = signed
    pseudonym = ticketed.name.pseudonym
    if await parts.store.read(lambda tx: bool(subjects.subjects_of(tx, pseudonym))):
        ours = [signed for by, signed in given if by.contains(parts.address)]
        if ours:
            routes[parts.address] = ours[0]
    return Guidance(
        by=tuple(by for by, _signed in given),
        lost=(*lost, *unknown),
        behind=tuple(sorted(behind)),
        routes=routes,
    )


def _admits(card: NodeCard) -> bool:
    """Whether a node may hold originals."""
    return card.may(Power.ADMITS_FACILITIES)

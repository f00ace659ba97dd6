"""Where to ask: directions from the nation or, while it is away, from the provinces, each for its own subtree."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError, ForbiddenError, UnavailableError
from health_exchange.model.powers import Power
from health_exchange.node.letterbox import PeerRefusedError, ask_peer
from health_exchange.node.locating import LETTER, LOCATORS_PATH
from health_exchange.node.parts import NodeParts
from health_exchange.node.ticketing import Ticketed
from health_exchange.protocol.lookups import Located, LocateRequest, SignedDirections, check_directions
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
    first = await _located(parts, nation, ticketed, reason)
    if isinstance(first, Located):
        return await _routes(parts, [(nation, first)], (), ticketed)
    if isinstance(first, PeerRefusedError) and first.by_policy:
        raise ForbiddenError(first.detail)
    provinces = [card.address for card in cards if card.address.parent == nation and card.may(Power.AGGREGATES)]
    answers = await asyncio.gather(*(_located(parts, each, ticketed, reason) for each in provinces))
    given = [
        (address, answer) for address, answer in zip(provinces, answers, strict=True) if isinstance(answer, Located)
    ]
    lost = [
        (address, answer.detail)
        for address, answer in zip(provinces, answers, strict=True)
        if isinstance(answer, ExchangeError)
    ]
    if not given:
        raise UnavailableError("neither the nation nor any province says where to ask", retry_after_s=5.0)
    return await _routes(parts, given, ((nation, first.detail), *lost), ticketed)


async def _located(parts: NodeParts, node: NodeAddress, ticketed: Ticketed, reason: str) -> Located | ExchangeError:
    """What one node answers, or why it does not."""
    request = LocateRequest(ticket=ticketed.ticket, pseudonym=ticketed.name.pseudonym, reason=reason)
    try:
        return await ask_peer(parts, node, LOCATORS_PATH, LETTER, ticketed.ticket.claims.request_id, request, Located)
    except ExchangeError as error:
        return error


async def _routes(
    parts: NodeParts,
    given: Sequence[tuple[NodeAddress, Located]],
    lost: tuple[tuple[NodeAddress, str], ...],
    ticketed: Ticketed,
) -> Guidance:
    """By holder, the directions to show it; this node too, where it keeps something of the person."""
    routes: dict[NodeAddress, SignedDirections] = {}
    unusable: list[tuple[NodeAddress, str]] = []
    for by, located in given:
        for signed in located.directions:
            holder = _holder(parts, signed, ticketed)
            if holder is None:
                unusable.append((by, "it names a holder that this node does not know, or does not sign for it"))
            else:
                routes[holder] = signed
    pseudonym = ticketed.name.pseudonym
    if not await parts.store.read(lambda tx: bool(subjects.subjects_of(tx, pseudonym))):
        routes.pop(parts.address, None)
    return Guidance(
        by=tuple(by for by, _located in given),
        lost=(*lost, *unusable),
        behind=tuple(sorted({name for _by, located in given for name in located.behind})),
        routes=routes,
    )


def _holder(parts: NodeParts, signed: SignedDirections, ticketed: Ticketed) -> NodeAddress | None:
    """Whom directions lead to; ``None`` where they lead nowhere that may hold originals, or are not good."""
    try:
        holder = NodeAddress.parse(signed.directions.holder)
        check_directions(
            signed,
            claims=ticketed.ticket.claims,
            pseudonym=ticketed.name.pseudonym,
            holder=holder,
            cards=parts.directory.nodes,
            now=parts.clock.now(),
        )
    except (ExchangeError, ValueError):
        return None
    card = parts.directory.nodes.get(holder)
    return holder if card is not None and card.may(Power.ADMITS_FACILITIES) else None

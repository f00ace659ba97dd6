"""From identities to pseudonyms, with the help of t key holders.

Known identities come from the sealed cache. New ones are gathered while a round is under way, so that one request to a
holder carries many; one round at a time. A holder that lies or stays away is named in the round's result and another is
asked; with fewer than t left, the identities stay unresolved and the caller queues them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from health_exchange.model.directory import HolderCard
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.parts import NodeParts
from health_exchange.pseudonym.cache import cache_tag, open_pseudonym, seal_pseudonym
from health_exchange.pseudonym.identities import Identity
from health_exchange.pseudonym.threshold import (
    EvaluationRequest,
    EvaluationResponse,
    LyingShareError,
    blind,
    check_response,
    decode_response,
    encode_request,
    unblind,
)
from health_exchange.store import identity_cache

EVALUATIONS_PATH = "/exchange/v1/evaluations"
ROUND_IDENTITIES_MAX = 200


@dataclass(slots=True)
class _Round:
    """Identities waiting for the next round, and who waits for them."""

    identities: dict[Identity, None] = field(default_factory=dict)
    done: asyncio.Future[dict[Identity, Pseudonym]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PseudonymClient:
    """Resolves identities at an admitting node."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self._waiting: _Round | None = None
        self._busy = asyncio.Lock()
        self.suspects: dict[int, str] = {}
        """Holders that sent a share that does not verify, by index, with what was wrong; for operators."""

    async def resolve(self, identities: Sequence[Identity]) -> dict[Identity, Pseudonym]:
        """Pseudonyms of those identities that are known or that t holders could be asked for; the rest is absent."""
        tags = {identity: cache_tag(self._parts.keys.identity_cache, identity) for identity in identities}
        found = await self._parts.store.read(lambda tx: identity_cache.lookup(tx, list(tags.values())))
        known = {
            identity: open_pseudonym(self._parts.keys.identity_cache, tag, found[tag])
            for identity, tag in tags.items()
            if tag in found
        }
        missing = [identity for identity in tags if identity not in known]
        for start in range(0, len(missing), ROUND_IDENTITIES_MAX):
            known |= await self._ask(missing[start : start + ROUND_IDENTITIES_MAX])
        return known

    async def ask_holders(self, identities: Sequence[Identity]) -> dict[Identity, Pseudonym]:
        """As :meth:`resolve`, by the key holders in any case: what is cached for ingest serves nobody who reads."""
        return await self._ask(list(dict.fromkeys(identities)))

    async def _ask(self, identities: Sequence[Identity]) -> dict[Identity, Pseudonym]:
        """Join the round that is being gathered, and run it once the one before has ended."""
        gathering = self._waiting
        if gathering is not None and len(gathering.identities) + len(identities) <= ROUND_IDENTITIES_MAX:
            gathering.identities.update(dict.fromkeys(identities))
            resolved = await asyncio.shield(gathering.done)
            return {identity: resolved[identity] for identity in identities if identity in resolved}
        mine = self._waiting = _Round(identities=dict.fromkeys(identities))
        try:
            async with self._busy:
                if self._waiting is mine:
                    self._waiting = None
                resolved = await self._run(list(mine.identities))
            mine.done.set_result(resolved)
        finally:
            if not mine.done.done():
                mine.done.set_result({})
        return {identity: resolved[identity] for identity in identities if identity in resolved}

    async def _run(self, identities: list[Identity]) -> dict[Identity, Pseudonym]:
        """One round with t holders; empty where fewer answer truthfully."""
        key = self._parts.directory.key
        blinded = await asyncio.to_thread(blind, identities, self._parts.randomness)
        request = EvaluationRequest(epoch=key.epoch, version=key.share_version, elements=list(blinded.elements))
        responses = await self._gather(request, key.threshold, key.holders)
        if len(responses) < key.threshold:
            return {}
        pseudonyms = await asyncio.to_thread(unblind, blinded, responses, epoch=key.epoch)
        resolved = dict(zip(identities, pseudonyms, strict=True))
        await self._remember(resolved)
        return resolved

    async def _gather(
        self, request: EvaluationRequest, threshold: int, holders: Sequence[HolderCard]
    ) -> dict[int, EvaluationResponse]:
        """Ask ``threshold`` holders at a time, suspects last, until enough have answered truthfully."""
        body = encode_request(request)
        # Each round starts with another holder, so that quotas and work are spread evenly.
        turn = self._parts.randomness(1)[0]
        untried = sorted(
            holders, key=lambda holder: (holder.index in self.suspects, (holder.index + turn) % len(holders))
        )
        responses: dict[int, EvaluationResponse] = {}
        while len(responses) < threshold and untried:
            wanted = threshold - len(responses)
            asked, untried = untried[:wanted], untried[wanted:]
            answers = await asyncio.gather(*(self._evaluate(holder, request, body) for holder in asked))
            responses.update({answer.index: answer for answer in answers if answer is not None})
        return responses

    async def _evaluate(self, holder: HolderCard, request: EvaluationRequest, body: bytes) -> EvaluationResponse | None:
        """One holder's verified share of the answer, or ``None`` where it is away, refuses or lies."""
        try:
            answer = await self._parts.transport.send(
                holder.address, "POST", EVALUATIONS_PATH, body, timeout_s=self._parts.limits.peer_timeout_s
            )
            if not answer.is_ok:
                return None
            response = decode_response(answer.body)
            await asyncio.to_thread(check_response, request, response, holder)
        except LyingShareError as lie:
            self.suspects[holder.index] = lie.detail
            return None
        except ExchangeError:
            return None
        self.suspects.pop(holder.index, None)
        return response

    async def _remember(self, resolved: dict[Identity, Pseudonym]) -> None:
        """Keep the round's pseudonyms, sealed, for ingest only."""
        key, randomness = self._parts.keys.identity_cache, self._parts.randomness
        sealed = {}
        for identity, pseudonym in resolved.items():
            tag = cache_tag(key, identity)
            sealed[tag] = seal_pseudonym(key, tag, pseudonym, nonce=randomness(12))
        await self._parts.store.write(lambda tx: identity_cache.remember(tx, sealed))

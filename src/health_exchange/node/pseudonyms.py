"""From identities to pseudonyms, with the help of t key holders.

Known identities come from the sealed cache. New ones are gathered while a round is under way, so that one request to a
holder carries many; one round at a time. A holder that lies or stays away is named in the round's result and another is
asked; with fewer than t left, the identities stay unresolved and the caller queues them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from health_exchange.model.directory import HolderCard
from health_exchange.model.errors import UnavailableError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.holders import Holders
from health_exchange.node.parts import NodeParts
from health_exchange.pseudonym.cache import cache_tag, open_name, seal_name
from health_exchange.pseudonym.identities import Identity
from health_exchange.pseudonym.threshold import (
    EvaluationRequest,
    EvaluationResponse,
    Name,
    blind,
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
    done: asyncio.Future[dict[Identity, Name]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PseudonymClient:
    """Resolves identities at an admitting node."""

    def __init__(self, parts: NodeParts, holders: Holders) -> None:
        self._parts = parts
        self._holders = holders
        self._waiting: _Round | None = None
        self._busy = asyncio.Lock()

    async def resolve(self, identities: Sequence[Identity]) -> dict[Identity, Pseudonym]:
        """Pseudonyms of those identities that are known or that t holders could be asked for; the rest is absent."""
        return {identity: name.pseudonym for identity, name in (await self.names(identities)).items()}

    async def names(self, identities: Sequence[Identity]) -> dict[Identity, Name]:
        """As :meth:`resolve`, with their link keys."""
        tags = {identity: cache_tag(self._parts.keys.identity_cache, identity) for identity in identities}
        found = await self._parts.store.read(lambda tx: identity_cache.lookup(tx, list(tags.values())))
        known = {
            identity: open_name(self._parts.keys.identity_cache, tag, found[tag])
            for identity, tag in tags.items()
            if tag in found
        }
        missing = [identity for identity in tags if identity not in known]
        for start in range(0, len(missing), ROUND_IDENTITIES_MAX):
            known |= await self._ask(missing[start : start + ROUND_IDENTITIES_MAX])
        return known

    async def remember(self, names: Mapping[Identity, Name]) -> None:
        """Keep names, sealed: for ingest, and to see whom a ticket is for; never for look-ups."""
        key, randomness = self._parts.keys.identity_cache, self._parts.randomness
        sealed = {}
        for identity, name in names.items():
            tag = cache_tag(key, identity)
            sealed[tag] = seal_name(key, tag, name, nonce=randomness(12))
        await self._parts.store.write(lambda tx: identity_cache.remember(tx, sealed))

    async def ask_holders(self, identities: Sequence[Identity]) -> dict[Identity, Pseudonym]:
        """As :meth:`resolve`, by the key holders in any case: what is cached for ingest serves nobody who reads."""
        named = await self._ask(list(dict.fromkeys(identities)))
        return {identity: name.pseudonym for identity, name in named.items()}

    async def _ask(self, identities: Sequence[Identity]) -> dict[Identity, Name]:
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

    async def _run(self, identities: list[Identity]) -> dict[Identity, Name]:
        """One round with t holders; empty where fewer answer truthfully."""
        key = self._parts.membership.key
        blinded = await asyncio.to_thread(blind, identities, self._parts.randomness)
        request = EvaluationRequest(epoch=key.epoch, version=key.share_version, elements=list(blinded.elements))
        body = encode_request(request)

        async def one(holder: HolderCard) -> tuple[EvaluationResponse, None]:
            timeout_s = self._parts.limits.peer_timeout_s
            reply = await self._parts.transport.send(
                holder.address, "POST", EVALUATIONS_PATH, body, timeout_s=timeout_s
            )
            if not reply.is_ok:
                raise UnavailableError(f"{holder.address} does not evaluate now")
            return decode_response(reply.body), None

        answers = await self._holders.ask(key, request, one)
        if len(answers) < key.threshold:
            return {}
        responses = {index: response for index, (response, _nothing) in answers.items()}
        names = await asyncio.to_thread(unblind, blinded, responses, epoch=key.epoch)
        resolved = dict(zip(identities, names, strict=True))
        await self.remember(resolved)
        return resolved

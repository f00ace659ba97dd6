"""Writes at the FHIR door: create, update, patch and delete, by id or by condition, and Bundles of them.

Routes know HTTP and nothing else. Where a node admits no facilities every write is answered by 405.

Source: FHIR R4, sections 3.1.0.4 to 3.1.0.8 and 3.1.0.11.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from health_exchange.api.answers import answer_bundle, layout_work, meta_answer, written_answer
from health_exchange.api.bodies import FHIR_JSON, PARAMETERS_BYTES_MAX, read_fhir, read_patch
from health_exchange.api.urls import refuse_identities
from health_exchange.api.wishes import Return, Wishes
from health_exchange.fhir.limits import Limits
from health_exchange.fhir.metas import meta_in
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import ExchangeError, NotFoundError, UnavailableError
from health_exchange.node.admission import Admission
from health_exchange.node.callers import Caller
from health_exchange.node.intake import Sent, read_sent
from health_exchange.node.parts import NodeParts
from health_exchange.node.reading import Kept, Reading
from health_exchange.node.reading_bundles import ReadingBundles
from health_exchange.node.seeing import ABSENT
from health_exchange.node.writes import (
    BadRequestError,
    MetaChange,
    NotAdmittedHereError,
    Target,
    WriteRequest,
    WriteResult,
    make_request,
)
from health_exchange.search.query import refuse_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """The writing half of one node's FHIR door.

    Attributes:
        parts: The node's.
        reading: Gives back what was found and not written.
        admission: Writes; ``None`` where the tier does not admit facilities.
        bundles: Carries out Bundles where the node writes nothing.
        limits: Bounds on bodies.
    """

    parts: NodeParts
    reading: Reading
    admission: Admission | None
    bundles: ReadingBundles
    limits: Limits

    async def bundle(self, request: Request, caller: Caller) -> Response:
        """A transaction or batch."""
        wishes = Wishes.of(request)
        refuse_parameters(wishes.pairs, "a Bundle")
        raw = await read_fhir(request, self.limits.body_bytes)
        outcome = await (self.admission or self.bundles).admit_bundle(raw, caller)
        returns = wishes.returns or Return.MINIMAL
        kept: dict[int, Kept] = {}
        if returns is Return.REPRESENTATION:
            kept = await self._all_kept(
                {at: each for at, each in enumerate(outcome.results) if isinstance(each, WriteResult)}, caller
            )
        answer = (outcome, caller.request_id, returns, kept)
        try:
            body = await self.parts.workers.run(answer_bundle, *answer, work_bytes=layout_work(outcome, kept))
        except UnavailableError:
            # A worker has died, and what was carried out has not failed with it.
            body = await asyncio.to_thread(answer_bundle, *answer)
        return Response(body, media_type=FHIR_JSON)

    async def create(self, request: Request, caller: Caller) -> Response:
        """``POST Type``; its condition is ``If-None-Exist`` or, as some clients write it, the URL's query."""
        self._writer()
        asked = _target(request, self.parts.card)
        if_none_exist = request.headers.get("if-none-exist")
        if if_none_exist is not None and asked.condition is not None:
            raise BadRequestError("a create has its condition in If-None-Exist or in its URL, not in both")
        if_none_exist = asked.condition if if_none_exist is None else if_none_exist
        write = await self._read(request, Target(type=asked.type), if_none_exist)
        return await self._written(request, write, caller)

    async def update(self, request: Request, caller: Caller) -> Response:
        """``PUT Type/id`` or ``PUT Type?query``."""
        self._writer()
        return await self._written(request, await self._read(request, _target(request, self.parts.card)), caller)

    async def patch(self, request: Request, caller: Caller) -> Response:
        """``PATCH Type/id`` or ``PATCH Type?query``."""
        self._writer()
        return await self._change(request, caller, patch=await read_patch(request, self.limits.body_bytes))

    async def change_meta(self, request: Request, caller: Caller) -> Response:
        """``POST Type/id/$meta-add`` or ``$meta-delete``: a write as any; the resource's ``meta`` afterwards."""
        self._writer()
        refuse_parameters(Wishes.of(request).pairs, "an operation on meta")
        target = Target(type=request.path_params["type"], id=request.path_params["id"])
        raw = await read_fhir(request, PARAMETERS_BYTES_MAX)
        meta = await self.parts.workers.run(meta_in, raw, work_bytes=len(raw))
        write = make_request(
            method="PATCH", target=target, view=None, patch=meta, if_match=request.headers.get("if-match")
        )
        change = MetaChange(request.scope["path"].rpartition("/")[2])
        result = (await self._writer().admit([msgspec.structs.replace(write, meta=change)], caller))[0]
        kept = (await self._all_kept({0: result}, caller)).get(0)
        if kept is None:
            raise NotFoundError(ABSENT)
        return meta_answer(kept)

    async def delete(self, request: Request, caller: Caller) -> Response:
        """``DELETE Type/id`` or ``DELETE Type?query``."""
        self._writer()
        return await self._change(request, caller)

    async def _change(self, request: Request, caller: Caller, *, patch: bytes | None = None) -> Response:
        """Patch or delete what the URL names, under the conditions of its headers."""
        write = make_request(
            method=request.method,
            target=_target(request, self.parts.card),
            view=None,
            patch=patch,
            if_match=request.headers.get("if-match"),
            if_none_match=request.headers.get("if-none-match"),
        )
        return await self._written(request, write, caller)

    async def _read(self, request: Request, target: Target, if_none_exist: str | None = None) -> WriteRequest:
        """The write of the resource in the body, under the conditions of its headers."""
        sent = Sent(
            method=request.method,
            target=target,
            raw=await read_fhir(request, self.limits.body_bytes),
            if_match=request.headers.get("if-match"),
            if_none_match=request.headers.get("if-none-match"),
            if_none_exist=if_none_exist,
        )
        return await self.parts.workers.run(read_sent, sent, work_bytes=len(sent.raw))

    async def _written(self, request: Request, write: WriteRequest, caller: Caller) -> Response:
        """Carry out one write and answer it; clients that say nothing get the resource, as they do elsewhere."""
        result = (await self._writer().admit([write], caller))[0]
        returns = Wishes.of(request).returns or Return.REPRESENTATION
        kept = (await self._all_kept({0: result}, caller)).get(0) if returns is Return.REPRESENTATION else None
        return written_answer(result, f"{self.parts.card.fhir_url}/fhir", returns, kept)

    async def _all_kept(self, results: Mapping[int, WriteResult], caller: Caller) -> dict[int, Kept]:
        """The resources as they are kept: what was written as it was, all else as far as the caller may read it now.

        Each in the version that the answer tells of, whatever others have made of it since. What was carried out
        before is read like what was found: who may read may have changed, and the log tells of each reading.
        """
        told = {at: each for at, each in results.items() if each.status != HTTPStatus.NO_CONTENT and each.version}
        fresh = {at: each for at, each in told.items() if each.changed_at is not None and not each.is_repeat}
        kept = await self._writer().written(fresh, caller)
        for at, each in told.items():
            if at not in fresh:
                try:
                    kept[at] = await self.reading.vread(each.type, each.id, each.version, caller)
                except ExchangeError:
                    continue
        return kept

    def _writer(self) -> Admission:
        """Admission, where this node has the power."""
        if self.admission is None:
            raise NotAdmittedHereError(
                f"{self.parts.address} admits no facilities: only a resource's origin changes it"
            )
        return self.admission


def _target(request: Request, card: NodeCard) -> Target:
    """What the URL names."""
    pairs = Wishes.of(request).pairs
    resource_type, resource_id = request.path_params["type"], request.path_params.get("id")
    if resource_id is not None:
        if pairs:
            raise BadRequestError("a URL names an id or a condition, not both")
        return Target(type=resource_type, id=resource_id)
    refuse_identities(pairs, card)
    return Target(type=resource_type, condition=urlencode(pairs) or None)

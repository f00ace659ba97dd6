"""Admitting records: from a facility's request to one durable transaction.

The order is fixed: validate, place and resolve references, resolve identities, decide, prepare, write. Preparing reads
a snapshot without locking; the write checks that what it read still holds and otherwise everything is prepared again,
so that no lock is held while key holders are asked, and racing conditional creates leave one resource (ADR 3).

What a facility is told is durable. Whatever cannot travel yet (no identity, key holders away, held by a rule) is kept
all the same, and the answer says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TypeAlias

import msgspec

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.bundle_reads import BundleReads, ReadRequest, ReadResult, refuse_many
from health_exchange.node.callers import Caller
from health_exchange.node.conditions import Finder
from health_exchange.node.histories import Histories
from health_exchange.node.intake import Intake, read_bundle
from health_exchange.node.looking import look, sieve_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.patches import patched
from health_exchange.node.preparing import Preparation
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.reading import GoneError, Kept, kept_of
from health_exchange.node.refusals import permit
from health_exchange.node.rights import most_open, question_of
from health_exchange.node.searching import Searching
from health_exchange.node.snapshots import StaleReadError, VersionMismatchError, patched_id
from health_exchange.node.writes import WriteRequest, WriteResult, decode_results, encode_results
from health_exchange.policy.decisions import Action
from health_exchange.store import answered, resources
from health_exchange.store.answered import KeptAnswer
from health_exchange.store.database import TooSlowError
from health_exchange.store.engine import Transaction
from health_exchange.store.lane import CrowdedError
from health_exchange.store.versions import version_of

ATTEMPTS = 8
_DIGESTS = b"health-exchange request digests 1"
Result: TypeAlias = WriteResult | ReadResult | ExchangeError


class RepeatedDifferentlyError(ExchangeError):
    """The client has used this request id for another request."""

    category = Category.CONFLICT
    code = "request-id-reused"


class ErasedSinceError(ExchangeError):
    """The very request was carried out before, for a person who has been erased since."""

    category = Category.GONE
    code = "erased-since"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleOutcome:
    """What became of a Bundle: the response's type, and one result an entry, in order."""

    type: str
    results: Sequence[Result]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """What makes two requests one: client, request id and bytes.

    The digest is keyed: who has only the database cannot try out whose identities a request held.
    """

    key: str
    digest: bytes

    @classmethod
    def of(cls, parts: NodeParts, caller: Caller, raw: bytes) -> "Repeat":
        """The mark of one transaction."""
        return cls(key=f"{caller.principal.id}|{caller.request_id}", digest=_digest(parts, raw))

    @classmethod
    def of_write(cls, parts: NodeParts, caller: Caller, write: WriteRequest) -> "Repeat":
        """The mark of one write on its own, or of one entry of a batch."""
        name = f"{caller.principal.id}|{caller.request_id}"
        digest = _digest(parts, msgspec.msgpack.encode(write))
        return cls(key=f"{name}|{write.where}" if write.where else name, digest=digest)

    def same(self, kept: KeptAnswer) -> list[WriteResult]:
        """The results that were kept for the same request.

        Raises:
            RepeatedDifferentlyError: They were kept for another one.
            ErasedSinceError: The person was erased meanwhile; the request is not carried out anew.
        """
        if kept.digest != self.digest:
            raise RepeatedDifferentlyError("this request id was used for another request")
        if kept.body == answered.EMPTIED:
            raise ErasedSinceError("the request was carried out, and what it wrote has been erased since")
        return decode_results(kept.body)


class Admission:
    """Takes writes of facilities at the node that admits them."""

    def __init__(self, parts: NodeParts, pseudonyms: PseudonymClient) -> None:
        self._parts = parts
        self._pseudonyms = pseudonyms
        self._reading = Searching(parts, pseudonyms)
        self._reads = BundleReads(self._reading, Histories(parts))

    async def admit_bundle(self, raw: bytes, caller: Caller) -> BundleOutcome:
        """Carry out a transaction or batch Bundle.

        The same transaction again (same client, request id and bytes) gets the same answer and is carried out once.

        Raises:
            ExchangeError: The Bundle is malformed, or, in a transaction, any entry failed: nothing is stored.
        """
        repeat = Repeat.of(self._parts, caller, raw)
        kept = await self._parts.store.read(lambda tx: answered.answer_of(tx, repeat.key))
        before = repeat.same(kept) if kept is not None else None
        intake = await self._parts.workers.run(read_bundle, raw, work_bytes=len(raw))
        refuse_many([*intake.reads.values()])
        if intake.type == "batch":
            results = [await self._admit_alone(request, caller) for request in intake.requests]
            return BundleOutcome(type="batch-response", results=results)
        done = await self._transact(intake, caller, repeat, before)
        return BundleOutcome(type="transaction-response", results=done)

    async def _transact(
        self, intake: Intake, caller: Caller, repeat: Repeat, before: Sequence[WriteResult] | None
    ) -> list[Result]:
        """Carry out a transaction: writes together, then reads; ``before`` is what its writes have come to already."""
        writes = [request for request in intake.requests if isinstance(request, WriteRequest)]
        own = {f"{request.type}/{request.id}" for request in writes}
        moved = {request.type for request in writes if request.condition or request.if_none_exist}
        # What was carried out is not refused any more: then every read comes to an answer of its own.
        early = {
            at: await self._reads.answer(each, caller)
            for at, each in intake.reads.items()
            if before is None and each.place not in own and each.type not in moved
        }
        written = iter(await self._admit(writes, caller, repeat) if before is None and writes else before or ())
        # One resource that the transaction leaves alone is the same before and after it.
        return [
            early[at]
            if at in early and isinstance(request, ReadRequest) and request.place
            else await self._reads.attempt(request, caller)
            if isinstance(request, ReadRequest)
            else next(written)
            for at, request in enumerate(intake.requests)
        ]

    async def admit(self, requests: Sequence[WriteRequest], caller: Caller) -> list[WriteResult]:
        """Carry out writes together: all of them or none. One alone, repeated, gets the same answer.

        Raises:
            ExchangeError: Why none was carried out.
        """
        if len(requests) == 1:
            return [await self._admit_one(requests[0], caller)]
        return await self._admit(requests, caller, None)

    async def written(self, results: Mapping[int, WriteResult], caller: Caller) -> dict[int, Kept]:
        """What was written, as it is kept, for whoever has just written it; less what has been erased meanwhile.

        Many are read like a search. Where that takes too long nothing is given: what was carried out did not fail.
        """
        try:
            return await self._parts.store.read(
                lambda tx: _written(tx, results), asker=caller.principal.id if len(results) > 1 else None
            )
        except (CrowdedError, TooSlowError):
            return {}

    async def _admit_one(self, write: WriteRequest, caller: Caller) -> WriteResult:
        """One write on its own, carried out once however often it is sent."""
        repeat = Repeat.of_write(self._parts, caller, write)
        kept = await self._parts.store.read(lambda tx: answered.answer_of(tx, repeat.key))
        return repeat.same(kept)[0] if kept is not None else (await self._admit([write], caller, repeat))[0]

    async def _admit_alone(self, request: WriteRequest | ReadRequest | ExchangeError, caller: Caller) -> Result:
        """One entry of a batch."""
        if isinstance(request, ExchangeError):
            return request
        if isinstance(request, ReadRequest):
            return await self._reads.attempt(request, caller)
        try:
            return await self._admit_one(request, caller)
        except ExchangeError as error:
            return error

    async def _admit(
        self, requests: Sequence[WriteRequest], caller: Caller, repeat: Repeat | None
    ) -> list[WriteResult]:
        """Prepare and write until nobody was faster."""
        for _attempt in range(ATTEMPTS):
            try:
                applied = await self._patched(requests, caller)
                preparation = await Preparation.of(self._parts, self._pseudonyms, applied, caller)
                return await self._parts.store.write(partial(_write, preparation=preparation, repeat=repeat))
            except StaleReadError:
                continue
        raise StaleReadError("too many others write the same resources; send the request again", retry_after_s=1.0)

    async def _patched(self, requests: Sequence[WriteRequest], caller: Caller) -> list[WriteRequest]:
        """The requests with every patch applied to what is kept now.

        A test in a patch tells what is there, so whoever patches must be allowed to read it, and has read it.

        Raises:
            ExchangeError: As :meth:`Reading.read`, or the patch does not apply.
        """
        done, finder = [], Finder(sieve_of(self._parts, caller))
        for request in requests:
            if request.patch is None:
                done.append(request)
                continue
            for action in (Action.WRITE, *([Action.SEARCH] if request.condition else [])):
                question = question_of(caller, action, most_open(self._parts, request.type))
                await permit(self._parts, caller, question, summary=request.type)
            asked = partial(patched_id, request=request, together=requests, finder=finder)
            named = await look(self._parts, caller, [request], asked, whose=finder.whose)
            try:
                kept = await self._reading.read(request.type, named, caller)
            except GoneError:
                if not request.condition:
                    raise
                # It was there when the condition was asked: another deleted it meanwhile.
                raise StaleReadError("another request was faster", retry_after_s=0.1) from None
            if request.if_match not in {None, kept.version}:
                raise VersionMismatchError("If-Match does not name the current version", where=request.where)
            work = len(kept.body) + len(request.patch)
            done.append(await self._parts.workers.run(patched, request, kept.body, kept.version, work_bytes=work))
        return done


def _digest(parts: NodeParts, request: bytes) -> bytes:
    """What a request is known by, to this node alone."""
    key = blake2b(_DIGESTS, key=parts.keys.tokens.raw, digest_size=32).digest()
    return blake2b(request, key=key, digest_size=32).digest()


def _written(tx: Transaction, results: Mapping[int, WriteResult]) -> dict[int, Kept]:
    """The versions that results tell of, where they are kept and not deleted."""
    now = resources.currents(tx, {(each.type, each.id) for each in results.values()}) if results else {}
    found = {}
    for at, each in results.items():
        kept = now.get((each.type, each.id))
        if kept is not None and kept.version != each.version:
            kept = version_of(tx, kept.rid, each.version)
        if kept is not None and kept.body is not None:
            found[at] = kept_of(kept)
    return found


def _write(tx: Transaction, preparation: Preparation, repeat: Repeat | None) -> list[WriteResult]:
    """The one transaction. A repeated request that was faster has the answer already."""
    if repeat is not None and (kept := answered.answer_of(tx, repeat.key)) is not None:
        return repeat.same(kept)
    results = preparation.write(tx)
    if repeat is not None:
        answered.keep(tx, repeat.key, repeat.digest, encode_results(results))
    return results

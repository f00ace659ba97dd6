"""Admitting records: from a facility's request to one durable transaction.

The order is fixed: validate, place and resolve references, resolve identities, decide, prepare, write. Preparing reads
a snapshot without locking; the write checks that what it read still holds and otherwise everything is prepared again,
so that no lock is held while key holders are asked, and racing conditional creates leave one resource (ADR 3).

What a facility is told is durable. Whatever cannot travel yet (no identity, key holders away, held by a rule) is kept
all the same, and the answer says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import msgspec

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.node.callers import Caller
from health_exchange.node.intake import read_bundle
from health_exchange.node.parts import NodeParts
from health_exchange.node.preparing import Preparation, StaleReadError
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.writes import WriteRequest, WriteResult, decode_results, encode_results
from health_exchange.store import answered
from health_exchange.store.answered import KeptAnswer
from health_exchange.store.engine import Transaction

ATTEMPTS = 8


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
    results: Sequence[WriteResult | ExchangeError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """What makes two requests one: client, request id and bytes."""

    key: str
    digest: bytes

    @classmethod
    def of(cls, caller: Caller, raw: bytes) -> "Repeat":
        """The mark of one transaction."""
        return cls(key=f"{caller.principal.id}|{caller.request_id}", digest=sha256(raw).digest())

    @classmethod
    def of_write(cls, caller: Caller, write: WriteRequest) -> "Repeat":
        """The mark of one write on its own, or of one entry of a batch."""
        name = f"{caller.principal.id}|{caller.request_id}"
        digest = sha256(msgspec.msgpack.encode(write)).digest()
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

    async def admit_bundle(self, raw: bytes, caller: Caller) -> BundleOutcome:
        """Carry out a transaction or batch Bundle.

        The same transaction again (same client, request id and bytes) gets the same answer and is carried out once.

        Raises:
            ExchangeError: The Bundle is malformed, or, in a transaction, any entry failed: nothing is stored.
        """
        repeat = Repeat.of(caller, raw)
        kept = await self._parts.store.read(lambda tx: answered.answer_of(tx, repeat.key))
        if kept is not None:
            return BundleOutcome(type="transaction-response", results=repeat.same(kept))
        intake = await self._parts.workers.run(read_bundle, raw, work_bytes=len(raw))
        if intake.type == "batch":
            results = [await self._admit_alone(request, caller) for request in intake.requests]
            return BundleOutcome(type="batch-response", results=results)
        requests = [request for request in intake.requests if isinstance(request, WriteRequest)]
        done = await self._admit(requests, caller, repeat)
        return BundleOutcome(type="transaction-response", results=done)

    async def admit(self, requests: Sequence[WriteRequest], caller: Caller) -> list[WriteResult]:
        """Carry out writes together: all of them or none. One alone, repeated, gets the same answer.

        Raises:
            ExchangeError: Why none was carried out.
        """
        if len(requests) == 1:
            return [await self._admit_one(requests[0], caller)]
        return await self._admit(requests, caller, None)

    async def _admit_one(self, write: WriteRequest, caller: Caller) -> WriteResult:
        """One write on its own, carried out once however often it is sent."""
        repeat = Repeat.of_write(caller, write)
        kept = await self._parts.store.read(lambda tx: answered.answer_of(tx, repeat.key))
        return repeat.same(kept)[0] if kept is not None else (await self._admit([write], caller, repeat))[0]

    async def _admit_alone(self, request: WriteRequest | ExchangeError, caller: Caller) -> WriteResult | ExchangeError:
        """One entry of a batch."""
        if isinstance(request, ExchangeError):
            return request
        try:
            return await self._admit_one(request, caller)
        except ExchangeError as error:
            return error

    async def _admit(
        self, requests: Sequence[WriteRequest], caller: Caller, repeat: Repeat | None
    ) -> list[WriteResult]:
        """Prepare and write until nobody was faster."""
        for _attempt in range(ATTEMPTS):
            preparation = await Preparation.of(self._parts, self._pseudonyms, requests, caller)
            try:
                return await self._parts.store.write(partial(_write, preparation=preparation, repeat=repeat))
            except StaleReadError:
                continue
        raise StaleReadError("too many others write the same resources; send the request again", retry_after_s=1.0)


def _write(tx: Transaction, preparation: Preparation, repeat: Repeat | None) -> list[WriteResult]:
    """The one transaction. A repeated request that was faster has the answer already."""
    if repeat is not None and (kept := answered.answer_of(tx, repeat.key)) is not None:
        return repeat.same(kept)
    results = preparation.write(tx)
    if repeat is not None:
        answered.keep(tx, repeat.key, repeat.digest, encode_results(results))
    return results

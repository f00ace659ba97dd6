"""Bundles at a node that admits no facilities: their reads are answered, whatever would write is refused."""

from health_exchange.model.errors import ExchangeError
from health_exchange.node.admission import BundleOutcome, Result
from health_exchange.node.bundle_reads import BundleReads, ReadRequest, refuse_many
from health_exchange.node.callers import Caller
from health_exchange.node.intake import Intake, read_bundle
from health_exchange.node.parts import NodeParts
from health_exchange.node.writes import NotAdmittedHereError, WriteRequest


class ReadingBundles:
    """Carries out Bundles that only read.

    Args:
        parts: The node's.
        reads: Answers each read.
    """

    def __init__(self, parts: NodeParts, reads: BundleReads) -> None:
        self._parts = parts
        self._reads = reads

    async def admit_bundle(self, raw: bytes, caller: Caller) -> BundleOutcome:
        """The answers to a Bundle's reads.

        Raises:
            NotAdmittedHereError: A transaction would write.
            ExchangeError: The Bundle is malformed, or a read of a transaction fails.
        """
        intake: Intake = await self._parts.workers.run(read_bundle, raw, work_bytes=len(raw))
        refuse_many([*intake.reads.values()])
        if intake.type == "batch":
            results: list[Result] = [await self._attempt(request, caller) for request in intake.requests]
            return BundleOutcome(type="batch-response", results=results)
        if len(intake.reads) < len(intake.requests):
            raise self._refusal("")
        results = [await self._reads.answer(request, caller) for request in intake.reads.values()]
        return BundleOutcome(type="transaction-response", results=results)

    async def _attempt(self, request: WriteRequest | ReadRequest | ExchangeError, caller: Caller) -> Result:
        """One entry of a batch."""
        if isinstance(request, ReadRequest):
            return await self._reads.attempt(request, caller)
        return self._refusal(request.where) if isinstance(request, WriteRequest) else request

    def _refusal(self, where: str) -> NotAdmittedHereError:
        """Why nothing is written here."""
        return NotAdmittedHereError(
            f"{self._parts.address} admits no facilities: only a resource's origin changes it", where=where
        )

"""Taking in what is sent: from the bytes of a Bundle or of one resource to checked writes and reads.

Pure, and heavy enough to be done by a worker.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from health_exchange.fhir.bundle import BundleEntry, split_bundle
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import ExchangeError, MalformedResourceError
from health_exchange.node.bundle_reads import ReadRequest, read_asked
from health_exchange.node.patches import patch_in
from health_exchange.node.writes import Target, WriteRequest, make_request, read_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """A Bundle that was read.

    Attributes:
        type: ``transaction`` or ``batch``.
        requests: One an entry, in order; in a batch, an error in place of one that cannot be.
    """

    type: str
    requests: tuple[WriteRequest | ReadRequest | ExchangeError, ...]

    @property
    def reads(self) -> dict[int, ReadRequest]:
        """The reads, by number of their entries."""
        return {at: each for at, each in enumerate(self.requests) if isinstance(each, ReadRequest)}

    def __reduce__(self) -> tuple[Callable[..., "Intake"], tuple[object, ...]]:
        """As ``workers.Carried``; what is no write is rare, and knows how to be pickled."""
        writes = [each for each in self.requests if isinstance(each, WriteRequest)]
        others = {at: each for at, each in enumerate(self.requests) if not isinstance(each, WriteRequest)}
        return _unpacked, (self.type, msgspec.msgpack.encode(writes), others)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that is sent on its own, and how; see ``writes.make_request``.

    Attributes:
        method: Of HTTP.
        target: What the URL names.
        raw: The body. Untrusted.
        if_match: As in HTTP.
        if_none_match: As in HTTP.
        if_none_exist: Of a create.
    """

    method: str
    target: Target
    raw: bytes
    if_match: str | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None


def read_sent(sent: Sent) -> WriteRequest:
    """The write of one resource, validated.

    Raises:
        ExchangeError: It is malformed, or does not fit the URL.
    """
    view = validate(sent.raw)
    if view.type != sent.target.type:
        raise MalformedResourceError(f"the URL says {sent.target.type}, the resource is a {view.type}")
    return make_request(
        method=sent.method,
        target=sent.target,
        view=view,
        if_match=sent.if_match,
        if_none_match=sent.if_none_match,
        if_none_exist=sent.if_none_exist,
    )


_REQUESTS = msgspec.msgpack.Decoder(list[WriteRequest])


def _unpacked(kind: str, writes: bytes, others: Mapping[int, ReadRequest | ExchangeError]) -> Intake:
    """What was carried."""
    requests: list[WriteRequest | ReadRequest | ExchangeError] = [*_REQUESTS.decode(writes)]
    for at, other in sorted(others.items()):
        requests.insert(at, other)
    return Intake(type=kind, requests=tuple(requests))


def read_bundle(raw: bytes) -> Intake:
    """The writes and reads that a Bundle asks for, each resource validated.

    Raises:
        ExchangeError: The Bundle is malformed, or, in a transaction, any entry is.
    """
    bundle = split_bundle(raw)
    if bundle.type == "transaction":
        return Intake(type=bundle.type, requests=tuple(_read(entry) for entry in bundle.entries))
    return Intake(type=bundle.type, requests=tuple(_attempt(entry) for entry in bundle.entries))


def _attempt(entry: BundleEntry) -> WriteRequest | ReadRequest | ExchangeError:
    """The request, or why there is none."""
    try:
        return _read(entry)
    except ExchangeError as error:
        return error


def _read(entry: BundleEntry) -> WriteRequest | ReadRequest:
    """What a Bundle's entry asks for, its resource validated."""
    if entry.method in {"GET", "HEAD"}:
        return read_asked(entry)
    view = validate(entry.raw, where=f"{entry.where}.resource") if entry.raw is not None else None
    if entry.method == "PATCH" and view is not None:
        return read_entry(entry, None, patch_in(view, entry.where))
    return read_entry(entry, view)

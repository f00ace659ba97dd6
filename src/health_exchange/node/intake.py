"""Reading a Bundle: from bytes to checked writes. Pure, and heavy enough to be done by a worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from health_exchange.fhir.bundle import BundleEntry, split_bundle
from health_exchange.fhir.validation import validate
from health_exchange.model.errors import ExchangeError
from health_exchange.node.writes import WriteRequest, read_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """A Bundle that was read.

    Attributes:
        type: ``transaction`` or ``batch``.
        requests: One an entry, in order; in a batch, an error in place of one that cannot be.
    """

    type: str
    requests: tuple[WriteRequest | ExchangeError, ...]

    def __reduce__(self) -> tuple[Callable[..., "Intake"], tuple[object, ...]]:
        """As ``workers.Carried``; errors know how to be pickled and nothing else."""
        sound = [each for each in self.requests if isinstance(each, WriteRequest)]
        errors = {at: each for at, each in enumerate(self.requests) if isinstance(each, ExchangeError)}
        return _unpacked, (self.type, msgspec.msgpack.encode(sound), errors)


_REQUESTS = msgspec.msgpack.Decoder(list[WriteRequest])


def _unpacked(kind: str, sound: bytes, errors: Mapping[int, ExchangeError]) -> Intake:
    """What was carried."""
    requests: list[WriteRequest | ExchangeError] = [*_REQUESTS.decode(sound)]
    for at, error in sorted(errors.items()):
        requests.insert(at, error)
    return Intake(type=kind, requests=tuple(requests))


def read_bundle(raw: bytes) -> Intake:
    """The writes that a Bundle asks for, each resource validated.

    Raises:
        ExchangeError: The Bundle is malformed, or, in a transaction, any entry is.
    """
    bundle = split_bundle(raw)
    if bundle.type == "transaction":
        return Intake(type=bundle.type, requests=tuple(_read(entry) for entry in bundle.entries))
    return Intake(type=bundle.type, requests=tuple(_attempt(entry) for entry in bundle.entries))


def _attempt(entry: BundleEntry) -> WriteRequest | ExchangeError:
    """The write, or why there is none."""
    try:
        return _read(entry)
    except ExchangeError as error:
        return error


def _read(entry: BundleEntry) -> WriteRequest:
    """The write a Bundle's entry asks for, its resource validated."""
    view = validate(entry.raw, where=f"{entry.where}.resource") if entry.raw is not None else None
    return read_entry(entry, view)

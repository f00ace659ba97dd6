"""Where an envelope stands in its origin's stream: next, seen already, too early, or a fork.

Pure: the heads are kept elsewhere. A new incarnation of an origin is a new stream and starts without a head.
"""

from dataclasses import dataclass
from enum import StrEnum

from health_exchange.model.identifiers import StreamId
from health_exchange.protocol.envelope import NO_PREVIOUS, Envelope


class Verdict(StrEnum):
    """What the receiver does with it."""

    ACCEPT = "accept"  # the next one
    DUPLICATE = "duplicate"  # had it; answer with the receipt of then, change nothing
    GAP = "gap"  # something before it is missing; ask for that first
    FORK = "fork"  # the origin says two things about one place; alarm, take neither on trust


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The last place of a stream that was consumed, by acceptance or signed refusal."""

    stream: StreamId
    sequence: int
    digest: bytes


def judge(head: StreamHead | None, envelope: Envelope, *, kept: bytes | None = None) -> Verdict:
    """The verdict on a verified envelope.

    Args:
        head: Of the envelope's own stream; ``None`` before its first.
        envelope: Verified: anybody could forge a fork otherwise.
        kept: Digest consumed at the envelope's place, where that lies before the head and is still known. Without it
            an old place is taken for a duplicate.

    Raises:
        ValueError: ``head`` is of another stream.
    """
    header = envelope.header
    if head is None:
        head = StreamHead(stream=header.stream, sequence=0, digest=bytes.fromhex(NO_PREVIOUS))
    if head.stream != header.stream:
        raise ValueError("the head is of another stream")
    if header.sequence > head.sequence + 1:
        return Verdict.GAP
    if header.sequence == head.sequence + 1:
        return Verdict.ACCEPT if header.previous == head.digest.hex() else Verdict.FORK
    known = head.digest if header.sequence == head.sequence else kept
    return Verdict.DUPLICATE if known in (None, envelope.digest) else Verdict.FORK

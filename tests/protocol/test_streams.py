"""Replay, gap and fork are told apart by the head alone."""

from datetime import UTC, datetime
from random import Random

import pytest

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import StreamId
from health_exchange.model.purposes import Purpose
from health_exchange.protocol.envelope import (
    NO_PREVIOUS,
    Envelope,
    EnvelopeHeader,
    Section,
    read_envelope,
    seal_envelope,
)
from health_exchange.protocol.streams import StreamHead, Verdict, judge

RANDOM = Random(3)
KEYS = NodeKeys.generate(RANDOM.randbytes)
ORIGIN, NATION = NodeAddress.parse("cn/33"), NodeAddress.parse("cn")


def envelope(sequence: int, previous: str, stream: str = "0" * 32) -> Envelope:
    header = EnvelopeHeader(
        origin=ORIGIN,
        stream=StreamId(stream),
        sequence=sequence,
        previous=previous,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        purpose=Purpose.TREATMENT,
        recipients=(NATION,),
    )
    sections = [Section(name="records", recipients=(NATION,), plaintext=b"")]
    boxes = {NATION: KEYS.box.public_raw}
    sealed = seal_envelope(header, sections, boxes=boxes, signing=KEYS.signing, randomness=RANDOM.randbytes)
    return read_envelope(sealed.raw)


FIRST = envelope(1, NO_PREVIOUS)
SECOND = envelope(2, FIRST.digest.hex())
THIRD = envelope(3, SECOND.digest.hex())
HEAD = StreamHead(stream=FIRST.header.stream, sequence=2, digest=SECOND.digest)


@pytest.mark.parametrize(
    ("head", "arrived", "verdict"),
    [
        (None, FIRST, Verdict.ACCEPT),
        (None, SECOND, Verdict.GAP),
        (HEAD, THIRD, Verdict.ACCEPT),
        (HEAD, SECOND, Verdict.DUPLICATE),
        (HEAD, FIRST, Verdict.DUPLICATE),
        (HEAD, envelope(4, THIRD.digest.hex()), Verdict.GAP),
        (HEAD, envelope(3, FIRST.digest.hex()), Verdict.FORK),
        (HEAD, envelope(2, FIRST.digest.hex()), Verdict.FORK),
    ],
)
def test_the_head_decides(head: StreamHead | None, arrived: Envelope, verdict: Verdict) -> None:
    assert judge(head, arrived) is verdict


def test_an_old_place_said_differently_is_a_fork_where_it_is_remembered() -> None:
    other = envelope(1, NO_PREVIOUS)

    assert judge(HEAD, other, kept=FIRST.digest) is Verdict.FORK
    assert judge(HEAD, FIRST, kept=FIRST.digest) is Verdict.DUPLICATE


def test_a_head_of_another_stream_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="another stream"):
        judge(HEAD, envelope(1, NO_PREVIOUS, "1" * 32))

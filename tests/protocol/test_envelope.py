"""An envelope opens for whom it was sealed, shows relays nothing, and survives any garbage."""

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import StreamId
from health_exchange.model.purposes import Purpose
from health_exchange.protocol.envelope import (
    NO_PREVIOUS,
    EnvelopeHeader,
    Section,
    open_sections,
    origin_keys,
    read_envelope,
    seal_envelope,
    verify_envelope,
)
from health_exchange.protocol.envelope_errors import (
    BrokenSectionError,
    EnvelopeSignatureError,
    EnvelopeStrangerError,
    EnvelopeSuiteError,
    EnvelopeVersionError,
    NotARecipientError,
    PoisonEnvelopeError,
)

RANDOM = Random(2)
COUNTY, CITY, PROVINCE, NATION = (NodeAddress.parse(a) for a in ("cn/33/3305/330521", "cn/33/3305", "cn/33", "cn"))
KEYS = {address: NodeKeys.generate(RANDOM.randbytes) for address in (COUNTY, CITY, PROVINCE, NATION)}
BOXES = {address: keys.box.public_raw for address, keys in KEYS.items()}
HEADER = EnvelopeHeader(
    origin=COUNTY,
    stream=StreamId("0" * 32),
    sequence=1,
    previous=NO_PREVIOUS,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    purpose=Purpose.TREATMENT,
    recipients=(CITY, PROVINCE, NATION),
)
SECTIONS = (
    Section(name="records.3", recipients=(PROVINCE, NATION), plaintext=b"clinical"),
    Section(name="records.5", recipients=(), plaintext=b""),
    Section(name="locators", recipients=(CITY, NATION), plaintext=b"locator"),
)


def sealed(header: EnvelopeHeader = HEADER, sections: tuple[Section, ...] = SECTIONS) -> bytes:
    signing = KEYS[COUNTY].signing
    return seal_envelope(header, sections, boxes=BOXES, signing=signing, randomness=RANDOM.randbytes).raw


RAW = sealed()


def receive(raw: bytes, address: NodeAddress = NATION) -> dict[str, bytes]:
    envelope = read_envelope(raw)
    verify_envelope(envelope, KEYS[COUNTY].signing.public)
    return open_sections(envelope, address, [KEYS[address].box])


def test_everyone_opens_what_it_was_granted() -> None:
    assert receive(RAW, NATION) == {"records.3": b"clinical", "locators": b"locator"}
    assert receive(RAW, PROVINCE) == {"records.3": b"clinical"}
    assert receive(RAW, CITY) == {"locators": b"locator"}
    assert read_envelope(RAW).header == HEADER


def test_a_wrap_does_not_tell_what_was_granted() -> None:
    assert len({len(wrap) for _, wrap in read_envelope(RAW).wraps}) == 1


def test_small_sections_look_alike_and_no_plaintext_shows() -> None:
    assert len({section.length for section in read_envelope(RAW).sections}) == 1
    assert b"clinical" not in RAW


@given(raw=st.binary(max_size=400))
def test_any_bytes_are_an_exchange_error(raw: bytes) -> None:
    for attempt in (raw, RAW[:2] + raw, RAW[: len(raw)], RAW + raw + b"x"):
        with pytest.raises(ExchangeError):
            read_envelope(attempt)


@given(position=st.integers(0, len(RAW) - 1), flip=st.integers(1, 255))
def test_any_flipped_byte_is_an_exchange_error(position: int, flip: int) -> None:
    raw = bytearray(RAW)
    raw[position] ^= flip

    with pytest.raises(ExchangeError):
        receive(bytes(raw))


def test_flips_in_the_core_header_are_all_found() -> None:
    # Random positions mostly hit ciphertext; the header is where a parser could stumble.
    for position in range(600):
        for flip in (1, 0x80, 0xFF):
            raw = bytearray(RAW)
            raw[position] ^= flip
            with pytest.raises(ExchangeError):
                receive(bytes(raw))


@pytest.mark.parametrize("raw", [b"\x93\x01" + b"\xdd\xff\xff\xff\xff", b"\x93\x01" + b"\x91" * 100_000, b""])
def test_hostile_nesting_and_lengths_are_poison(raw: bytes) -> None:
    with pytest.raises(PoisonEnvelopeError):
        read_envelope(raw)


def test_a_later_version_is_named_as_such() -> None:
    with pytest.raises(EnvelopeVersionError):
        read_envelope(b"\x93\x02" + RAW[2:])
    with pytest.raises(EnvelopeVersionError):
        read_envelope(b"\x95\x09 something quite different")


def test_an_unknown_suite_is_named_as_such() -> None:
    version, body, signature = msgspec.msgpack.decode(RAW)
    core, wraps, bodies = msgspec.msgpack.decode(body)
    changed = [99, *msgspec.msgpack.decode(core)[1:]]
    body = msgspec.msgpack.encode([msgspec.msgpack.encode(changed), wraps, bodies])

    with pytest.raises(EnvelopeSuiteError):
        read_envelope(msgspec.msgpack.encode([version, body, signature]))


def test_a_stranger_is_named_and_anothers_signature_is_refused() -> None:
    envelope = read_envelope(RAW)
    with pytest.raises(EnvelopeStrangerError):
        origin_keys(envelope, {})
    with pytest.raises(EnvelopeSignatureError):
        verify_envelope(envelope, KEYS[CITY].signing.public)


def test_an_envelope_for_another_node_or_key_does_not_open() -> None:
    envelope = read_envelope(sealed(replace(HEADER, recipients=(NATION,)), SECTIONS[1:2]))
    for address, keys in ((CITY, KEYS[CITY]), (NATION, KEYS[CITY])):
        with pytest.raises(NotARecipientError):
            open_sections(envelope, address, [keys.box])


def test_a_key_other_than_the_committed_one_is_refused_before_it_opens_anything() -> None:
    envelope = read_envelope(RAW)
    changed = msgspec.structs.replace(envelope.sections[0], commitment=bytes(32))

    with pytest.raises(BrokenSectionError):
        open_sections(replace(envelope, sections=(changed, *envelope.sections[1:])), NATION, [KEYS[NATION].box])


def test_a_section_swapped_for_another_is_refused() -> None:
    envelope = read_envelope(RAW)
    swapped = replace(envelope, sealed=(envelope.sealed[2], envelope.sealed[1], envelope.sealed[0]))

    with pytest.raises(BrokenSectionError):
        open_sections(swapped, NATION, [KEYS[NATION].box])


@pytest.mark.parametrize(
    "header",
    [
        replace(HEADER, sequence=0),
        replace(HEADER, sequence=2),
        replace(HEADER, previous="1" * 64),
        replace(HEADER, stream=StreamId("x")),
        replace(HEADER, recipients=(NATION, NATION)),
        replace(HEADER, created_at=datetime(2026, 1, 1)),  # noqa: DTZ001  # a naive instant is the point
    ],
)
def test_nothing_is_sealed_that_nobody_would_read(header: EnvelopeHeader) -> None:
    with pytest.raises(ValueError, match=r"sequence|stream|recipients|aware"):
        sealed(header, SECTIONS[1:2])


def test_no_section_is_for_somebody_who_is_no_recipient() -> None:
    with pytest.raises(ValueError, match="recipients of the envelope"):
        sealed(replace(HEADER, recipients=(CITY,)))

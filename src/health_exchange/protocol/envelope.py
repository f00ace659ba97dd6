"""The envelope: what travels between nodes, sealed section by section for those who may open it.

Whoever relays an envelope reads its core header and its sizes, nothing else. Every recipient gets a wrap of the same
length whatever it was granted. Format, rules and vectors: ``docs/design/envelope.md``.

``read_envelope`` gives shape, not trust; ``verify_envelope`` gives trust; ``open_sections`` gives content.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import msgspec

from health_exchange.crypto.boxes import BoxKeys, key_id
from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.crypto.signatures import SignatureMismatchError, SigningKeys, VerifyingKeys
from health_exchange.crypto.suites import SUITES, Suite, SuiteNumber
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyUse, NodeCard
from health_exchange.model.identifiers import StreamId
from health_exchange.model.purposes import Purpose
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret
from health_exchange.protocol.envelope_errors import (
    BrokenSectionError,
    EnvelopeSignatureError,
    EnvelopeStrangerError,
    EnvelopeSuiteError,
    EnvelopeVersionError,
    NotARecipientError,
    PoisonEnvelopeError,
)
from health_exchange.protocol.instants import read_instant, write_instant
from health_exchange.protocol.padding import pad, unpad

VERSION = 1
ENVELOPE_BYTES_MAX = 64 << 20
SECTIONS_MAX = 16
RECIPIENTS_MAX = 16
CONTEXT = b"health_exchange/envelope/v1"
NO_PREVIOUS = "0" * 64

_COMMITMENT = b"health_exchange/key-commitment/v1\x00"
_STREAM = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SECTION_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeHeader:
    """What everyone on the way may know.

    Attributes:
        origin: Who speaks.
        stream: The origin's present incarnation.
        sequence: Place in the stream, from 1, gapless.
        previous: Hex digest of the envelope before; zeros for the first.
        created_at: Aware; kept to the microsecond, in UTC.
        purpose: Why it is sent.
        recipients: Who gets a wrap.
        suite: Row of ``crypto.suites``.
    """

    origin: NodeAddress
    stream: StreamId
    sequence: int
    previous: str
    created_at: datetime
    purpose: Purpose
    recipients: tuple[NodeAddress, ...]
    suite: SuiteNumber = SuiteNumber.HYBRID_2026


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Content and who may open it; nobody may be among ``recipients`` that is not in the header's."""

    name: str
    recipients: tuple[NodeAddress, ...]
    plaintext: bytes

    def __repr__(self) -> str:
        return f"Section({self.name}, {len(self.plaintext)} bytes)"


class SectionHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A section in the core header: its name, length of its sealed bytes, commitment to its key."""

    name: str
    length: int
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedEnvelope:
    """Bytes to keep before the first send and to send identically ever after; ``digest`` is the next one's previous."""

    raw: bytes
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Envelope:
    """A well-formed envelope, trusted only after ``verify_envelope``.

    Attributes:
        raw: As it arrived; what a relay stores and forwards.
        header: The core header without its sections.
        sections: Names, lengths and commitments, in order.
        digest: SHA-256 of the core.
        body: What was signed.
        signature: By the origin.
        wraps: (key id, wrap) per recipient, in the header's order.
        sealed: Sealed bytes per section, in order.
    """

    raw: bytes
    header: EnvelopeHeader
    sections: tuple[SectionHeader, ...]
    digest: bytes
    body: bytes
    signature: bytes
    wraps: tuple[tuple[bytes, bytes], ...]
    sealed: tuple[bytes, ...]

    def key_id_of(self, recipient: NodeAddress) -> bytes:
        """Which of the recipient's box keys it was sealed to."""
        return self.wraps[self.header.recipients.index(recipient)][0]

    def __repr__(self) -> str:
        return f"Envelope({self.header.origin} {self.header.stream} {self.header.sequence}, {len(self.raw)} bytes)"


class _Core(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    suite: int
    origin: str
    stream: str
    sequence: int
    previous: str
    created: str
    purpose: str
    recipients: tuple[str, ...]
    sections: tuple[SectionHeader, ...]


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    core: bytes
    wraps: tuple[tuple[bytes, bytes], ...]
    sealed: tuple[bytes, ...]


class _Outer(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    body: bytes
    signature: bytes


def seal_envelope(
    header: EnvelopeHeader,
    sections: Sequence[Section],
    *,
    boxes: Mapping[NodeAddress, bytes],
    signing: SigningKeys,
    randomness: Randomness,
) -> SealedEnvelope:
    """An envelope ready to keep and send.

    Args:
        header: Its ``recipients`` all get a wrap, granted anything or not.
        sections: At most ``SECTIONS_MAX``, distinct names; give the same names every time, whatever is in them.
        boxes: Box key of every recipient.
        signing: The origin's.
        randomness: Section keys and nonces.

    Raises:
        ValueError: What ``read_envelope`` would refuse, or a section for somebody who is no recipient.
    """
    suite = SUITES[header.suite]
    if any(not set(section.recipients) <= set(header.recipients) for section in sections):
        raise ValueError("a section is for recipients of the envelope only")
    keys = [Secret(randomness(suite.key_bytes)) for _ in sections]
    padded = [pad(section.plaintext) for section in sections]
    headers = tuple(
        SectionHeader(section.name, len(plain) + suite.seal_overhead_bytes, _commit(suite, section.name, key))
        for section, plain, key in zip(sections, padded, keys, strict=True)
    )
    core = encode_core(header, headers)
    digest = suite.digest(core)
    sealed = tuple(
        suite.seal(key, plain, aad=digest + section.name.encode(), nonce=randomness(suite.nonce_bytes))
        for section, plain, key in zip(sections, padded, keys, strict=True)
    )
    wraps = []
    for recipient in header.recipients:
        # Zeros stand for a key not granted, so that every wrap is as long as every other.
        granted = [
            key.raw if recipient in section.recipients else bytes(suite.key_bytes)
            for section, key in zip(sections, keys, strict=True)
        ]
        name = key_id(boxes[recipient])
        wrap = suite.wrap(boxes[recipient], Secret(b"".join(granted)), info=suite.digest(core + name))
        wraps.append((name, wrap))
    body = msgspec.msgpack.encode(_Body(core, tuple(wraps), sealed))
    signature = suite.sign(signing, body, context=CONTEXT)
    raw = msgspec.msgpack.encode(_Outer(VERSION, body, signature))
    if len(raw) > ENVELOPE_BYTES_MAX:
        raise ValueError(f"an envelope is at most {ENVELOPE_BYTES_MAX} bytes")
    return SealedEnvelope(raw=raw, digest=digest)


def read_envelope(raw: bytes) -> Envelope:
    """The envelope in ``raw``: well-formed and bounded, not yet trusted.

    Raises:
        PoisonEnvelopeError: Not an envelope, too large, or not in its one canonical form.
        EnvelopeVersionError: Of a version we do not know.
        EnvelopeSuiteError: Under a suite we do not know.
    """
    if len(raw) > ENVELOPE_BYTES_MAX:
        raise PoisonEnvelopeError(f"an envelope is at most {ENVELOPE_BYTES_MAX} bytes, this has {len(raw)}")
    version = _version(raw)
    if version is None:
        raise PoisonEnvelopeError("the bytes are no envelope")
    if version != VERSION:
        raise EnvelopeVersionError(f"this node reads envelopes of version {VERSION}")
    problem = "the bytes are no envelope"
    try:
        return _read(raw)
    except ValueError as error:
        # Only our own sentences are plain ``ValueError``; a decoder's may quote what it read.
        problem = str(error) if type(error) is ValueError else problem
    except (msgspec.MsgspecError, RecursionError, MemoryError):
        pass
    raise PoisonEnvelopeError(problem)


def origin_keys(envelope: Envelope, cards: Mapping[NodeAddress, NodeCard]) -> tuple[VerifyingKeys, ...]:
    """Keys the named origin may have signed with when it says it did; raises ``EnvelopeStrangerError`` for nobody."""
    card = cards.get(envelope.header.origin)
    if card is None:
        raise EnvelopeStrangerError("the envelope's origin is not in the directory")
    return tuple(map(VerifyingKeys.from_bytes, card.keys_at(KeyUse.SIGNING, envelope.header.created_at)))


def verify_envelope(envelope: Envelope, *keys: VerifyingKeys) -> None:
    """Check that the holder of one of ``keys`` signed every byte of it.

    Raises:
        EnvelopeSignatureError: One of the two signatures does not hold.
    """
    suite = SUITES[envelope.header.suite]
    for each in keys:
        try:
            suite.verify(each, envelope.body, envelope.signature, context=CONTEXT)
        except SignatureMismatchError:
            continue
        return
    raise EnvelopeSignatureError("the envelope is not signed by its origin")


def open_sections(envelope: Envelope, address: NodeAddress, boxes: Sequence[BoxKeys]) -> dict[str, bytes]:
    """Plaintext by name of the sections granted to ``address``; maybe none. Call on verified envelopes only.

    Raises:
        NotARecipientError: Addressed to others, or to another key of ours.
        BrokenSectionError: A wrap, key commitment, seal or padding does not hold.
    """
    suite = SUITES[envelope.header.suite]
    if address not in envelope.header.recipients:
        raise NotARecipientError(f"the envelope is not addressed to {address}")
    name = envelope.key_id_of(address)
    wrap = envelope.wraps[envelope.header.recipients.index(address)][1]
    box = next((box for box in boxes if key_id(box.public_raw) == name), None)
    if box is None:
        raise NotARecipientError(f"the envelope is wrapped to another key of {address}")
    core = msgspec.msgpack.decode(envelope.body, type=_Body).core
    try:
        granted = suite.unwrap(box, wrap, info=suite.digest(core + name)).raw
        return _open(suite, envelope, granted)
    except (SealBrokenError, ValueError):
        raise BrokenSectionError("a section granted to us does not open") from None


def encode_core(header: EnvelopeHeader, sections: Sequence[SectionHeader]) -> bytes:
    """The core's one form; raises ``ValueError`` for a header or sections that no envelope may have."""
    core = _Core(
        suite=int(header.suite),
        origin=str(header.origin),
        stream=header.stream,
        sequence=header.sequence,
        previous=header.previous,
        created=write_instant(header.created_at),
        purpose=header.purpose.value,
        recipients=tuple(str(recipient) for recipient in header.recipients),
        sections=tuple(sections),
    )
    _header(core)
    return msgspec.msgpack.encode(core)


def _open(suite: Suite, envelope: Envelope, granted: bytes) -> dict[str, bytes]:
    """Open what ``granted`` has keys for; raises ``ValueError`` or ``SealBrokenError``."""
    if len(granted) != suite.key_bytes * len(envelope.sections):
        raise ValueError("a wrap holds one key per section")
    opened = {}
    for index, section in enumerate(envelope.sections):
        key = Secret(granted[index * suite.key_bytes : (index + 1) * suite.key_bytes])
        if not any(key.raw):
            continue
        # GCM alone would let one ciphertext open under two keys to two contents.
        if _commit(suite, section.name, key) != section.commitment:
            raise ValueError("the key is not the one committed to")
        padded = suite.open(key, envelope.sealed[index], aad=envelope.digest + section.name.encode())
        opened[section.name] = unpad(padded)
    return opened


def _commit(suite: Suite, name: str, key: Secret) -> bytes:
    return suite.digest(_COMMITMENT + name.encode() + b"\x00" + key.raw)


def _version(raw: bytes) -> int | None:
    """The version, read off the first bytes alone so that a later one may look different behind it."""
    if len(raw) < 2 or not 0x91 <= raw[0] <= 0x9F or raw[1] > 0x7F:  # noqa: PLR2004  # MessagePack: fixarray, fixint
        return None
    return raw[1]


def _read(raw: bytes) -> Envelope:
    """Decode and check; raises ``ValueError`` with a sentence of ours, or whatever a decoder raises."""
    outer = msgspec.msgpack.decode(raw, type=_Outer)
    body = msgspec.msgpack.decode(outer.body, type=_Body)
    core = msgspec.msgpack.decode(body.core, type=_Core)
    encoded = (msgspec.msgpack.encode(outer), msgspec.msgpack.encode(body), msgspec.msgpack.encode(core))
    if encoded != (raw, outer.body, body.core):
        raise ValueError("the envelope is not in canonical form")
    header = _header(core)
    suite = SUITES[header.suite]
    if len(body.wraps) != len(header.recipients) or len(body.sealed) != len(core.sections):
        raise ValueError("an envelope has one wrap per recipient and one body per section")
    wrap_bytes = suite.key_bytes * len(core.sections) + suite.wrap_overhead_bytes
    if any(len(name) != _DIGEST_BYTES or len(wrap) != wrap_bytes for name, wrap in body.wraps):
        raise ValueError("a wrap has the wrong length")
    if any(len(sealed) != section.length for sealed, section in zip(body.sealed, core.sections, strict=True)):
        raise ValueError("a section has not the length its header says")
    return Envelope(
        raw=raw,
        header=header,
        sections=core.sections,
        digest=sha256(body.core).digest(),
        body=outer.body,
        signature=outer.signature,
        wraps=body.wraps,
        sealed=body.sealed,
    )


def _header(core: _Core) -> EnvelopeHeader:
    """The checked header; raises ``ValueError``, or ``EnvelopeSuiteError`` for a suite we have no row for."""
    if core.suite not in SuiteNumber.__members__.values():
        raise EnvelopeSuiteError("this node does not know the envelope's suite")
    if not _STREAM.fullmatch(core.stream) or not _DIGEST.fullmatch(core.previous):
        raise ValueError("a stream is 32 and a digest 64 hexadecimal characters")
    if not 1 <= core.sequence < 1 << 63 or (core.sequence == 1) != (core.previous == NO_PREVIOUS):
        raise ValueError("a sequence counts from 1, and only the first has no previous")
    names = [section.name for section in core.sections]
    if not 1 <= len(names) <= SECTIONS_MAX or len(set(names)) != len(names):
        raise ValueError(f"an envelope has 1 to {SECTIONS_MAX} sections of distinct names")
    if not all(_SECTION_NAME.fullmatch(name) for name in names):
        raise ValueError("a section's name is lower-case letters, digits, points and hyphens")
    if any(len(section.commitment) != _DIGEST_BYTES for section in core.sections):
        raise ValueError("a key commitment is 32 bytes")
    if not 1 <= len(core.recipients) <= RECIPIENTS_MAX or len(set(core.recipients)) != len(core.recipients):
        raise ValueError(f"an envelope has 1 to {RECIPIENTS_MAX} distinct recipients")
    if core.purpose not in Purpose.__members__.values():
        raise ValueError("the envelope's purpose is unknown")
    return EnvelopeHeader(
        origin=_address(core.origin),
        stream=StreamId(core.stream),
        sequence=core.sequence,
        previous=core.previous,
        created_at=read_instant(core.created),
        purpose=Purpose(core.purpose),
        recipients=tuple(_address(text) for text in core.recipients),
        suite=SuiteNumber(core.suite),
    )


def _address(text: str) -> NodeAddress:
    try:
        return NodeAddress.parse(text)
    except ValueError:
        raise ValueError("an address in the envelope cannot be read") from None

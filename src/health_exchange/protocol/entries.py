"""What a section of an envelope says: changes to records, and locators.

An entry is one of ``put``, ``delete``, ``reassign`` and ``shred``. A section's plaintext is zstd over MessagePack, and
whoever opens it treats it as untrusted although it was signed: a broken origin must not break its ancestors.
"""

import re
from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec
import zstandard

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import ExchangeId, Pseudonym
from health_exchange.model.sensitivity import Sensitivity

PLAIN_BYTES_MAX = 64 << 20
ENTRIES_MAX = 10_000

_NAME = re.compile(r"[a-z2-7]{26}")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_TEXT_MAX = 64
_CONSENT_MAX = 8192
_LEVEL = 3
_WINDOW_BYTES_MAX = 8 << 20

T = TypeVar("T")


class MalformedSectionError(ExchangeError):
    """A section opened, but what is in it cannot be read."""

    category = Category.INCORRECT
    code = "malformed-section"


class RecordEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of one resource, or the shredding of one person.

    Attributes:
        op: What happened. A ``shred`` names only the pseudonym.
        type: Resource type; empty in a shred.
        id: Exchange id; empty in a shred.
        version: The origin's version id; 0 in a shred.
        pseudonym: Whose it is; ``None`` for a directory resource.
        previous: Whose it was, in a ``reassign`` only.
        sensitivity: Level of the scale, 1 to 5.
        category: Code of the sensitive category.
        changed_at: Instant of the change as the origin wrote it.
        body: The de-identified resource, in a ``put`` always, in a ``reassign`` maybe.
        consent: In a ``put``, what its person has said about sharing, for those who hold copies.
    """

    op: Literal["put", "delete", "reassign", "shred"]
    type: str = ""
    id: ExchangeId = ExchangeId("")
    version: int = 0
    pseudonym: Pseudonym | None = None
    previous: Pseudonym | None = None
    sensitivity: int = int(Sensitivity.RESTRICTED)
    category: str = ""
    changed_at: str = ""
    body: bytes | None = None
    consent: str = ""

    def __repr__(self) -> str:
        return f"RecordEntry({self.op} {self.type}/{self.id} version {self.version})"

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what no origin may say; never quotes it."""
        names = [name for name in (self.pseudonym, self.previous) if name is not None]
        if not all(_NAME.fullmatch(name) for name in names):
            raise ValueError("a pseudonym is 26 characters of base32")
        if self.op == "shred":
            if self.pseudonym is None or (self.type, self.id, self.version, self.previous) != ("", "", 0, None):
                raise ValueError("a shred names a pseudonym and nothing else")
        elif not _TYPE.fullmatch(self.type) or not _NAME.fullmatch(self.id) or not 1 <= self.version < 1 << 63:
            raise ValueError("an entry names its type, exchange id and version")
        if (self.op == "reassign") != (self.previous is not None):
            raise ValueError("a reassign, and nothing else, names a previous pseudonym")
        if (self.op == "put" and self.body is None) or (self.op in ("delete", "shred") and self.body is not None):
            raise ValueError("a put has a body, a delete or shred has none")
        if not Sensitivity.OPEN <= self.sensitivity <= Sensitivity.RESTRICTED:
            raise ValueError("sensitivity is 1 to 5")
        if len(self.category) > _TEXT_MAX or len(self.changed_at) > _TEXT_MAX:
            raise ValueError("category and instant are short")
        if self.consent and (self.op != "put" or len(self.consent) > _CONSENT_MAX):
            raise ValueError("a put, and nothing else, carries a consent, and a short one")


class Locator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The origin holds something of this person, no facility, date, type or level; or that is to be forgotten.

    Attributes:
        pseudonym: The person.
        withdrawn: It is to be forgotten.
        consent: What the person has said there about sharing, with its conditions, for look-ups.
    """

    pseudonym: Pseudonym
    withdrawn: bool = False
    consent: str = ""

    def __repr__(self) -> str:
        return "Locator(hidden)"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.pseudonym):
            raise ValueError("a pseudonym is 26 characters of base32")
        if self.consent and (self.withdrawn or len(self.consent) > _CONSENT_MAX):
            raise ValueError("a locator carries a short consent, a withdrawn one none")


def encode_entries(entries: Sequence[RecordEntry]) -> bytes:
    """Plaintext of a ``records`` section; raises ``ValueError`` beyond the bounds a reader accepts."""
    return _encode(entries)


def decode_entries(raw: bytes) -> list[RecordEntry]:
    """What a ``records`` section says.

    Raises:
        MalformedSectionError: Not zstd, larger than ``PLAIN_BYTES_MAX``, or not entries.
    """
    return _decode(raw, _RECORDS)


def encode_locators(locators: Sequence[Locator]) -> bytes:
    """Plaintext of a ``locators`` section; raises ``ValueError`` beyond the bounds a reader accepts."""
    return _encode(locators)


def decode_locators(raw: bytes) -> list[Locator]:
    """What a ``locators`` section says; raises ``MalformedSectionError``."""
    return _decode(raw, _LOCATORS)


_RECORDS = msgspec.msgpack.Decoder(list[RecordEntry])
_LOCATORS = msgspec.msgpack.Decoder(list[Locator])


def _encode(items: Sequence[RecordEntry] | Sequence[Locator]) -> bytes:
    plain = msgspec.msgpack.encode(items)
    if len(items) > ENTRIES_MAX or len(plain) > PLAIN_BYTES_MAX:
        raise ValueError(f"a section holds at most {ENTRIES_MAX} entries in {PLAIN_BYTES_MAX} bytes")
    return zstandard.ZstdCompressor(level=_LEVEL).compress(plain)


def _decode(raw: bytes, decoder: msgspec.msgpack.Decoder[list[T]]) -> list[T]:
    items = None
    try:
        # The size is asked first: a frame that does not tell it, or tells too much, is never expanded.
        size = zstandard.frame_content_size(raw)
        if 0 <= size <= PLAIN_BYTES_MAX:
            expander = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
            plain = expander.decompress(raw, max_output_size=PLAIN_BYTES_MAX, allow_extra_data=False)
            items = decoder.decode(plain)
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError, RecursionError, MemoryError):
        items = None
    # Raised outside the handler: a decoder's error may quote what it read.
    if items is None or len(items) > ENTRIES_MAX:
        raise MalformedSectionError("the section's content cannot be read")
    return items

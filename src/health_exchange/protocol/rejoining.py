"""What a node with a restored database asks those who knew it, and what they tell.

Question and answer are letters between the two; everything told is about the asker's own records, log and streams, or
about who below it is to be forgotten.
"""

from typing import Literal

import msgspec

Part = Literal["standing", "held", "persons", "seen"]


class RejoinQuestion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question of a rejoining node.

    Attributes:
        part: How it stands with the asked; or a page of what the asked holds of the asker, or of its persons; or only
            how much the asked has seen, by a node that may have lost nothing.
        incarnation: The asker's new one.
        log: Name of the log that was lost.
        since: Instant of the backup, ISO 8601, UTC.
        heads: Of each stream of the asked that the asker knows, the last envelope it has.
        after: Where a page goes on; empty for the first one.
    """

    part: Part
    incarnation: int
    log: str
    since: str
    heads: dict[str, int] = {}
    after: str = ""


class Shredded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person whom an origin has had forgotten, and when the one who tells was told."""

    origin: str
    pseudonym: str
    at: str


class StandingAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the asker stands with the asked.

    Attributes:
        log_size: Size of the asker's lost log that the asked last cosigned; 0 for none.
        log_root: Its root.
        streams: The asker's streams, and the last envelope of each that came here.
        shreds: Who is to be forgotten, at the asker's wish or at that of origins below it.
        stream: The asked node's own stream, where it is an origin below the asker; empty otherwise.
        sequence: The last envelope of it that the asker may have had.
    """

    log_size: int = 0
    log_root: bytes = b""
    streams: dict[str, int] = {}
    shreds: list[Shredded] = []
    stream: str = ""
    sequence: int = 0


class HeldResource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resource of the asker that the asked holds or has a tombstone of; by exchange id."""

    type: str
    id: str
    version: int
    deleted: bool
    pseudonym: str
    changed_at: str


class HeldPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of what the asked holds; ``after`` is empty on the last one."""

    resources: list[HeldResource]
    after: str = ""


class PersonsPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the persons whom the asked knows the asker to hold, with what consent they told.

    ``after`` is empty on the last one.
    """

    persons: dict[str, str]
    after: str = ""

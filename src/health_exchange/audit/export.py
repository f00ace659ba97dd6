"""A log as a folder that a person can read and anybody can verify offline.

    README.txt              what this is and how to verify it
    keys.json               origin, public key of the log, its witnesses with their public keys
    checkpoint              the latest signed checkpoint, with the cosignatures there are
    checkpoints/<size>      earlier ones
    tile/...                the log as C2SP tlog-tiles
    entries/<first>.jsonl   position, salt and opened entry, one a line

Pure: from what the store holds to a mapping of path to bytes.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from health_exchange.audit.tiles import export_tiles

SALT_BYTES = 32
LINES_PER_FILE = 1000

_README = """\
This folder is the audit log of {origin}, exported for inspection.

Every request to that node left one entry here before its answer left the node. Each entry is sealed into a Merkle tree
by a salted commitment; the tree's size and root are signed in checkpoint files, and other nodes (witnesses) cosigned
them after checking that the log only ever grew.

Verify it without the node, with the public keys in keys.json only:

    health-exchange audit verify THIS_FOLDER

entries/*.jsonl holds the entries themselves, one a line: who (principal), what (action), why (purpose), outcome and
reason, and whose record it was (subjects, as pseudonyms). Compare keys.json with the keys you know from elsewhere: a
folder can only prove that it is consistent with the keys it names.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness by name, with its public key."""

    name: str
    public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLog:
    """The log of an incarnation that was lost: its name, and how many of its entries a backup had kept.

    What came after them is gone; the next entry, the first of the incarnation that followed, says how much that was.
    """

    origin: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogContent:
    """What the store holds of a log.

    Attributes:
        origin: The log's name.
        public: Its Ed25519 key.
        witnesses: Who may cosign.
        former: Keys that these have followed, by name of log or witness.
        tiles: By name.
        checkpoints: Signed notes by size.
        cosignatures: Signature lines by size.
        entries: Salt and entry bytes in log order; ``None`` where a period's key was destroyed.
        earlier: Logs that this one goes on from, the first one first.
    """

    origin: str
    public: bytes
    witnesses: Sequence[WitnessKey]
    former: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    tiles: Mapping[str, bytes]
    checkpoints: Mapping[int, str]
    cosignatures: Mapping[int, Sequence[str]]
    entries: Sequence[bytes | None]
    earlier: Sequence[EarlierLog] = ()


class ExportedEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of ``entries/*.jsonl``; salt and entry are null where the period's key was destroyed."""

    position: int
    salt: str | None
    entry: msgspec.Raw


def export_folder(content: LogContent) -> dict[str, bytes]:
    """The folder's files by path."""
    files = {"README.txt": _README.format(origin=content.origin).encode(), "keys.json": _keys(content)}
    latest = max(content.checkpoints, default=None)
    for size, note in content.checkpoints.items():
        name = "checkpoint" if size == latest else f"checkpoints/{size}"
        files[name] = (note + "".join(content.cosignatures.get(size, ()))).encode()
    files |= export_tiles(content.tiles)
    for first in range(0, len(content.entries), LINES_PER_FILE):
        lines = [
            msgspec.json.encode(_line(first + offset, raw))
            for offset, raw in enumerate(content.entries[first : first + LINES_PER_FILE])
        ]
        files[f"entries/{first:09d}.jsonl"] = b"\n".join(lines) + b"\n"
    return files


def _keys(content: LogContent) -> bytes:
    """The public keys, for people and programs."""
    keys: dict[str, object] = {
        "origin": content.origin,
        "public_key": b64encode(content.public).decode(),
        "witnesses": [
            {"name": witness.name, "public_key": b64encode(witness.public).decode()} for witness in content.witnesses
        ],
    }
    if content.former:
        keys["former"] = {name: [b64encode(key).decode() for key in each] for name, each in content.former.items()}
    if content.earlier:
        keys["earlier"] = [{"origin": each.origin, "size": each.size} for each in content.earlier]
    return msgspec.json.format(msgspec.json.encode(keys)) + b"\n"


def _line(position: int, raw: bytes | None) -> ExportedEntry:
    """One entry as a line."""
    if raw is None:
        return ExportedEntry(position=position, salt=None, entry=msgspec.Raw(b"null"))
    return ExportedEntry(position=position, salt=raw[:SALT_BYTES].hex(), entry=msgspec.Raw(raw[SALT_BYTES:]))

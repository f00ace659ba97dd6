"""Checking one proof file offline, with nothing of the code that wrote it.

Shares with the writer only ``hashing`` and the signature primitive, as ``verification`` does for whole logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from health_exchange.audit.hashing import HASH_BYTES, commit, hash_leaf, hash_node, split_point
from health_exchange.audit.notes import check_signatures, read_note

_FORMAT = "health_exchange proof v1"
PATH_HASHES_MAX = 64
"""Longer than any path in a log that could be written."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file, its own reading of it; bytes are base64."""

    format: str
    origin: str
    public_key: bytes
    witnesses: dict[str, bytes]
    former: dict[str, list[bytes]] = {}
    checkpoint: str
    position: int
    salt: bytes
    entry: msgspec.Raw
    path: list[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReport:
    """What one proof file shows.

    Attributes:
        origin: The log's name.
        public_key: The key it was checked with: compare it with one known from elsewhere.
        witnesses: The witnesses' keys it was checked with.
        former: Keys that these have followed, by name, which it was checked with too.
        position: The entry's place in the log.
        size: Entries under the checkpoint.
        entry: The entry as it stands in the file.
        cosigned_by: Witnesses whose signatures under the checkpoint hold.
        problem: What is wrong, in one sentence; empty if nothing is.
    """

    origin: str = ""
    public_key: bytes = b""
    witnesses: Mapping[str, bytes]
    former: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    position: int = -1
    size: int = 0
    entry: bytes = b""
    cosigned_by: tuple[str, ...] = ()
    problem: str = ""


def verify_proof(raw: bytes) -> ProofReport:
    """What the file ``raw`` shows; untrusted, all of it."""
    file = _read(raw)
    if file is None:
        return ProofReport(witnesses={}, problem="is no proof, or is written in another form than proofs are")
    note = read_note(file.checkpoint.encode())
    cosigned: tuple[str, ...] = ()
    if note is None or note.origin != file.origin:
        problem = "its checkpoint cannot be read, or is another log's"
    else:
        verdict = check_signatures(
            note, origin=file.origin, public=file.public_key, witnesses=file.witnesses, former=file.former
        )
        cosigned = verdict.cosigned_by
        problem = "; ".join(verdict.problems)
        leaf = hash_leaf(commit(file.salt, bytes(file.entry)))
        if not problem and climb(leaf, file.position, note.size, file.path) != note.root:
            problem = f"entry {file.position} is not in the log that the checkpoint commits to, or is not this one"
    return ProofReport(
        origin=file.origin,
        public_key=file.public_key,
        witnesses=file.witnesses,
        former=file.former,
        position=file.position,
        size=note.size if note is not None else 0,
        entry=bytes(file.entry),
        cosigned_by=cosigned,
        problem=problem,
    )


def climb(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to from a leaf of a tree of ``size``; ``None`` where it cannot be a path of it.

    Source: RFC 6962, section 2.1.1: the definition of the path, read backwards.
    """
    if not 0 <= index < size or (size == 1) != (not path) or len(path) > PATH_HASHES_MAX:
        return None
    if size == 1:
        return leaf
    middle = split_point(size)
    if index < middle:
        left = climb(leaf, index, middle, path[:-1])
        return None if left is None else hash_node(left, path[-1])
    right = climb(leaf, index - middle, size - middle, path[:-1])
    return None if right is None else hash_node(path[-1], right)


def _read(raw: bytes) -> _File | None:
    """The file, if it is one in the one form that it has."""
    try:
        file = msgspec.json.decode(raw, type=_File)
    except (msgspec.MsgspecError, ValueError):
        return None
    sound = file.format == _FORMAT and msgspec.json.encode(file) + b"\n" == raw
    hashes = (file.public_key, file.salt, *file.witnesses.values(), *file.path, *chain(*file.former.values()))
    return file if sound and all(len(each) == HASH_BYTES for each in hashes) else None

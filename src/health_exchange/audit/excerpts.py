"""Parts of a log that prove themselves: entries with their salts, and paths to checkpoints that the log signed.

Whoever gets an excerpt checks it before showing a line of it. What an excerpt cannot prove is that nothing was left
out; that is what reconciliation and exports of whole logs are for.
"""

from collections.abc import Mapping, Sequence

import msgspec

from health_exchange.audit.checkpoints import Checkpoint, read_checkpoint
from health_exchange.audit.entries import AuditEntry, commitment, decode_entry
from health_exchange.audit.hashing import hash_leaf
from health_exchange.audit.merkle import verify_inclusion
from health_exchange.model.errors import Category, ExchangeError


class UnprovenEntryError(ExchangeError):
    """An entry that its log does not stand for."""

    category = Category.CONFLICT
    code = "unproven-entry"


class ProvenEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry with its proof.

    Attributes:
        position: Its place in the log, from 0.
        salt: 32 bytes that its commitment was made with.
        entry: Its canonical bytes, which are JSON.
        size: Size of the checkpoint that the path leads to.
        path: Sibling hashes from the leaf upwards.
    """

    position: int
    salt: bytes
    entry: msgspec.Raw
    size: int
    path: list[bytes]


class LogExcerpt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node answers to a question about its log.

    Attributes:
        origin: The log's name.
        checkpoints: Signed notes with the cosignatures there are, which the entries' paths lead to.
        entries: The latest first.
        before: Where to go on asking; ``None`` where nothing earlier is left.
        withheld: Entries on the way that are past retention: what they said was destroyed.
    """

    origin: str
    checkpoints: list[str]
    entries: list[ProvenEntry]
    before: int | None
    withheld: int = 0


def check_excerpt(excerpt: LogExcerpt, *, origin: str, publics: Sequence[bytes]) -> Sequence[AuditEntry]:
    """The entries, once each is shown to stand in the log of that name and keys, and to be of the node whose log it is.

    Raises:
        UnprovenEntryError: It is another log's, a checkpoint is signed by none of ``publics``, an entry is not in it or
            speaks as another node, or one stands there twice.
    """
    problem = ""
    try:
        if excerpt.origin != origin:
            raise UnprovenEntryError("the excerpt is of another log")
        notes = (read_checkpoint(note, origin=origin, publics=publics) for note in excerpt.checkpoints)
        known = {checkpoint.size: checkpoint for checkpoint in notes}
        entries = [_check(proven, known) for proven in excerpt.entries]
        if any(origin.partition("/")[2].partition("@")[0] != entry.node for entry in entries):
            raise UnprovenEntryError("an entry speaks as another node than the one whose log it stands in")
        if len({proven.position for proven in excerpt.entries}) != len(entries):
            raise UnprovenEntryError("an entry is there twice")
    except ExchangeError as error:
        problem = error.detail
    except (ValueError, RecursionError):
        problem = "the excerpt cannot be read"
    else:
        return entries
    raise UnprovenEntryError(problem)


def _check(proven: ProvenEntry, known: Mapping[int, Checkpoint]) -> AuditEntry:
    """One entry against its checkpoint."""
    checkpoint = known.get(proven.size)
    if checkpoint is None:
        raise UnprovenEntryError(f"entry {proven.position} names a checkpoint that is not there")
    raw = bytes(proven.entry)
    verify_inclusion(
        hash_leaf(commitment(raw, proven.salt)),
        index=proven.position,
        tree_size=checkpoint.size,
        path=proven.path,
        root=checkpoint.root,
    )
    return decode_entry(raw)

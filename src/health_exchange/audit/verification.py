"""Verifying an exported log offline, with the public keys in it and nothing of the writer's code.

Shares with the writer only ``hashing`` and the signature primitive. The whole tree is rebuilt from the entries, so a
changed, dropped, inserted or moved one is found where it first shows; every checkpoint must be a prefix of that tree,
so a rolled back or forked log is found too.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from health_exchange.audit.hashing import EMPTY_ROOT, HASH_BYTES, commit, hash_leaf, hash_node, split_point
from health_exchange.audit.notes import Note, check_signatures, decode_base64, read_note

_WIDTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong: the file, with a line or position where it helps, and what."""

    where: str
    what: str


@dataclass(slots=True, kw_only=True)
class VerificationReport:
    """What was verified.

    Attributes:
        origin: The log's name.
        entries: Entries that match their commitment in the log.
        withheld: Entries whose content was destroyed at the end of retention; their commitments still stand.
        checkpoints: Signed checkpoints that are prefixes of the log.
        proofs: Tiles and checkpoints recomputed from the entries.
        cosignatures: Witnesses' signatures that hold.
        restores: Of each incarnation after the first, what its first entry says of the one that was lost.
        failures: Everything wrong, the earliest entry first.
    """

    origin: str = ""
    entries: int = 0
    withheld: int = 0
    checkpoints: int = 0
    proofs: int = 0
    cosignatures: int = 0
    restores: list[str] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)

    def fail(self, where: str, what: str) -> None:
        """Note something wrong."""
        self.failures.append(Finding(where=where, what=what))


class _Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    public_key: str


class _Earlier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    origin: str
    size: int


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    origin: str
    public_key: str
    witnesses: list[_Witness]
    former: dict[str, list[str]] = {}
    earlier: list[_Earlier] = []

    @property
    def encoded(self) -> list[str]:
        """Every key there is."""
        return [self.public_key, *(each.public_key for each in self.witnesses), *chain(*self.former.values())]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    position: int
    salt: str | None
    entry: msgspec.Raw


class _Said(msgspec.Struct, frozen=True):
    kind: str
    summary: str = ""


def verify_folder(files: Mapping[str, bytes]) -> VerificationReport:
    """Verify an exported log.

    Args:
        files: Every file of the folder by its path. Untrusted, all of it.
    """
    report = VerificationReport()
    keys = _read_keys(files, report)
    leaves = _read_leaves(files, report)
    restores = _check_entries(files, leaves, report)
    hashes = [hash_leaf(leaf) for leaf in leaves]
    _check_tiles(files, hashes, report)
    if keys is not None:
        report.origin = keys.origin
        _check_lives(keys, restores, report)
        _check_checkpoints(files, keys, hashes, report)
    _check_names(files, len(leaves), report)
    return report


def render_report(report: VerificationReport) -> str:
    """The report for somebody who has never seen one."""
    lines = [
        f"Log of {report.origin or 'an unknown node'}",
        f"  {report.entries} entries match the commitments in the log"
        + (f"; {report.withheld} are past retention and cannot be opened" if report.withheld else ""),
        f"  {report.checkpoints} signed checkpoints are prefixes of this log",
        f"  {report.proofs} tiles and roots were recomputed from the entries and agree",
        f"  {report.cosignatures} cosignatures of witnesses hold",
    ]
    lines += [f"  RESTORED: {said}" for said in report.restores]
    if not report.failures:
        return "\n".join([*lines, "Nothing is wrong: no entry was changed, dropped, inserted or moved."])
    lines.append(f"{len(report.failures)} FINDINGS, the first is the place to look:")
    return "\n".join([*lines, *(f"  {finding.where}: {finding.what}" for finding in report.failures)])


def _read_keys(files: Mapping[str, bytes], report: VerificationReport) -> _Keys | None:
    """The public keys."""
    raw, sizes = files.get("keys.json", b""), set[int]()
    try:
        keys = msgspec.json.decode(raw, type=_Keys)
        sizes = {len(decode_base64(encoded)) for encoded in keys.encoded}
    except (msgspec.MsgspecError, ValueError):
        keys = None
    # One way to write it, so that no byte can change unseen.
    if keys is None or sizes != {HASH_BYTES} or raw != msgspec.json.format(msgspec.json.encode(keys)) + b"\n":
        report.fail("keys.json", "is missing or cannot be read; no signature can be checked")
        return None
    return keys


def _read_leaves(files: Mapping[str, bytes], report: VerificationReport) -> list[bytes]:
    """The log's entries (32-byte commitments) out of the entry bundles, in order."""
    leaves: list[bytes] = []
    bundles = sorted(
        (_index(path), path) for path in files if path.startswith("tile/entries/") and _index(path) is not None
    )
    for number, (index, path) in enumerate(bundles):
        raw = files[path]
        count, rest = divmod(len(raw), 2 + HASH_BYTES)
        pieces = [raw[at : at + 2 + HASH_BYTES] for at in range(0, len(raw), 2 + HASH_BYTES)]
        if index != number:
            report.fail(path, f"bundle {number} is missing before it")
            break
        if rest or not count or any(piece[:2] != HASH_BYTES.to_bytes(2) for piece in pieces):
            report.fail(path, f"is not a bundle of commitments, from entry {len(leaves)} on")
            break
        leaves.extend(piece[2:] for piece in pieces)
        if count != _WIDTH and number != len(bundles) - 1:
            report.fail(path, f"holds {count} entries where {_WIDTH} belong")
            break
    return leaves


def _check_entries(
    files: Mapping[str, bytes], leaves: Sequence[bytes], report: VerificationReport
) -> dict[int, str | None]:
    """Every opened entry against its commitment, in order.

    Of entries that begin an incarnation what they say, by position; ``None`` for what is past retention.
    """
    expected, restores = 0, dict[int, str | None]()
    for path in sorted(path for path in files if path.startswith("entries/")):
        for number, raw in enumerate(files[path].split(b"\n")[:-1], start=1):
            where = f"{path}:{number}"
            try:
                line = msgspec.json.decode(raw, type=_Line)
                salt = bytes.fromhex(line.salt) if line.salt is not None else None
            except (msgspec.MsgspecError, ValueError):
                report.fail(where, f"entry {expected} cannot be read")
                expected += 1
                continue
            if line.position != expected:
                report.fail(where, f"says it is entry {line.position}, entry {expected} belongs here")
            elif expected >= len(leaves):
                report.fail(where, f"entry {expected} is not in the log, which has {len(leaves)}")
            elif salt is None:
                report.withheld += 1
                restores[expected] = None
            elif commit(salt, bytes(line.entry)) != leaves[expected]:
                report.fail(where, f"entry {expected} is not the one the log commits to")
            elif raw != msgspec.json.encode(line) or salt.hex() != line.salt:
                report.fail(where, f"entry {expected} is written in another form than it was exported in")
            else:
                report.entries += 1
                if (said := msgspec.json.decode(line.entry, type=_Said)).kind == "restore":
                    restores[expected] = said.summary
            expected += 1
        if not files[path].endswith(b"\n"):
            report.fail(path, f"is cut off at entry {expected}")
    if expected < len(leaves):
        report.fail("entries/", f"entries {expected} to {len(leaves) - 1} of the log are missing")
    return restores


def _check_lives(keys: _Keys, restores: Mapping[int, str | None], report: VerificationReport) -> None:
    """Every log that this one goes on from ends where an entry says that a database was restored, and nowhere else."""
    ends = [each.size for each in keys.earlier]
    if ends != sorted(set(ends)) or len({each.origin for each in keys.earlier} | {keys.origin}) != len(ends) + 1:
        report.fail("keys.json", "its earlier logs are not in order")
    for end in ends:
        if end not in restores:
            report.fail("keys.json", f"says that a log ended at entry {end}, which tells of no restore")
    for position, said in restores.items():
        if said is not None:
            report.restores.append(said)
            if position not in ends:
                report.fail("entries/", f"entry {position} tells of a restore, of which keys.json says nothing")


def _check_tiles(files: Mapping[str, bytes], hashes: Sequence[bytes], report: VerificationReport) -> None:
    """Every hash tile against the tree rebuilt from the entries."""
    level, row = 0, list(hashes)
    expected: dict[str, bytes] = {}
    while row:
        for start in range(0, len(row), _WIDTH):
            piece = row[start : start + _WIDTH]
            name = f"tile/{level}/{_digits(start // _WIDTH)}"
            expected[name if len(piece) == _WIDTH else f"{name}.p/{len(piece)}"] = b"".join(piece)
        full = len(row) // _WIDTH
        row = [_root(row[at * _WIDTH : (at + 1) * _WIDTH]) for at in range(full)]
        level += 1
    for name, content in expected.items():
        if name not in files:
            report.fail(name, "is missing")
        elif files[name] != content:
            at = next((n for n in range(len(content)) if files[name][n : n + 1] != content[n : n + 1]), len(content))
            report.fail(name, f"hash {at // HASH_BYTES} is not that of the entries")
        else:
            report.proofs += 1


def _check_checkpoints(
    files: Mapping[str, bytes], keys: _Keys, hashes: Sequence[bytes], report: VerificationReport
) -> None:
    """Every checkpoint: signed by the log, a prefix of it, cosigned by witnesses; the latest covers all of it."""
    paths = [path for path in files if path == "checkpoint" or path.startswith("checkpoints/")]
    for path in sorted(paths, key=lambda path: (path != "checkpoint", path)):
        note = read_note(files[path])
        if note is None:
            report.fail(path, "is not a checkpoint")
            continue
        if path not in {"checkpoint", f"checkpoints/{note.size}"}:
            report.fail(path, f"is a checkpoint of {note.size} entries")
        ends = {each.origin: each.size for each in keys.earlier} | {keys.origin: len(hashes)}
        if note.origin not in ends:
            report.fail(path, "is another log's")
            continue
        if len(hashes) >= note.size > ends[note.origin]:
            report.fail(path, f"commits to {note.size} entries of a log that had {ends[note.origin]} when it ended")
        if note.size > len(hashes):
            report.fail(path, f"commits to {note.size} entries, the log has {len(hashes)}: entries were removed")
        elif _root(hashes[: note.size]) != note.root:
            report.fail(path, f"its root is not that of the first {note.size} entries: the log was rewritten or forked")
        else:
            report.proofs += 1
        _check_signatures(path, note, keys, report)
    if "checkpoint" not in files:
        report.fail("checkpoint", "is missing")
    elif (latest := read_note(files["checkpoint"])) is not None and latest.size < len(hashes):
        report.fail("checkpoint", f"covers {latest.size} of {len(hashes)} entries: rolled back, or entries were added")


def _check_signatures(path: str, note: Note, keys: _Keys, report: VerificationReport) -> None:
    """The log's own signature, which must be there, and the witnesses', which must hold."""
    witnesses = {witness.name: b64decode(witness.public_key) for witness in keys.witnesses}
    former = {name: [b64decode(key) for key in each] for name, each in keys.former.items()}
    verdict = check_signatures(
        note, origin=note.origin, public=b64decode(keys.public_key), witnesses=witnesses, former=former
    )
    report.cosignatures += len(verdict.cosigned_by)
    for problem in verdict.problems:
        report.fail(path, problem)
    report.checkpoints += verdict.is_signed


def _check_names(files: Mapping[str, bytes], size: int, report: VerificationReport) -> None:
    """Nothing else lies in the folder, and nothing is called what it is not."""
    known = ("tile/", "entries/", "checkpoints/")
    for path in files:
        if path not in {"README.txt", "keys.json", "checkpoint"} and not path.startswith(known):
            report.fail(path, "is no part of an exported log")
        elif path.startswith("tile/") and _extent(path) > size:
            report.fail(path, "lies beyond the end of the log")


def _root(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf or node hashes."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    middle = split_point(len(hashes))
    return hash_node(_root(hashes[:middle]), _root(hashes[middle:]))


def _digits(index: int) -> str:
    """A tile's index as its name has it."""
    text = f"{index:03d}"
    text = text.zfill(-(-len(text) // 3) * 3)
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])


def _index(path: str) -> int | None:
    """The index in a tile's name."""
    digits = path.split("/", 2)[2].split(".p/", maxsplit=1)[0].replace("x", "").replace("/", "")
    return int(digits) if digits.isascii() and digits.isdecimal() else None


def _extent(path: str) -> int:
    """The first entry a tile speaks of, plus one; beyond every log for a name that is none."""
    parts = path.split("/", 2)
    index = _index(path) if len(parts) == 3 else None  # noqa: PLR2004  # tile, level, index
    if index is None or not (parts[1] == "entries" or parts[1].isdecimal()):
        return 1 << 62
    width = _WIDTH if parts[1] == "entries" else _WIDTH ** (int(parts[1]) + 1)
    return index * width + 1

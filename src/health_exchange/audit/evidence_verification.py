"""Checking an evidence folder offline: every entry by its own proof, every file by the signed manifest.

Shares with the code that writes such folders nothing but hashing and the signature primitive.
"""

import re
from base64 import b64encode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from health_exchange.audit.notes import base_name, check_signatures, decode_base64, read_note
from health_exchange.audit.proof_verification import verify_proof
from health_exchange.audit.verification import Finding
from health_exchange.crypto.signatures import is_signed_by

_FORMAT = "health_exchange evidence v1"
_ANSWERED = "answered"


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    origin: str
    public_key: bytes
    witnesses: dict[str, bytes]
    former: dict[str, list[bytes]] = {}


class _Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node: str
    outcome: str
    detail: str
    entries: int


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    request_id: str
    at: str
    asker: str
    auditor: str
    conditions: list[str]
    person: str
    nodes: list[_Node]
    files: dict[str, str]


@dataclass(slots=True, kw_only=True)
class EvidenceReport:
    """What an evidence folder shows.

    Attributes:
        asker: The node that asked and signed.
        at: When.
        entries: Entries that their logs stand for.
        checkpoints: Checkpoints whose log's signature holds.
        cosignatures: Witnesses' signatures that hold.
        answered: Nodes that gave all their entries.
        missing: Nodes that did not, with how they answered.
        failures: Everything wrong.
    """

    asker: str = ""
    at: str = ""
    entries: int = 0
    checkpoints: int = 0
    cosignatures: int = 0
    answered: int = 0
    missing: list[str] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)

    def fail(self, where: str, what: str) -> None:
        """Note something wrong."""
        self.failures.append(Finding(where=where, what=what))


def is_evidence(files: Mapping[str, bytes]) -> bool:
    """Whether a folder means to be evidence rather than a whole log."""
    return "manifest.json" in files or "manifest.sig" in files or any(path.startswith("proofs/") for path in files)


def verify_evidence(files: Mapping[str, bytes]) -> EvidenceReport:
    """Verify an evidence folder.

    Args:
        files: Every file of the folder by its path. Untrusted, all of it.
    """
    report = EvidenceReport()
    manifest = _read_manifest(files, report)
    keys = _read_keys(files, report)
    if manifest is None or keys is None:
        return report
    report.asker, report.at = manifest.asker, manifest.at
    report.answered = sum(node.outcome == _ANSWERED for node in manifest.nodes)
    report.missing = [
        f"{node.node} ({node.outcome}{f': {node.detail}' if node.detail else ''})"
        for node in manifest.nodes
        if node.outcome != _ANSWERED
    ]
    _check_manifest(files, manifest, keys, report)
    _check_checkpoints(files, keys, report)
    _check_proofs(files, manifest, keys, report)
    return report


_PATH = re.compile(
    r"README\.txt|report\.html|keys\.json|(checkpoints|proofs)/[a-z0-9-]{1,80}/[0-9]{1,20}(\.json|\.txt)?"
)
"""What an evidence folder holds: whoever writes it to a disk trusts no other name."""


def render_evidence(report: EvidenceReport) -> str:
    """The report for somebody who has never seen one."""
    lines = [
        f"Evidence gathered by {report.asker or 'an unknown node'}{f' on {report.at}' if report.at else ''}",
        f"  {report.entries} entries stand in the logs they come from",
        f"  {report.checkpoints} signed checkpoints, {report.cosignatures} cosignatures of witnesses hold",
        f"  {report.answered} nodes gave all their entries",
        *(f"  MISSING: {each}" for each in report.missing),
    ]
    if report.failures:
        lines.append(f"{len(report.failures)} FINDINGS:")
        return "\n".join([*lines, *(f"  {finding.where}: {finding.what}" for finding in report.failures)])
    return "\n".join([*lines, "Nothing is wrong: every entry is proven, and no file was changed, added or taken out."])


def _read_manifest(files: Mapping[str, bytes], report: EvidenceReport) -> _Manifest | None:
    """The manifest, in the one form it has."""
    raw = files.get("manifest.json", b"")
    try:
        manifest = msgspec.json.decode(raw, type=_Manifest)
    except (msgspec.MsgspecError, ValueError):
        manifest = None
    if manifest is None or manifest.format != _FORMAT or raw != _pretty(manifest):
        report.fail("manifest.json", "is missing or cannot be read")
        return None
    return manifest


def _read_keys(files: Mapping[str, bytes], report: EvidenceReport) -> dict[str, _Keys] | None:
    """The keys of every log, by node."""
    raw = files.get("keys.json", b"")
    try:
        keys = msgspec.json.decode(raw, type=dict[str, _Keys])
    except (msgspec.MsgspecError, ValueError):
        keys = None
    if keys is None or raw != _pretty(keys):
        report.fail("keys.json", "is missing or cannot be read; no signature can be checked")
        return None
    return keys


def _check_manifest(
    files: Mapping[str, bytes], manifest: _Manifest, keys: Mapping[str, _Keys], report: EvidenceReport
) -> None:
    """The asking node's signature, and every file against it."""
    try:
        encoded = files.get("manifest.sig", b"").decode()
        signature = decode_base64(encoded.removesuffix("\n"))
        asker = keys[manifest.asker]
        message = f"{_FORMAT}\n".encode() + files["manifest.json"]
        publics = (asker.public_key, *asker.former.get(base_name(asker.origin), ()))
        holds = encoded == f"{b64encode(signature).decode()}\n" and is_signed_by(publics, message, signature)
    except (Base64Error, ValueError, KeyError):
        holds = False
    if not holds:
        report.fail("manifest.sig", f"{manifest.asker} did not sign this manifest")
    for path, digest in manifest.files.items():
        if not _PATH.fullmatch(path):
            report.fail("manifest.json", "names a file that no evidence has")
        elif path not in files:
            report.fail(path, "was taken out")
        elif sha256(files[path]).hexdigest() != digest:
            report.fail(path, "is not the file that the manifest names")
    for path in files.keys() - manifest.files.keys() - {"manifest.json", "manifest.sig"}:
        report.fail(path, "is no part of this evidence")


def _check_checkpoints(files: Mapping[str, bytes], keys: Mapping[str, _Keys], report: EvidenceReport) -> None:
    """Every checkpoint against its log's key."""
    by_folder = {node.replace("/", "-"): of_node for node, of_node in keys.items()}
    for path in sorted(path for path in files if path.startswith("checkpoints/")):
        note, log = read_note(files[path]), by_folder.get(path.split("/")[1])
        if note is None or log is None or note.origin != log.origin or not path.endswith(f"/{note.size}"):
            report.fail(path, "is not the checkpoint that its name says")
            continue
        verdict = check_signatures(
            note, origin=log.origin, public=log.public_key, witnesses=log.witnesses, former=log.former
        )
        for problem in verdict.problems:
            report.fail(path, problem)
        report.checkpoints += verdict.is_signed
        report.cosignatures += len(verdict.cosigned_by)


def _check_proofs(
    files: Mapping[str, bytes], manifest: _Manifest, keys: Mapping[str, _Keys], report: EvidenceReport
) -> None:
    """Every proof by itself, by the keys the folder names, under its right name; and how many there are of each log."""
    names = {of_node.origin: node for node, of_node in keys.items()}
    counted: Counter[str] = Counter()
    for path in sorted(path for path in files if path.startswith("proofs/")):
        proof = verify_proof(files[path])
        node = names.get(proof.origin, "")
        if proof.problem:
            report.fail(path, proof.problem)
        elif not node or (proof.public_key, proof.witnesses, proof.former) != (
            keys[node].public_key,
            keys[node].witnesses,
            keys[node].former,
        ):
            report.fail(path, "is proven by other keys than those in keys.json")
        elif path != f"proofs/{node.replace('/', '-')}/{proof.position:09d}.json":
            report.fail(path, f"holds entry {proof.position} of {node}")
        else:
            counted[node] += 1
            report.entries += 1
    for asked in manifest.nodes:
        if counted[asked.node] != asked.entries:
            report.fail(f"proofs/{asked.node.replace('/', '-')}", f"{counted[asked.node]} of {asked.entries} entries")


def _pretty(value: object) -> bytes:
    """JSON in the form that is signed."""
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"

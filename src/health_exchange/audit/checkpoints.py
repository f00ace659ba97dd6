"""Checkpoints: a log's signed statement of its size and root, and witnesses' cosignatures under it.

A checkpoint is a signed note: three lines of text, an empty line, signature lines. A cosignature is a witness's own
signature line; it says that the witness saw this checkpoint extend every one it had seen before.

Source: C2SP tlog-checkpoint, signed-note, tlog-cosignature (cosignature/v1).
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from health_exchange.audit.hashing import HASH_BYTES, Hash
from health_exchange.audit.merkle import ProofMismatchError, verify_consistency
from health_exchange.crypto.signatures import ed25519_public, sign_ed25519, verify_ed25519
from health_exchange.model.directory import KeyUse, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.secrecy import Secret

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
KEY_ID_BYTES = 4
NOTE_BYTES_MAX = 16 << 10
SIZE_DIGITS_MAX = 18

_DASH = "\N{EM DASH} "


class BadCheckpointError(ExchangeError):
    """Not a checkpoint, of another log, or not signed by the key it should be."""

    category = Category.INCORRECT
    code = "bad-checkpoint"


class ForkedLogError(ExchangeError):
    """A log shows a checkpoint that does not extend what it showed before."""

    category = Category.CONFLICT
    code = "forked-log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log states.

    Attributes:
        origin: The log's name.
        size: Number of entries.
        root: Root hash over them.
    """

    origin: str
    size: int
    root: Hash

    @property
    def body(self) -> str:
        """The signed text."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes by which a signature line names its key."""
    return sha256(name.encode() + b"\n" + bytes((kind,)) + public).digest()[:KEY_ID_BYTES]


def sign_checkpoint(checkpoint: Checkpoint, seed: Secret) -> str:
    """The checkpoint as a note signed by its log."""
    signature = sign_ed25519(seed, checkpoint.body.encode())
    identifier = key_id(checkpoint.origin, ED25519, ed25519_public(seed))
    return f"{checkpoint.body}\n{_line(checkpoint.origin, identifier + signature)}"


def read_checkpoint(note: str, *, origin: str, publics: Sequence[bytes]) -> Checkpoint:
    """What the note states, once its log's signature holds.

    Raises:
        BadCheckpointError: It is malformed, of another log, or signed with none of ``publics``.
    """
    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != origin:
        raise BadCheckpointError("the checkpoint is of another log")
    wanted = {key_id(origin, ED25519, public): public for public in publics}
    for name, raw in _signatures(note):
        if name == origin and (public := wanted.get(raw[:KEY_ID_BYTES])):
            _verify(public, checkpoint.body.encode(), raw[KEY_ID_BYTES:])
            return checkpoint
    raise BadCheckpointError(f"the checkpoint of {origin} lacks its log's signature")


def read_checkpoint_of(note: str, card: NodeCard, at: datetime) -> Checkpoint:
    """What the note states, once it is known to be signed by a node for its log of whichever incarnation.

    Args:
        note: Untrusted.
        card: The node's.
        at: When it was signed, or a little later: which keys may have done so.

    Raises:
        BadCheckpointError: It is malformed, of another node's log, or not signed by the node.
    """
    log = parse_checkpoint(note).origin
    origin = log if card.incarnation_of(log) is not None else card.log_origin
    return read_checkpoint(note, origin=origin, publics=card.keys_at(KeyUse.LOG, at))


def parse_checkpoint(note: str) -> Checkpoint:
    """What the note states, its signatures not looked at.

    Raises:
        BadCheckpointError: It is malformed.
    """
    lines = note.split("\n")
    if len(note) <= NOTE_BYTES_MAX and len(lines) > 4 and lines[3] == "" and lines[0]:  # noqa: PLR2004  # three lines, then an empty one
        try:
            root = b64decode(lines[2], validate=True)
        except ValueError:
            root = b""
        digits = lines[1] if len(lines[1]) <= SIZE_DIGITS_MAX and lines[1].isascii() and lines[1].isdecimal() else ""
        if len(root) == HASH_BYTES and digits and digits == str(int(digits)):
            return Checkpoint(origin=lines[0], size=int(digits), root=Hash(root))
    raise BadCheckpointError("not a checkpoint")


def cosign(checkpoint: Checkpoint, *, witness: str, seed: Secret, at: datetime) -> str:
    """A witness's signature line under ``checkpoint``."""
    instant = int(at.astimezone(UTC).timestamp())
    message = f"cosignature/v1\ntime {instant}\n{checkpoint.body}".encode()
    identifier = key_id(witness, COSIGNATURE_V1, ed25519_public(seed))
    return _line(witness, identifier + instant.to_bytes(8) + sign_ed25519(seed, message))


def verify_cosignature(checkpoint: Checkpoint, line: str, *, witness: str, publics: Sequence[bytes]) -> datetime:
    """When ``witness`` cosigned ``checkpoint`` with one of ``publics``.

    Raises:
        BadCheckpointError: The line is malformed, another's, or does not verify.
    """
    name, raw = _read_line(line.rstrip("\n"))
    wanted = {key_id(witness, COSIGNATURE_V1, public): public for public in publics}
    public = wanted.get(raw[:KEY_ID_BYTES])
    if name != witness or public is None:
        raise BadCheckpointError("the cosignature is another witness's")
    instant = int.from_bytes(raw[KEY_ID_BYTES : KEY_ID_BYTES + 8])
    message = f"cosignature/v1\ntime {instant}\n{checkpoint.body}".encode()
    _verify(public, message, raw[KEY_ID_BYTES + 8 :])
    return datetime.fromtimestamp(instant, UTC)


def check_extension(seen: Checkpoint | None, shown: Checkpoint, proof: list[bytes]) -> None:
    """The witness's rule: what is shown extends what was seen.

    Raises:
        ForkedLogError: It is smaller, or its proof does not lead from the one to the other.
    """
    if seen is None or seen.size == 0:
        return
    if shown.size < seen.size:
        raise ForkedLogError(f"{shown.origin} shows {shown.size} entries after having shown {seen.size}")
    problem = ""
    try:
        verify_consistency(old_size=seen.size, old_root=seen.root, size=shown.size, root=shown.root, path=proof)
    except ProofMismatchError as error:
        problem = error.detail
    if problem:
        raise ForkedLogError(f"{shown.origin}: {problem}")


def _line(name: str, raw: bytes) -> str:
    return f"{_DASH}{name} {b64encode(raw).decode()}\n"


def _signatures(note: str) -> list[tuple[str, bytes]]:
    """Names and bytes of a note's signature lines."""
    _body, _, tail = note.partition("\n\n")
    return [_read_line(line) for line in tail.split("\n") if line]


def _read_line(line: str) -> tuple[str, bytes]:
    """Name and bytes of one signature line."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if line.startswith(_DASH) and name:
        try:
            raw = b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        if len(raw) > KEY_ID_BYTES:
            return name, raw
    raise BadCheckpointError("not a signature line")


def _verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Check one Ed25519 signature; raises ``BadCheckpointError``."""
    problem = False
    try:
        verify_ed25519(public, message, signature)
    except ExchangeError:
        problem = True
    if problem:
        raise BadCheckpointError("a signature under the checkpoint does not verify")

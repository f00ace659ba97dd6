"""Signed notes as an offline verifier reads them: taken apart, and every signature line judged.

Shares with the code that writes notes nothing but the signature primitive.

Source: C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from health_exchange.audit.hashing import HASH_BYTES
from health_exchange.crypto.signatures import verify_ed25519
from health_exchange.model.errors import ExchangeError

_DASH = "\N{EM DASH} "
_LOG_KIND, _WITNESS_KIND = b"\x01", b"\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A checkpoint taken apart."""

    body: bytes
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What its signatures are worth.

    Attributes:
        is_signed: The log's own signature holds.
        cosigned_by: Witnesses whose signatures hold.
        problems: What is wrong with the others.
    """

    is_signed: bool
    cosigned_by: tuple[str, ...]
    problems: tuple[str, ...]


def read_note(raw: bytes) -> Note | None:
    """A checkpoint taken apart; ``None`` if it is none."""
    try:
        text = raw.decode()
        head, _, tail = text.partition("\n\n")
        origin, size, root = head.split("\n")
        signatures = []
        for line in tail.removesuffix("\n").split("\n"):
            name, encoded = line.removeprefix(_DASH).split(" ")
            if not line.startswith(_DASH):
                return None
            signatures.append((name, decode_base64(encoded)))
        note = Note(
            body=f"{head}\n".encode(),
            origin=origin,
            size=int(size),
            root=decode_base64(root),
            signatures=signatures,
        )
    except (ValueError, Base64Error):
        return None
    return note if text.endswith("\n") and str(note.size) == size and len(note.root) == HASH_BYTES else None


def check_signatures(
    note: Note, *, origin: str, public: bytes, witnesses: Mapping[str, bytes], former: Mapping[str, Sequence[bytes]]
) -> Verdict:
    """The log's own signature, which must be there, and the witnesses', which must hold.

    Args:
        note: Taken apart; untrusted.
        origin: The log's name.
        public: Its key.
        witnesses: Keys of those who may cosign, by name.
        former: Keys that these have followed, by name of log or witness.
    """
    signed, cosigned, problems = False, list[str](), list[str]()
    for name, raw in note.signatures:
        if name == origin:
            signed = _holds(name, _LOG_KIND, (public, *former.get(base_name(name), ())), raw[:4], note.body, raw[4:])
            if not signed:
                return Verdict(
                    is_signed=False,
                    cosigned_by=tuple(cosigned),
                    problems=(*problems, "the log's signature does not hold"),
                )
        elif name in witnesses:
            message = f"cosignature/v1\ntime {int.from_bytes(raw[4:12])}\n".encode() + note.body
            keys = (witnesses[name], *former.get(base_name(name), ()))
            if _holds(name, _WITNESS_KIND, keys, raw[:4], message, raw[12:]):
                cosigned.append(name)
            else:
                problems.append(f"the cosignature of {name} does not hold")
        else:
            problems.append(f"is signed by {name}, which is no witness of this log")
    if not signed:
        problems.append("lacks the log's signature")
    return Verdict(is_signed=signed, cosigned_by=tuple(cosigned), problems=tuple(problems))


def base_name(log: str) -> str:
    """Of a log of whichever incarnation the name of the first one, under which its node's keys are listed."""
    return log.partition("@")[0]


def decode_base64(encoded: str) -> bytes:
    """Canonical base64, in which no bit is left to play with; raises ``binascii.Error`` for anything else."""
    raw = b64decode(encoded, validate=True)
    if b64encode(raw).decode() != encoded:
        raise Base64Error("not canonical")
    return raw


def _holds(
    name: str, kind: bytes, publics: Sequence[bytes], identifier: bytes, message: bytes, signature: bytes
) -> bool:
    """Whether one signature line holds by the one of ``publics`` that it names."""
    named = (each for each in publics if identifier == sha256(name.encode() + b"\n" + kind + each).digest()[:4])
    public = next(named, None)
    if public is None:
        return False
    try:
        verify_ed25519(public, message, signature)
    except ExchangeError:
        return False
    return True

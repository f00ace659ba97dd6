"""A backup file: a readable header, a key wrapped to the recovery key, and frames of rows in sealed pieces.

    magic | header length, 4 bytes | header (MessagePack) | wrapped key | sealed pieces (crypto.chunks)

The wrap and every piece are bound to the header, so that no file can be passed off as another node's or another day's.
Reading and writing hold one piece at a time. The private half of the recovery key is not on the node.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from health_exchange.crypto.boxes import OVERHEAD_BYTES, BoxKeys, key_id, unwrap, wrap_to
from health_exchange.crypto.chunks import SEALED_CHUNK_BYTES, open_chunks, seal_chunks
from health_exchange.crypto.sealing import KEY_BYTES, SealBrokenError
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.randomness import Randomness
from health_exchange.model.secrecy import Secret

MAGIC = b"health_exchange backup v1\n"
HEADER_BYTES_MAX = 4096
FRAME_BYTES_MAX = 256 << 20
_LENGTH_BYTES = 4
_WRAPPED_BYTES = KEY_BYTES + OVERHEAD_BYTES

Part = Literal["bulk", "keys"]


class BadBackupError(ExchangeError):
    """A backup file that cannot be used, and why."""

    category = Category.INCORRECT
    code = "bad-backup"


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What anybody can read of a backup file.

    Attributes:
        part: ``bulk``, or ``keys`` for what erasures take back.
        node: Whose database it is.
        incarnation: The node's, as ``node_state`` counts them.
        revision: Of the schema.
        release: Of the program that wrote it.
        taken_at: The instant of the snapshot, ISO 8601, UTC.
        recipient: SHA-256 of the recovery key that opens it.
    """

    part: Part
    node: str
    incarnation: int
    revision: str
    release: str
    taken_at: str
    recipient: bytes


Frame = tuple[str, list[str], list[list[object]]]
"""A table's name, its columns, and some of its rows."""


def write_archive(
    file: BinaryIO, header: Header, frames: Iterable[Frame], *, recovery_key: bytes, randomness: Randomness
) -> None:
    """Write a backup file that the owner of ``recovery_key`` alone can open."""
    described = msgspec.msgpack.encode(header)
    bound, key = sha256(MAGIC + described).digest(), Secret(randomness(KEY_BYTES))
    file.write(MAGIC + len(described).to_bytes(_LENGTH_BYTES) + described + wrap_to(recovery_key, key, info=bound))
    encoded = (msgspec.msgpack.encode(frame) for frame in frames)
    text = (len(each).to_bytes(_LENGTH_BYTES) + each for each in encoded)
    file.writelines(seal_chunks(key, text, aad=bound))


def read_header(path: Path) -> Header:
    """What a backup file says of itself; unproven until its frames are read.

    Raises:
        BadBackupError: It cannot be read or is none.
    """
    with _opened(path) as file:
        return _read_header(path, file)[0]


def read_frames(path: Path, recovery: BoxKeys) -> Iterator[Frame]:
    """A backup's rows, frame by frame.

    Raises:
        BadBackupError: It is none, for another recovery key, or was changed or cut off. That it was cut off is known
            at the end only: what came before must not be relied on until then.
    """
    with _opened(path) as file:
        header, bound = _read_header(path, file)
        if header.recipient != key_id(recovery.public_raw):
            raise BadBackupError(f"{path}: sealed for another recovery key")
        problem = ""
        try:
            key = unwrap(recovery, file.read(_WRAPPED_BYTES), info=bound)
            pieces = iter(lambda: file.read(SEALED_CHUNK_BYTES), b"")
            yield from _frames(open_chunks(key, pieces, aad=bound))
        except SealBrokenError as error:
            problem = error.detail
        except (msgspec.MsgspecError, ValueError):
            problem = "it opens, but is not written as a backup is"
    if problem:
        raise BadBackupError(f"{path}: {problem}")


def verify(path: Path, recovery: BoxKeys) -> int:
    """How many rows a backup holds, all of it opened and nothing kept. Raises as :func:`read_frames`."""
    return sum(len(rows) for _table, _columns, rows in read_frames(path, recovery))


def _frames(text: Iterable[bytes]) -> Iterator[Frame]:
    """Frames out of opened pieces."""
    waiting = bytearray()
    wanted: int | None = None
    for piece in text:
        waiting += piece
        while True:
            if wanted is None and len(waiting) >= _LENGTH_BYTES:
                wanted = int.from_bytes(waiting[:_LENGTH_BYTES])
                del waiting[:_LENGTH_BYTES]
                if wanted > FRAME_BYTES_MAX:
                    raise ValueError("a frame is too long")
            if wanted is None or len(waiting) < wanted:
                break
            yield msgspec.msgpack.decode(bytes(waiting[:wanted]), type=Frame)
            del waiting[:wanted]
            wanted = None
    if waiting or wanted is not None:
        raise ValueError("a frame is cut off")


def _opened(path: Path) -> BinaryIO:
    problem = ""
    try:
        return path.open("rb")
    except OSError as error:
        problem = error.strerror or "cannot be read"
    raise BadBackupError(f"{path}: {problem}")


def _read_header(path: Path, file: BinaryIO) -> tuple[Header, bytes]:
    """The header, and what the rest is bound to."""
    if file.read(len(MAGIC)) == MAGIC:
        length = int.from_bytes(file.read(_LENGTH_BYTES))
        described = file.read(min(length, HEADER_BYTES_MAX))
        try:
            return msgspec.msgpack.decode(described, type=Header), sha256(MAGIC + described).digest()
        except (msgspec.MsgspecError, ValueError):
            pass
    raise BadBackupError(f"{path}: not a backup of health_exchange, or of a later format")

"""Bodies as they are kept: zstd with a dictionary of the type, then AES-256-GCM under the subject's key.

Pure functions on prepared keys, so that sealing runs outside the writer's thread. The associated data binds a body to
its subject, type, id and version: none can be passed off as another.
"""

import threading
from functools import cache
from importlib.resources import files

import msgspec
import zstandard

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.secrecy import Secret

LEVEL = 1
BODY_BYTES_MAX = 64 << 20
GENERATION = 2
"""Of the dictionaries that bodies are packed with; each stays, for what was packed with it."""
_PLAIN = 0
_HEADER_BYTES_MAX = 1 + 18
"""Of a packed body: its generation, and what a frame of zstd begins with."""
_OTHERS = "Resource"
"""The dictionary that types without one of their own share."""


@cache
def _dictionary(resource_type: str, generation: int) -> zstandard.ZstdCompressionDict:
    """The shipped dictionary of a type."""
    folder = files("health_exchange.store") / "dictionaries" / str(generation)
    found = next(file for name in (resource_type, _OTHERS) if (file := folder / f"{name}.zdict").is_file())
    return zstandard.ZstdCompressionDict(found.read_bytes())


def _compressor(resource_type: str) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=LEVEL, dict_data=_to_pack_with(resource_type))


@cache
def _to_pack_with(resource_type: str) -> zstandard.ZstdCompressionDict:
    """The dictionary of a type, digested once for all threads: it is only read from then on."""
    dictionary = _dictionary(resource_type, GENERATION)
    dictionary.precompute_compress(level=LEVEL)
    return dictionary


def _decompressor(resource_type: str, generation: int) -> zstandard.ZstdDecompressor:
    if generation == _PLAIN:
        return zstandard.ZstdDecompressor()
    return zstandard.ZstdDecompressor(dict_data=_dictionary(resource_type, generation))


class _Contexts(threading.local):
    """Compressors and decompressors by type, each thread its own: two threads in one end the process."""

    def __init__(self) -> None:
        self.compressor = cache(_compressor)
        self.decompressor = cache(_decompressor)


_CONTEXTS = _Contexts()


def pack_body(resource_type: str, body: bytes) -> bytes:
    """``body`` compressed with the dictionary of its type: the costly half of sealing, which needs no key."""
    return bytes((GENERATION,)) + _CONTEXTS.compressor(resource_type).compress(body)


def seal_packed(  # the associated data, part by part
    key: Secret, packed: bytes, *, sid: int, resource_type: str, resource_id: str, version: int, nonce: bytes
) -> bytes:
    """A packed body as it is kept.

    Args:
        key: The subject's.
        packed: As :func:`pack_body` made it.
        sid: Subject; 0 for a directory resource.
        resource_type: Bound into the seal, as are id and version.
        resource_id: The resource's.
        version: The version's.
        nonce: 12 bytes, never used before.
    """
    return seal(key, packed, aad=_aad(sid, resource_type, resource_id, version), nonce=nonce)


class SealedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body as it is kept, with all that opening it takes: so that it can be opened elsewhere."""

    key: Secret
    sealed: bytes
    sid: int
    type: str
    id: str
    version: int

    def open(self) -> bytes:
        """The body that was sealed; raises as :meth:`unsealed` and :func:`unpack_body`."""
        return unpack_body(self.type, self.unsealed())

    def unsealed(self) -> bytes:
        """The body as it was packed, which says how long it will be (:func:`unpacked_bytes`).

        Raises:
            SealBrokenError: Another key or place, or changed bytes.
        """
        return open_sealed(self.key, self.sealed, aad=_aad(self.sid, self.type, self.id, self.version))


def unpacked_bytes(packed: bytes) -> int:
    """How long a packed body will be, as its frame says; some bytes may become megabytes."""
    try:
        return max(len(packed), zstandard.frame_content_size(packed[1:_HEADER_BYTES_MAX]))
    except zstandard.ZstdError:
        # Unpacking it will say what is wrong with it.
        return len(packed)


def unpack_body(resource_type: str, packed: bytes) -> bytes:
    """The body that was packed.

    Raises:
        SealBrokenError: It is none that this release can unpack.
    """
    try:
        generation = packed[0]
        if generation <= GENERATION:
            return _CONTEXTS.decompressor(resource_type, generation).decompress(
                packed[1:], max_output_size=BODY_BYTES_MAX
            )
    except (zstandard.ZstdError, IndexError):
        pass
    raise SealBrokenError("the opened body does not unpack; a later release may have packed it")


def _aad(sid: int, resource_type: str, resource_id: str, version: int) -> bytes:
    return f"{sid}|{resource_type}|{resource_id}|{version}".encode()

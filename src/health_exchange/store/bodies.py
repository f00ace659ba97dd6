"""Bodies as they are kept: zstd with a dictionary of the type, then AES-256-GCM under the subject's key.

Pure functions on prepared keys, so that sealing runs outside the writer's thread. The associated data binds a body to
its subject, type, id and version: none can be passed off as another.
"""

from functools import cache
from importlib.resources import files

import msgspec
import zstandard

from health_exchange.crypto.sealing import SealBrokenError, open_sealed, seal
from health_exchange.model.secrecy import Secret

LEVEL = 1
BODY_BYTES_MAX = 64 << 20
_PLAIN = 0
_BY_TYPE = 1


@cache
def _dictionary(resource_type: str) -> zstandard.ZstdCompressionDict | None:
    """The shipped dictionary of a type, if there is one."""
    file = files("health_exchange.store") / "dictionaries" / f"{resource_type}.zdict"
    return zstandard.ZstdCompressionDict(file.read_bytes()) if file.is_file() else None


@cache
def _compressor(resource_type: str) -> tuple[int, zstandard.ZstdCompressor]:
    dictionary = _dictionary(resource_type)
    if dictionary is None:
        return _PLAIN, zstandard.ZstdCompressor(level=LEVEL)
    dictionary.precompute_compress(level=LEVEL)
    return _BY_TYPE, zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)


@cache
def _decompressor(resource_type: str, kind: int) -> zstandard.ZstdDecompressor:
    dictionary = _dictionary(resource_type) if kind == _BY_TYPE else None
    return zstandard.ZstdDecompressor(dict_data=dictionary) if dictionary else zstandard.ZstdDecompressor()


def pack_body(resource_type: str, body: bytes) -> bytes:
    """``body`` compressed with the dictionary of its type: the costly half of sealing, which needs no key."""
    kind, compressor = _compressor(resource_type)
    return bytes((kind,)) + compressor.compress(body)


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
        """As :func:`open_body`."""
        return open_body(
            self.key,
            self.sealed,
            sid=self.sid,
            resource_type=self.type,
            resource_id=self.id,
            version=self.version,
        )


def open_body(key: Secret, sealed: bytes, *, sid: int, resource_type: str, resource_id: str, version: int) -> bytes:
    """The body that was sealed.

    Raises:
        SealBrokenError: Another key or place, or changed bytes.
    """
    packed = open_sealed(key, sealed, aad=_aad(sid, resource_type, resource_id, version))
    try:
        return _decompressor(resource_type, packed[0]).decompress(packed[1:], max_output_size=BODY_BYTES_MAX)
    except (zstandard.ZstdError, IndexError):
        raise SealBrokenError("the opened body does not unpack") from None


def _aad(sid: int, resource_type: str, resource_id: str, version: int) -> bytes:
    return f"{sid}|{resource_type}|{resource_id}|{version}".encode()

"""The log's hashes, and nothing else: all that its writer and its offline verifier share beside signatures.

A leaf is hashed under the prefix ``00`` and a node under ``01``, so that no leaf can pose as a node.

Source: RFC 6962, section 2.1.
"""

from hashlib import sha256
from typing import NewType

Hash = NewType("Hash", bytes)
"""32 bytes of SHA-256."""

HASH_BYTES = 32
EMPTY_ROOT = Hash(sha256(b"").digest())
"""Root of the log before its first entry."""


def hash_leaf(entry: bytes) -> Hash:
    """Hash one log entry into a leaf."""
    return Hash(sha256(b"\x00" + entry).digest())


def hash_node(left: bytes, right: bytes) -> Hash:
    """Hash two subtrees into their parent."""
    return Hash(sha256(b"\x01" + left + right).digest())


def commit(salt: bytes, entry: bytes) -> bytes:
    """The 32-byte commitment that stands in the log for an audit entry."""
    return sha256(salt + entry).digest()


def split_point(size: int) -> int:
    """Largest power of two strictly below ``size`` (2 or more): where a tree of ``size`` leaves splits."""
    return 1 << (size - 1).bit_length() - 1

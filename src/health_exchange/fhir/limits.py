"""Bounds on what one request may carry.

They bound work and memory before anything is believed; FHIR itself sets none.
"""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one body.

    Attributes:
        body_bytes: Most bytes of a body.
        depth: Most objects and arrays inside one another.
        entries: Most entries of a Bundle.
        operations: Most operations of a patch.
    """

    body_bytes: int = 50 * MEBIBYTE
    depth: int = 64
    entries: int = 20_000
    operations: int = 1_000


DEFAULT = Limits()
"""What a node uses unless its operator says otherwise."""

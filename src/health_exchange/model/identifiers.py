"""Look-alike strings and bytes, told apart by type.

None of these is secret on its own, but a ``Pseudonym`` is personal information: it stands in audit entries and views,
never in a log line.
"""

from typing import NewType

Pseudonym = NewType("Pseudonym", str)
"""26 characters of lower-case base32: what the exchange calls a person. Linked to an identity by key holders only."""

ExchangeId = NewType("ExchangeId", str)
"""26 characters of lower-case base32: what the exchange calls a resource above its origin."""

StreamId = NewType("StreamId", str)
"""32 hexadecimal characters, new for every incarnation of an origin."""

RequestId = NewType("RequestId", str)
"""UUID of one request, carried across hops and into audit entries."""

TOGETHER_BYTES, UUID_RANDOM_BYTES = 6, 10
_VARIANTS = "89ab"


def uuid_among(together: bytes, random: bytes) -> str:
    """A UUID of version 8: what is made together begins alike, so that it stands together in an index.

    It tells nothing else: neither when it was made, nor how many were.

    Args:
        together: ``TOGETHER_BYTES`` random bytes, the same for all that are made together.
        random: ``UUID_RANDOM_BYTES`` bytes of its own.

    Source: RFC 9562, section 5.8.
    """
    head, tail = together.hex(), random.hex()
    return f"{head[:8]}-{head[8:]}-8{tail[:3]}-{_VARIANTS[random[1] & 3]}{tail[4:7]}-{tail[7:19]}"

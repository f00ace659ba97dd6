"""Look-alike strings and bytes, told apart by type.

None of these is secret on its own, but a ``Pseudonym`` is personal information: it stands in audit entries and views,
never in a log line.
"""

from datetime import datetime
from typing import NewType

Pseudonym = NewType("Pseudonym", str)
"""26 characters of lower-case base32: what the exchange calls a person. Linked to an identity by key holders only."""

ExchangeId = NewType("ExchangeId", str)
"""26 characters of lower-case base32: what the exchange calls a resource above its origin."""

StreamId = NewType("StreamId", str)
"""32 hexadecimal characters, new for every incarnation of an origin."""

RequestId = NewType("RequestId", str)
"""UUID of one request, carried across hops and into audit entries."""

UUID_RANDOM_BYTES = 10
_VARIANT = "89ab"


def uuid_at(at: datetime, random: bytes) -> str:
    """A UUID of version 7: what is made one after another stands together in an index.

    Args:
        at: When it is made; its milliseconds come first.
        random: ``UUID_RANDOM_BYTES`` bytes.

    Source: RFC 9562, section 5.7.
    """
    head, tail = f"{int(at.timestamp() * 1000):012x}", random.hex()
    variant = _VARIANT[random[1] & 3]
    return f"{head[:8]}-{head[8:]}-7{tail[:3]}-{variant}{tail[4:7]}-{tail[7:19]}"

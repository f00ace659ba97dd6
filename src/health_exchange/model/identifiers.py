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

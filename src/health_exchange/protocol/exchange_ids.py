"""What a resource is called above its origin: a keyed name that says nothing of the local one.

Only the origin holds the key, so only it can tell which of its resources an exchange id names; references are rewritten
by the same function and so still meet.
"""

import base64
import hmac
from functools import lru_cache

from health_exchange.model.identifiers import ExchangeId
from health_exchange.model.secrecy import Secret

LENGTH = 26


@lru_cache(maxsize=65_536)
def exchange_id(key: Secret, resource_type: str, resource_id: str) -> ExchangeId:
    """26 characters of lower-case base32 (130 bits) of HMAC-SHA256 over ``type/id``."""
    digest = hmac.digest(key.raw, f"{resource_type}/{resource_id}".encode(), "sha256")
    return ExchangeId(base64.b32encode(digest).decode("ascii")[:LENGTH].lower())

"""The cache of names for ingest: keyed tags in front, sealed pseudonyms and link keys behind.

A stolen database yields neither identities nor pseudonyms without the node's cache key, which is not in it.
"""

import hmac
from hashlib import sha256

from health_exchange.crypto.sealing import open_sealed, seal
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.pseudonym.identities import Identity, IdentityKind
from health_exchange.pseudonym.threshold import LINK_BYTES, Name

_IDENTITY_AAD = b"identity waiting for its pseudonym|"


def cache_tag(key: Secret, identity: Identity) -> bytes:
    """32 bytes under which an identity's pseudonym is kept."""
    return hmac.digest(key.raw, b"tag|" + identity.oprf_input, sha256)


def seal_name(key: Secret, tag: bytes, name: Name, *, nonce: bytes) -> bytes:
    """The name as it is kept beside ``tag``; ``nonce`` is 12 bytes, never used before."""
    return seal(_sealing_key(key), name.link.raw + name.pseudonym.encode(), aad=tag, nonce=nonce)


def open_name(key: Secret, tag: bytes, sealed: bytes) -> Name:
    """The name kept beside ``tag``; raises ``SealBrokenError``."""
    kept = open_sealed(_sealing_key(key), sealed, aad=tag)
    return Name(pseudonym=Pseudonym(kept[LINK_BYTES:].decode()), link=Secret(kept[:LINK_BYTES]))


def seal_identity(key: Secret, tag: bytes, identity: Identity, *, nonce: bytes) -> bytes:
    """An identity as it waits for key holders; ``nonce`` is 12 bytes, never used before."""
    return seal(_sealing_key(key), identity.oprf_input, aad=_IDENTITY_AAD + tag, nonce=nonce)


def open_identity(key: Secret, tag: bytes, sealed: bytes) -> Identity:
    """An identity that waited; raises ``SealBrokenError``."""
    kind, _, value = open_sealed(_sealing_key(key), sealed, aad=_IDENTITY_AAD + tag).decode().partition("|")
    return Identity(IdentityKind(kind), value)


def _sealing_key(key: Secret) -> Secret:
    """The key that seals, apart from the one that makes tags."""
    return Secret(hmac.digest(key.raw, b"seal", sha256))

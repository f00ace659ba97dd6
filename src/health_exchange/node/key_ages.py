"""Since when a node's keys are in use here: noted when a key is first seen, because no key file says when it was made.

What is kept of a key is a fingerprint that tells two keys apart and nothing else.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

import msgspec

from health_exchange.model.secrecy import Secret
from health_exchange.node.parts import NodeParts
from health_exchange.store import node_state
from health_exchange.store.engine import Transaction

_NAME = "keys-since"
_ABOUT = b"health_exchange key in use"


class KeySince(msgspec.Struct, frozen=True, kw_only=True):
    """One key: which, and since when."""

    fingerprint: str
    since: datetime


def note_keys(tx: Transaction, parts: NodeParts) -> None:
    """Note keys that are new here."""
    known, now = key_dates(tx), parts.clock.now()
    current = _fingerprints(parts)
    dates = {
        name: known[name]
        if name in known and known[name].fingerprint == fingerprint
        else KeySince(fingerprint=fingerprint, since=now)
        for name, fingerprint in current.items()
    }
    if dates != known:
        node_state.put(tx, _NAME, msgspec.json.encode(dates))


def key_dates(tx: Transaction) -> Mapping[str, KeySince]:
    """By key, since when it is in use."""
    raw = node_state.get(tx, _NAME)
    return msgspec.json.decode(raw, type=dict[str, KeySince]) if raw else {}


def _fingerprints(parts: NodeParts) -> dict[str, str]:
    """By key."""
    keys = parts.keys
    prints = {
        "signing": _fingerprint(keys.signing.seed),
        "box": _fingerprint(keys.box.seed),
        "log": _fingerprint(keys.log_seed),
        "at-rest": _fingerprint(keys.at_rest),
        "exchange-ids": _fingerprint(keys.exchange_ids),
        "access-tokens": _fingerprint(keys.access_tokens),
    }
    if parts.share is not None:
        prints["share"] = f"{parts.share.epoch}/{parts.share.version}"
    return prints


def _fingerprint(key: Secret) -> str:
    """Tells keys apart; a keyed hash of nothing secret, so it gives nothing of the key away."""
    digest_key = blake2b(key.raw, person=b"fingerprint").digest()
    return blake2b(_ABOUT, key=digest_key, digest_size=8).hexdigest()

"""One entry with everything that proves it, in one file that anybody can check offline.

The file is JSON in one canonical form, so that no byte of it can change unseen: keys of the log and its witnesses, the
checkpoint they signed, the entry with its salt, and the path between the two.
"""

import msgspec

from health_exchange.audit.answers import NodeReply
from health_exchange.audit.checkpoints import parse_checkpoint
from health_exchange.audit.excerpts import ProvenEntry

FORMAT = "health_exchange proof v1"


class ProofDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file's content; bytes are base64.

    Attributes:
        format: Always :data:`FORMAT`.
        origin: The log's name.
        public_key: Its Ed25519 key.
        witnesses: Keys of those who may cosign, by name.
        former: Keys that these have followed, by name of log or witness.
        checkpoint: The signed note, with cosignatures.
        position: The entry's place in the log, from 0.
        salt: What its commitment was made with.
        entry: The entry.
        path: Sibling hashes from its leaf upwards.
    """

    format: str
    origin: str
    public_key: bytes
    witnesses: dict[str, bytes]
    former: dict[str, list[bytes]] = {}
    checkpoint: str
    position: int
    salt: bytes
    entry: msgspec.Raw
    path: list[bytes]


def proof_document(reply: NodeReply, proven: ProvenEntry) -> bytes:
    """The file for one entry of a node's reply.

    Raises:
        StopIteration: The reply lacks the entry's checkpoint; never for one that was checked.
    """
    note = next(note for note in reply.checkpoints if parse_checkpoint(note).size == proven.size)
    document = ProofDocument(
        format=FORMAT,
        origin=reply.keys.origin,
        public_key=reply.keys.public_key,
        witnesses=reply.keys.witnesses,
        former=reply.keys.former,
        checkpoint=note,
        position=proven.position,
        salt=proven.salt,
        entry=proven.entry,
        path=proven.path,
    )
    return msgspec.json.encode(document) + b"\n"

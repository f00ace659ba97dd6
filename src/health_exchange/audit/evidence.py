"""An evidence folder: what an auditor was answered, so that a court can read it and anybody can check it offline.

    README.txt                  what this is and how to verify it
    report.html                 the entries and the nodes asked, for people
    keys.json                   of every log asked: its name, its key, its witnesses' keys
    checkpoints/<node>/<size>   signed, with cosignatures: how large each log was when it was asked
    proofs/<node>/<n>.json      one entry each, with everything that proves it
    manifest.json               who asked what and when, how each node answered, SHA-256 of every file above
    manifest.sig                the asking node's signature under it

The entries prove themselves; the manifest adds what no log can say: who answered, and that nothing was taken out.
"""

from base64 import b64encode
from hashlib import sha256

import msgspec

from health_exchange.audit.answers import LogAnswer, LogKeys
from health_exchange.audit.checkpoints import parse_checkpoint
from health_exchange.audit.proofs import proof_document
from health_exchange.audit.report_page import report_page
from health_exchange.crypto.signatures import sign_ed25519
from health_exchange.model.secrecy import Secret

FORMAT = "health_exchange evidence v1"
FIRST_LINE = f"{FORMAT}\n".encode()

_README = """\
Evidence from the audit logs of a health-information exchange: every entry that the nodes asked gave in answer to one
question of an auditor. Open report.html in any browser to read it.

Verify it without any node, with the public keys in keys.json only:

    health-exchange audit verify THIS_FOLDER

Each file in proofs/ holds one entry and all that proves it; each verifies on its own, too. manifest.json says how each
node answered, the ones that did not answer among them, and is signed by the node that asked. Compare keys.json with
the network's directory: a folder can only prove that it is consistent with the keys it names.
"""


class AskedNode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one node answered, and how many entries of it lie in the folder."""

    node: str
    outcome: str
    detail: str
    entries: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the asking node signs."""

    format: str
    request_id: str
    at: str
    asker: str
    auditor: str
    conditions: list[str]
    person: str
    nodes: list[AskedNode]
    files: dict[str, str]


def evidence_folder(
    answer: LogAnswer, *, auditor: str, conditions: list[str], asker: LogKeys, seed: Secret
) -> dict[str, bytes]:
    """The folder's files by path.

    Args:
        answer: Verified.
        auditor: Who asked, as registered at the asking node.
        conditions: Names of the question's conditions.
        asker: Keys of the asking node's log.
        seed: The asking node's log key, which signs the manifest.
    """
    keys = {reply.node: reply.keys for reply in answer.replies} | {answer.asker: asker}
    files = {"README.txt": _README.encode(), "report.html": report_page(answer), "keys.json": _pretty(keys)}
    for reply in answer.replies:
        for note in reply.checkpoints:
            files[f"checkpoints/{_folder(reply.node)}/{parse_checkpoint(note).size}"] = note.encode()
        for proven in reply.entries:
            files[f"proofs/{_folder(reply.node)}/{proven.position:09d}.json"] = proof_document(reply, proven)
    manifest = Manifest(
        format=FORMAT,
        request_id=answer.request_id,
        at=answer.at,
        asker=answer.asker,
        auditor=auditor,
        conditions=conditions,
        person=answer.person,
        nodes=[
            AskedNode(node=reply.node, outcome=reply.outcome, detail=reply.detail, entries=len(reply.entries))
            for reply in answer.replies
        ],
        files={path: sha256(raw).hexdigest() for path, raw in sorted(files.items())},
    )
    raw = _pretty(manifest)
    signature = b64encode(sign_ed25519(seed, FIRST_LINE + raw)) + b"\n"
    return files | {"manifest.json": raw, "manifest.sig": signature}


def _folder(node: str) -> str:
    """A node's folder: its address in one step."""
    return node.replace("/", "-")


def _pretty(value: object) -> bytes:
    """JSON for people, in one form."""
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"

"""Looking into a node's folder from outside: its log exported and verified, and what a relay's own keys open.

For auditors and the demo. Reads the databases with their nodes' keys; changes nothing but, for an export, the log.
"""

import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from health_exchange.audit.entries import AuditEntry
from health_exchange.audit.export import EarlierLog, LogContent, WitnessKey, export_folder
from health_exchange.audit.verification import VerificationReport, verify_folder
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import SystemClock
from health_exchange.model.directory import NetworkDirectory, former_log_keys
from health_exchange.model.errors import ForbiddenError
from health_exchange.node.journal import SALT_BYTES, log
from health_exchange.protocol.envelope import open_sections, read_envelope
from health_exchange.store import audit_log, incarnations, outbox
from health_exchange.store.engine import Store, Transaction
from health_exchange.wiring.directory_files import newest_directory
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.settings import Settings, database_password, read_settings


def export_log(settings: Settings) -> dict[str, bytes]:
    """A node's log up to its latest checkpoint, as the files of a folder that verifies offline.

    Reading the log is an entry of the log; the node gives it its place, so the export does not show itself yet.
    """
    store = open_store(settings)
    directory = store.read_now(lambda tx: newest_directory(settings, tx)).directory
    address = NodeAddress.parse(settings.address)
    entry = AuditEntry(
        kind="log-read",
        at=datetime.now(UTC).isoformat(),
        node=str(address),
        action="read-log",
        outcome="allowed",
        principal="operator",
        principal_kind="operator",
        summary="export of the whole log",
    )
    try:
        store.write_now(lambda tx: log(tx, entry))
        content = store.read_now(lambda tx: log_content(tx, directory, address))
    finally:
        store.close()
    return export_folder(content)


def read_entries(settings: Settings) -> list[bytes]:
    """Every opened entry of a node's log, in order; those past retention are left out."""
    store = open_store(settings)
    try:
        kept = store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    finally:
        store.close()
    return [entry.raw[SALT_BYTES:] for entry in kept if entry.raw is not None]


def open_store(settings: Settings) -> Store:
    """A node's database with its keys, beside the node that may be running."""
    return Store.open(
        settings.database,
        KeyFile(settings.keys).store_keys,
        SystemClock(),
        os.urandom,
        password=database_password(settings),
        upgrades=False,
        inline=True,
    )


def log_content(tx: Transaction, directory: NetworkDirectory, address: NodeAddress) -> LogContent:
    """Everything the store holds of the node's log, up to its latest checkpoint."""
    card = directory.nodes[address]
    witnesses = [directory.nodes[witness] for witness in card.witnesses]
    checkpoints = dict(audit_log.all_checkpoints(tx))
    size = max(checkpoints, default=0)
    lives = incarnations.lives(tx)
    return LogContent(
        origin=card.log_of(lives[-1].number),
        public=card.log_key,
        witnesses=[WitnessKey(name=witness.log_origin, public=witness.log_key) for witness in witnesses],
        former=former_log_keys([card, *witnesses]),
        tiles=audit_log.all_tiles(tx),
        checkpoints={at: note.decode() for at, note in checkpoints.items()},
        cosignatures={at: [line.decode() for line in audit_log.cosignatures_of(tx, at).values()] for at in checkpoints},
        entries=[entry.raw for entry in audit_log.entries(tx, 0, size)],
        earlier=[
            EarlierLog(origin=card.log_of(life.number), size=following.first_entry)
            for life, following in pairwise(lives)
            if following.first_entry < size
        ],
    )


def verify_logs(root: Path) -> list[VerificationReport]:
    """Export and verify the logs of every node in a network's folder."""
    return [verify_folder(export_log(read_settings(path))) for path in sorted((root / "nodes").glob("*/node.toml"))]


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write an export.

    Raises:
        FileExistsError: The folder exists.
        ForbiddenError: A path leads out of it.
    """
    folder.mkdir(parents=True)
    for path, content in files.items():
        target = folder / path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise ForbiddenError("a file of the export would lie outside its folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


class RelayInspector:
    """Looks at the envelopes in a relay's own database while they pass, with the relay's own keys.

    Attributes:
        envelope_bytes: How large they were together.
        could_open: Sections the relay's keys open.
        could_not_open: Sections they do not.
    """

    def __init__(self, settings: Settings) -> None:
        keys = NodeKeys.from_json(Path(settings.keys).read_bytes())
        self.address = NodeAddress.parse(settings.address)
        self._boxes = keys.boxes
        self._seen: set[tuple[str, int]] = set()
        self._store = open_store(settings)
        self.envelope_bytes = 0
        self.could_open = 0
        self.could_not_open = 0

    @property
    def envelopes(self) -> int:
        """How many were seen."""
        return len(self._seen)

    def look(self) -> None:
        """Take in what is passing now."""
        for stream, sequence, raw in self._store.read_now(outbox.kept_envelopes):
            if (stream, sequence) in self._seen:
                continue
            self._seen.add((stream, sequence))
            envelope = read_envelope(raw)
            opened = open_sections(envelope, self.address, self._boxes)
            self.envelope_bytes += len(raw)
            self.could_open += len(opened)
            self.could_not_open += len(envelope.sections) - len(opened)

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

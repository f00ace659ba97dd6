"""What a story does to lose a node's database and to restore it: backup, loss, restore, rejoining."""

from dataclasses import dataclass
from pathlib import Path

from tests.federation.network import Network

from health_exchange.audit.export import export_folder
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.node.making_good import RejoinReport
from health_exchange.node.rejoining import rejoin
from health_exchange.store import restoration
from health_exchange.wiring import backups
from health_exchange.wiring.inspection import log_content
from health_exchange.wiring.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup's two files."""

    bulk: Path
    keys: Path


class Operator:
    """Backs nodes up and restores them, as an operator would with the command."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.folder = network.folder / "operator"
        self.folder.mkdir()
        self.recovery_key = self.folder / "recovery"
        self.public = backups.read_public_key(backups.make_recovery_key(self.recovery_key))

    def back_up(self, address: str, *, keys_only: bool = False) -> list[Path]:
        """The files of a backup of a node at work."""
        self.network.clock.advance(milliseconds=1)  # files are named by it
        store = self.network[address].parts.store
        done = store.read_now(
            lambda tx: backups.write_backup(tx, address, self.folder, self.public, keys_only=keys_only)
        )
        return [each.path for each in done]

    def export(self, address: str) -> dict[str, bytes]:
        """A node's log as its auditors export it."""
        parts = self.network[address].parts
        content = parts.store.read_now(lambda tx: log_content(tx, parts.directory, parts.address))
        return export_folder(content)

    def lose(self, address: str) -> None:
        """The node is gone, and its database with it: an empty one is in its place."""
        where = NodeAddress.parse(address)
        self.network.empty(where)
        del self.network.nodes[where]

    def restore(self, address: str, files: list[Path]) -> None:
        """Fill a new database; the node does not start on it yet."""
        where = NodeAddress.parse(address)
        settings = self._settings(where)
        _rows, taken_at = backups.fill(settings, self.recovery_key, bulk=files[0], keys=files[-1])
        store = self.network.open_store(where)
        store.write_now(lambda tx: restoration.settle(tx, taken_at))
        store.close()

    async def rejoin(self, address: str, *, without_missing: bool = False) -> RejoinReport:
        """Rejoin and start."""
        where = NodeAddress.parse(address)
        self.network.put_together(where)
        parts = self.network[address].parts
        try:
            report = await rejoin(parts, ["hospital (Hospital)"], without_missing=without_missing)
        except ExchangeError:
            self.network.nodes.pop(where).parts.store.close()
            raise
        self.network.restart(where)
        return report

    def _settings(self, address: NodeAddress) -> Settings:
        keys = self.folder / "keys.json"
        keys.write_bytes(self.network.ceremony.keys[address].to_json())
        return Settings(
            address=str(address),
            fhir_port=1,
            exchange_port=2,
            database=self.network.url(address),
            nation_key=b"",
            keys=str(keys),
            directory="",
            directory_signature="",
            authority="",
            certificate="",
            certificate_key="",
            clients="",
        )

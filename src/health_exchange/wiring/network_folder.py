"""A whole network on one disk: what the ceremony made, one folder per node, secrets readable by their owner only.

    DIR/network/authority.pem  directory.json  directory.sig
    DIR/authority/authority.key
    DIR/nodes/cn-33-3305/node.toml  certificate.pem  certificate.key  keys.json  share.json  clients.json
    DIR/nodes/cn-33-3305/database-password
    DIR/databases/cn-33-3305/node-password  (the same)  owner-password  auditor-password

Each node's folder is all that node may have; on separate machines one copies ``network/`` and that folder.
``databases/`` is what database servers need to let their node in, and is there only where the plan names servers.
``authority/`` signs certificates and belongs to nobody but the authority. The directory's signature is written last:
where it is, everything is.
"""

import os
import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from health_exchange.crypto.certificates import Issued, issue, make_authority
from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory, NodeCard
from health_exchange.pseudonym.threshold import encode_share
from health_exchange.wiring.ceremony import Ceremony
from health_exchange.wiring.directory_file import read_directory
from health_exchange.wiring.plan import PlannedNode
from health_exchange.wiring.settings import read_settings

CERTIFICATE_DAYS = 397
PASSWORD_BYTES = 32
OTHER_ROLES = ("owner", "auditor")
"""Of a database server, beside its node's: who owns the tables, and who reads the log."""

_SETTINGS = """\
# {name}, {tier}
address = "{address}"
host = "{host}"
fhir_port = {fhir_port}
exchange_port = {exchange_port}
database = "{database}"
directory = "../../network/directory.json"
directory_signature = "../../network/directory.sig"
nation_key = "{nation_key}"
authority = "../../network/authority.pem"
certificate = "certificate.pem"
certificate_key = "certificate.key"
keys = "keys.json"
clients = "clients.json"
"""


def node_folder(root: Path, address: NodeAddress) -> Path:
    """Where ``address`` keeps its things."""
    return root / "nodes" / str(address).replace("/", "-")


def write_network(root: Path, ceremony: Ceremony, *, clients: Mapping[NodeAddress, bytes], now: datetime) -> None:
    """Write everything; nothing that exists is overwritten.

    Args:
        root: The working folder; made where missing.
        ceremony: What to write.
        clients: Per node the registry of clients, as ``api.clients`` reads it.
        now: Start of the certificates' validity.

    Raises:
        FileExistsError: ``root`` already holds a network.
    """
    network = root / "network"
    for folder in (network, root / "authority"):
        folder.mkdir(parents=True, exist_ok=True)
    authority = make_authority("health_exchange network authority", now=now)
    _write(network / "authority.pem", authority.certificate)
    _write(root / "authority" / "authority.key", authority.key)
    for planned in ceremony.plan.nodes:
        _write_node(root, ceremony, planned, authority, clients=clients.get(planned.address, b"[]"), now=now)
    _write(network / "directory.json", ceremony.directory_json)
    _write(network / "directory.sig", ceremony.directory_signature)


def _write_node(
    root: Path, ceremony: Ceremony, planned: PlannedNode, authority: Issued, *, clients: bytes, now: datetime
) -> None:
    """One node's folder, and what its database server needs."""
    address = planned.address
    folder = node_folder(root, address)
    folder.mkdir(parents=True, exist_ok=True)
    urls = (planned.exchange_url, planned.fhir_url)
    hosts = dict.fromkeys([*(urlsplit(url).hostname or "" for url in urls), "localhost"])
    issued = issue(authority, str(address), list(hosts), now=now, days=CERTIFICATE_DAYS)
    _write(folder / "certificate.pem", issued.certificate)
    _write(folder / "certificate.key", issued.key)
    _write(folder / "keys.json", ceremony.keys[address].to_json())
    _write(folder / "clients.json", clients)
    nation = next(each for each in ceremony.directory.nodes if each.parent is None)
    settings = _settings(ceremony.directory.nodes[address], planned, ceremony.directory.nodes[nation].verifying_key)
    if address in ceremony.shares:
        _write(folder / "share.json", encode_share(ceremony.shares[address]))
        settings += 'share = "share.json"\n'
    if not planned.database.startswith("sqlite:"):
        password = _new_password()
        _write(folder / "database-password", password)
        server = root / "databases" / folder.name
        server.mkdir(parents=True, exist_ok=True)
        _write(server / "node-password", password)
        for role in OTHER_ROLES:
            _write(server / f"{role}-password", _new_password())
        settings += 'database_password = "database-password"\n'
    _write(folder / "node.toml", settings.encode())


def _new_password() -> bytes:
    return secrets.token_urlsafe(PASSWORD_BYTES).encode()


def _settings(card: NodeCard, planned: PlannedNode, nation_key: bytes) -> str:
    """The node's settings file."""
    return _SETTINGS.format(
        name=card.name,
        tier=card.tier,
        address=card.address,
        host=planned.host,
        fhir_port=urlsplit(card.fhir_url).port,
        exchange_port=urlsplit(card.exchange_url).port,
        database=planned.database,
        nation_key=b64encode(nation_key).decode(),
    )


def _write(path: Path, content: bytes) -> None:
    """A new file that only its owner reads."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def read_network(root: Path) -> NetworkDirectory | None:
    """The directory of the network in ``root``, or ``None`` where none was made or finished.

    Raises:
        ExchangeError: The folder's files do not fit each other.
    """
    directory, signature = (root / "network" / name for name in ("directory.json", "directory.sig"))
    if not signature.is_file():
        return None
    # Whoever can write here can write the pinned keys as well: any node's settings will do.
    settings = read_settings(next(iter(sorted((root / "nodes").glob("*/node.toml")))))
    nation = VerifyingKeys.from_bytes(settings.nation_key)
    return read_directory(directory.read_bytes(), signature.read_bytes(), nation=nation)

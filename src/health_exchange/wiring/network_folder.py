"""A whole network on one disk: what the ceremony made, one folder per node, secrets readable by their owner only.

    DIR/network/authority.pem  nation.key  directory.json  directory.sig
    DIR/authority/authority.key
    DIR/nodes/cn-33-3305/node.toml  certificate.pem  certificate.key  keys.json  share.json  clients.json
    DIR/nodes/cn-33-3305/database-password
    DIR/databases/cn-33-3305/node-password  (the same)  owner-password  auditor-password

Each node's folder is all that node may have; on separate machines one copies ``network/`` and that folder, or has the
first made into the second. ``databases/`` is what database servers need to let roles in, and is there only where the
plan names servers. ``authority/`` signs certificates and belongs to nobody but the authority. The directory's signature
is written last: where it is, everything is.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from health_exchange.crypto.certificates import Issued, issue, make_authority
from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory, NodeCard
from health_exchange.protocol.directories import open_directory
from health_exchange.pseudonym.threshold import encode_shares
from health_exchange.wiring.ceremony import Ceremony
from health_exchange.wiring.files import write_new
from health_exchange.wiring.plan import EMBEDDED, PlannedNode

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
directory = "{network}/directory.json"
directory_signature = "{network}/directory.sig"
nation_key = "{nation_key}"
authority = "{network}/authority.pem"
certificate = "certificate.pem"
certificate_key = "certificate.key"
keys = "keys.json"
clients = "clients.json"
"""


def node_folder(root: Path, address: NodeAddress) -> Path:
    """Where ``address`` keeps its things."""
    return root / "nodes" / str(address).replace("/", "-")


def write_network(
    root: Path, ceremony: Ceremony, *, clients: Mapping[NodeAddress, bytes], now: datetime, apart: bool = False
) -> None:
    """Write everything; nothing that exists is overwritten.

    Args:
        root: The working folder; made where missing.
        ceremony: What to write.
        clients: Per node the registry of clients, as ``api.clients`` reads it.
        now: Start of the certificates' validity.
        apart: Whether each node has a copy of its own of what is public, as on machines of their own.

    Raises:
        FileExistsError: ``root`` already holds a network.
    """
    authority = make_authority("health_exchange network authority", now=now)
    (root / "authority").mkdir(parents=True, exist_ok=True)
    write_new(root / "authority" / "authority.key", authority.key)
    for planned in ceremony.plan.nodes:
        folder = node_folder(root, planned.address)
        folder.mkdir(parents=True, exist_ok=True)
        if apart:
            _write_public(folder / "network", ceremony, authority)
        settings = settings_text(
            ceremony.directory.nodes[planned.address],
            planned.host,
            ceremony.nation.raw,
            network="network" if apart else "../../network",
            database=planned.database,
        )
        settings += _write_secrets(root, folder, ceremony, planned)
        _write_certificate(folder, planned, authority, now)
        write_new(folder / "clients.json", clients.get(planned.address, b"[]"))
        write_new(folder / "node.toml", settings.encode())
    _write_public(root / "network", ceremony, authority)


def read_network(root: Path) -> NetworkDirectory | None:
    """The directory of the network in ``root``, or ``None`` where none was made or finished.

    Raises:
        ExchangeError: The folder's files do not fit each other.
    """
    network = root / "network"
    if not (network / "directory.sig").is_file():
        return None
    nation = VerifyingKeys.from_bytes(b64decode((network / "nation.key").read_bytes()))
    raw, signature = ((network / name).read_bytes() for name in ("directory.json", "directory.sig"))
    return open_directory(raw, signature, nation=nation).directory


def _write_public(network: Path, ceremony: Ceremony, authority: Issued) -> None:
    """What everybody may have."""
    network.mkdir(parents=True, exist_ok=True)
    write_new(network / "authority.pem", authority.certificate)
    write_new(network / "nation.key", b64encode(ceremony.nation.raw) + b"\n")
    write_new(network / "directory.json", ceremony.signed.raw)
    write_new(network / "directory.sig", ceremony.signed.signature)


def _write_certificate(folder: Path, planned: PlannedNode, authority: Issued, now: datetime) -> None:
    """The node's certificate, for the names of both its doors, and its key."""
    hosts = dict.fromkeys([*(urlsplit(url).hostname or "" for url in (planned.exchange_url, planned.fhir_url))])
    issued = issue(authority, str(planned.address), [*hosts, "localhost"], now=now, days=CERTIFICATE_DAYS)
    write_new(folder / "certificate.pem", issued.certificate)
    write_new(folder / "certificate.key", issued.key)


def _write_secrets(root: Path, folder: Path, ceremony: Ceremony, planned: PlannedNode) -> str:
    """Keys, share and passwords of a node; what its settings say of them."""
    settings = ""
    write_new(folder / "keys.json", ceremony.keys[planned.address].to_json())
    if planned.address in ceremony.shares:
        write_new(folder / "share.json", encode_shares([ceremony.shares[planned.address]]))
        settings += 'share = "share.json"\n'
    if not planned.database.startswith("sqlite:"):
        password = _new_password()
        write_new(folder / "database-password", password)
        server = root / "databases" / folder.name
        server.mkdir(parents=True, exist_ok=True)
        write_new(server / "node-password", password)
        for role in OTHER_ROLES:
            write_new(server / f"{role}-password", _new_password())
        settings += 'database_password = "database-password"\n'
    return settings


def _new_password() -> bytes:
    return secrets.token_urlsafe(PASSWORD_BYTES).encode()


def settings_text(
    card: NodeCard, host: str, nation_key: bytes, *, network: str = "../../network", database: str = EMBEDDED
) -> str:
    """The node's settings file; ``network`` is where its public files lie, seen from it."""
    return _SETTINGS.format(
        name=card.name,
        tier=card.tier,
        address=card.address,
        host=host,
        fhir_port=urlsplit(card.fhir_url).port,
        exchange_port=urlsplit(card.exchange_url).port,
        nation_key=b64encode(nation_key).decode(),
        network=network,
        database=database,
    )

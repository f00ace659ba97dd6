"""A whole network on one disk: what the ceremony made, one folder per node, secrets readable by their owner only.

    DIR/network/authority.pem  nation.key  directory.json  directory.sig
    DIR/nodes/cn-33-3305/node.toml  certificate.pem  certificate.key  keys.json  share.json  clients.json

Each node's folder is all that node may have; on separate machines one copies ``network/`` and that folder.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from health_exchange.crypto.certificates import issue, make_authority
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.pseudonym.threshold import encode_shares
from health_exchange.wiring.ceremony import Ceremony
from health_exchange.wiring.files import write_new

CERTIFICATE_DAYS = 397
DATABASE = "sqlite:///node.sqlite"

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
    network.mkdir(parents=True, exist_ok=False)
    authority = make_authority("health_exchange network authority", now=now)
    write_new(network / "authority.pem", authority.certificate)
    write_new(network / "authority.key", authority.key)
    write_new(network / "directory.json", ceremony.signed.raw)
    write_new(network / "directory.sig", ceremony.signed.signature)
    write_new(network / "nation.key", b64encode(ceremony.nation.raw) + b"\n")
    for address, card in ceremony.directory.nodes.items():
        folder = node_folder(root, address)
        folder.mkdir(parents=True)
        host = urlsplit(card.exchange_url).hostname or "127.0.0.1"
        issued = issue(authority, str(address), [host, "localhost"], now=now, days=CERTIFICATE_DAYS)
        write_new(folder / "certificate.pem", issued.certificate)
        write_new(folder / "certificate.key", issued.key)
        write_new(folder / "keys.json", ceremony.keys[address].to_json())
        write_new(folder / "clients.json", clients.get(address, b"[]"))
        settings = settings_text(card, host, ceremony.nation.raw)
        if address in ceremony.shares:
            write_new(folder / "share.json", encode_shares([ceremony.shares[address]]))
            settings += 'share = "share.json"\n'
        write_new(folder / "node.toml", settings.encode())


def settings_text(
    card: NodeCard, host: str, nation_key: bytes, *, network: str = "../../network", database: str = DATABASE
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

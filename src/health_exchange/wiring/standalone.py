"""A node that stands alone, in one folder: made at its first start, found again at every further one.

    DIR/node.toml                               settings; written last: where they are, everything is
    DIR/keys.json  share.json                   secret: all that opens the database
    DIR/clients.json  client.key                who may ask for tokens, and the private key of the first of them
    DIR/network/directory.json  directory.sig   a network of one, signed by itself
    DIR/node.sqlite                             unless another database was named

It comes out of the same ceremony as any network and runs as any node does. Its tier's row of powers, the policies that
ship for it and its settings are all that differs.
"""

import os
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError, UnavailableError
from health_exchange.model.loopback import is_loopback
from health_exchange.model.powers import Tier
from health_exchange.model.purposes import Purpose
from health_exchange.protocol.directories import make_directory
from health_exchange.pseudonym.threshold import encode_shares
from health_exchange.store.database import DatabaseTakenError
from health_exchange.wiring.ceremony import Ceremony, hold_ceremony
from health_exchange.wiring.directory_files import publish_directory, read_directory_files
from health_exchange.wiring.files import FileBusyError, locked, write_new
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.plan import EMBEDDED, LOOPBACK, NetworkPlan, PlannedNode
from health_exchange.wiring.registration import encode_registry, register
from health_exchange.wiring.settings import BadSettingsError, Settings, check_settings, read_settings

ADDRESS = NodeAddress.parse("zz")
"""ISO 3166 leaves these letters to whoever wants them, so the node lies in no country's tree."""
NAME = "Standalone node"
PORT = 8080
SETTINGS, CLIENT_KEY = "node.toml", "client.key"
CLIENT = "first-client"
EVALUATIONS_PER_DAY = 1_000_000_000
"""As good as no quota: it asks itself, and nobody but its own persons would have to wait."""
_DRIVER = "postgresql+psycopg"


class FolderTakenError(ExchangeError):
    """The folder holds something else than a node that stands alone."""

    category = Category.CONFLICT
    code = "folder-taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody who starts a node says; what he leaves out is as it was, or as usual at the first start.

    Attributes:
        folder: Where the node's things are.
        host: Address to listen on.
        port: Port to listen on.
        url: What clients call the node, where that is not host and port.
        database: URL of its database.
        database_password: File with the password of the database's role.
        is_open: Whether anyone is let in, for this once.
    """

    folder: Path
    host: str = ""
    port: int = 0
    url: str = ""
    database: str = ""
    database_password: Path | None = None
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A node about to start.

    Attributes:
        settings: Its settings.
        url: What clients call it.
        is_first: Whether it has just been made.
    """

    settings: Settings
    url: str
    is_first: bool


@contextmanager
def starting(wish: Wish) -> Iterator[Start]:
    """The node in a folder, made where there is none, and nobody else's meanwhile.

    Raises:
        BadSettingsError: What is wished for cannot be; nothing was made.
        FolderTakenError: Something else lies in the folder.
        DatabaseTakenError: Another process runs this node.
        UnavailableError: Something else listens on the port.
    """
    made = wish.folder / SETTINGS
    is_first = not made.is_file()
    settings = _first_settings(wish) if is_first else read_settings(made)
    settings = msgspec.structs.replace(
        settings,
        host=wish.host or settings.host,
        fhir_port=wish.port or settings.fhir_port,
        open_to_anyone=wish.is_open,
    )
    check_settings(settings)
    url = _url(wish, settings)
    if not is_first:
        _refuse_another_database(wish, settings)
    with ExitStack() as stack:
        _make_folder(wish.folder)
        is_taken = False
        try:
            stack.enter_context(locked(made, within_s=0))
        except FileBusyError:
            is_taken = True
        if is_taken:
            raise DatabaseTakenError(f"another process runs the node in {wish.folder}")
        _refuse_taken_port(settings)
        if is_first:
            nation_key = _make(wish.folder, settings, url)
            settings = _as_read(made, settings, nation_key)
        else:
            _call_it(settings, url)
        yield Start(settings=settings, url=url, is_first=is_first)


def _as_read(made: Path, settings: Settings, nation_key: bytes) -> Settings:
    """Write the settings, the last of all files; and the same with their paths made absolute, for this start."""
    kept = msgspec.structs.replace(settings, nation_key=nation_key, open_to_anyone=False)
    write_new(made, _as_toml(kept).encode())
    return msgspec.structs.replace(read_settings(made), open_to_anyone=settings.open_to_anyone)


def _first_settings(wish: Wish) -> Settings:
    """The settings of a node that is to be made; its key is not known yet."""
    password = wish.database_password
    return Settings(
        address=str(ADDRESS),
        host=wish.host or LOOPBACK,
        fhir_port=wish.port or PORT,
        database=_database(wish.database) or EMBEDDED,
        database_password=str(password.resolve()) if password is not None else "",
        directory="network/directory.json",
        directory_signature="network/directory.sig",
        nation_key=b"",
        keys="keys.json",
        share="share.json",
        clients="clients.json",
        evaluations_per_day=EVALUATIONS_PER_DAY,
    )


def _make(folder: Path, settings: Settings, url: str) -> bytes:
    """Keys, share, directory and a client for a new node; the key that signs its directory.

    Raises:
        FolderTakenError: A file is there already.
    """
    ceremony = _ceremony(url)
    client = register(
        client_id=CLIENT,
        kind="facility",
        organization="",
        name="Registered when the node was made",
        purpose=Purpose.TREATMENT,
        randomness=os.urandom,
    )
    files = {
        settings.keys: ceremony.keys[ADDRESS].to_json(),
        settings.share: encode_shares([ceremony.shares[ADDRESS]]),
        settings.directory: ceremony.signed.raw,
        settings.directory_signature: ceremony.signed.signature,
        settings.clients: encode_registry([client]),
        CLIENT_KEY: client.private_key_pem,
    }
    taken = ""
    try:
        (folder / settings.directory).parent.mkdir(exist_ok=True)
        for name, content in files.items():
            write_new(folder / name, content)
    except FileExistsError as error:
        taken = str(error.filename)
    if taken:
        raise FolderTakenError(
            f"{taken} is in the way of a new node, or one was begun and not finished: take away what is in {folder}"
        )
    return ceremony.nation.raw


def _ceremony(url: str) -> Ceremony:
    """A network of one node, which keeps the only share of its pseudonym key."""
    node = PlannedNode(address=ADDRESS, tier=Tier.STANDALONE, name=NAME, exchange_url="", fhir_url=url)
    return hold_ceremony(NetworkPlan(nodes=(node,), holders=(ADDRESS,), threshold=1), randomness=os.urandom)


def _call_it(settings: Settings, url: str) -> None:
    """Have the directory say what clients call the node now.

    Raises:
        FolderTakenError: The directory is that of a tree.
    """
    signed = read_directory_files(settings)
    address, nodes = NodeAddress.parse(settings.address), signed.directory.nodes
    if set(nodes) != {address}:
        raise FolderTakenError("the folder holds a node of a tree; run it with --settings")
    if nodes[address].fhir_url == url:
        return
    changed = replace(
        signed.directory, nodes={address: replace(nodes[address], fhir_url=url)}, serial=signed.serial + 1
    )
    publish_directory(settings, make_directory(changed, KeyFile(settings.keys).now().signing))


def _url(wish: Wish, settings: Settings) -> str:
    """What clients call the node.

    Raises:
        BadSettingsError: Others are to reach it and nobody says by what name, or it is open to them.
    """
    scheme = "https" if settings.certificate else "http"
    if not wish.url and not is_loopback(settings.host):
        raise BadSettingsError("--url is missing: what clients call the node, https://name:port")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = (wish.url or f"{scheme}://{host}:{settings.fhir_port}").rstrip("/").removesuffix("/fhir")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
        raise BadSettingsError("--url is https://name:port")
    if settings.open_to_anyone and not is_loopback(parts.hostname):
        raise BadSettingsError("--open is for this machine alone, and --url names it to others")
    return url


def _database(url: str) -> str:
    """A database's URL as settings have it; empty where none is given.

    Raises:
        BadSettingsError: It is no URL, or carries a password.
    """
    if not url:
        return ""
    problem = ""
    try:
        parts = make_url(url)
    except ArgumentError:
        problem = "--database-url is postgresql://role@host:port/name or sqlite:///file"
    else:
        if parts.password is None:
            driver = _DRIVER if parts.drivername in {"postgres", "postgresql"} else parts.drivername
            return parts.set(drivername=driver).render_as_string()
        problem = "--database-url carries a password, which everybody on this machine could read: --database-password"
    raise BadSettingsError(problem)


def _refuse_another_database(wish: Wish, settings: Settings) -> None:
    """Raise where a node that has a database is to start on another one."""
    wished = _database(wish.database)
    same = {settings.database, settings.database.replace(f"sqlite:///{wish.folder.resolve()}/", "sqlite:///")}
    if wished and wished not in same:
        raise BadSettingsError(f"--database-url: {wish.folder / SETTINGS} names another database; take another --dir")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        problem = "" if os.access(folder, os.W_OK | os.X_OK) else "nothing can be written there"
    except OSError as error:
        problem = error.strerror or "cannot be made"
    if problem:
        raise BadSettingsError(f"{folder}: {problem}")


def _refuse_taken_port(settings: Settings) -> None:
    """Raise where something listens: the node would share its port, and clients reach now one and now the other."""
    problem = ""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.fhir_port))
        except OSError as error:
            problem = error.strerror or "cannot be used"
    if problem:
        raise UnavailableError(f"port {settings.fhir_port} of {settings.host}: {problem}; take another --port")


def _as_toml(settings: Settings) -> str:
    """The settings that say anything, as a file."""
    lines = [f"# {NAME}: a network of one"]
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if value:
            text = b64encode(value).decode() if isinstance(value, bytes) else value
            # A basic string of TOML is written as one of JSON.
            lines.append(f"{field.name} = {msgspec.json.encode(text).decode()}")
    return "\n".join(lines) + "\n"

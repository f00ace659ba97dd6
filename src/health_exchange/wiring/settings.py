"""One node's settings: a TOML file, paths relative to it.

    address = "cn/33/3305/330521"
    tier = "county"
    directory = "../../network/directory.json"
    ...

Everything has one meaning and no default that differs by machine; a wrong or unknown key is refused by name.
"""

from ipaddress import ip_address
from pathlib import Path

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.loopback import is_loopback
from health_exchange.model.secrecy import Secret


class BadSettingsError(ExchangeError):
    """The settings file cannot be used."""

    category = Category.INCORRECT
    code = "bad-settings"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says.

    Attributes:
        address: The node's place, ``cn/33``.
        host: Address to listen on.
        fhir_port: Port of the FHIR door: TLS, or plain HTTP on loopback where no certificate is named.
        exchange_port: Port of the exchange door, mutual TLS; 0 where the node stands alone and has no peers.
        database: ``sqlite:///node.sqlite``, relative to the file, or ``postgresql+psycopg://role@host:port/name``.
        database_password: File that holds the role's password, where the server asks for one.
        processes: How many processes serve the doors; more than one on PostgreSQL only.
        directory: The signed directory.
        directory_signature: The nation's signature under it.
        nation_key: The nation's verifying key, pinned here, in base64.
        authority: Certificate of the network's authority; a node without peers needs none.
        certificate: The node's certificate, PEM.
        certificate_key: Its private key, PEM.
        keys: The node's key set.
        share: Its share of the pseudonym key; only at key holders.
        clients: Facilities, readers and auditors that may ask for tokens here.
        routes: Where this node finds a peer, by its address, in place of what the directory says: through a proxy.
        policies: Folder of the base policy set.
        evaluations_per_day: See ``node.parts.Limits``.
        open_to_anyone: Whether who shows no token is a caller of kind ``guest``; on loopback only.
    """

    address: str
    host: str = "127.0.0.1"
    fhir_port: int
    exchange_port: int = 0
    database: str
    directory: str
    directory_signature: str
    nation_key: bytes
    authority: str = ""
    certificate: str = ""
    certificate_key: str = ""
    keys: str
    clients: str
    database_password: str = ""
    processes: int = 1
    share: str = ""
    routes: dict[str, str] = {}
    policies: str = ""
    evaluations_per_day: int = 200_000
    open_to_anyone: bool = False


def read_settings(path: Path) -> Settings:
    """The settings in ``path``, its paths made absolute.

    Raises:
        BadSettingsError: No such file, no TOML, an unknown or missing key, a value of the wrong type, or no address.
    """
    problem = ""
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=Settings)
        NodeAddress.parse(settings.address)
    except OSError as error:
        problem = error.strerror or "cannot be read"
    except (msgspec.MsgspecError, ValueError) as error:
        problem = str(error)
    else:
        problem = _misfit(settings)
        if not problem:
            return _absolute(settings, path.resolve().parent)
    raise BadSettingsError(f"{path}: {problem}")


def read_tree_settings(path: Path) -> Settings:
    """As :func:`read_settings`, for what only a node of a tree can do.

    Raises:
        BadSettingsError: As there, or the node stands alone.
    """
    settings = read_settings(path)
    if not settings.exchange_port:
        raise BadSettingsError(f"{path}: this node stands alone, with nobody to sign that; it is for nodes of a tree")
    return settings


def read_named(path: str) -> bytes:
    """A file that settings name.

    Raises:
        BadSettingsError: It cannot be read.
    """
    problem = ""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        problem = error.strerror or "cannot be read"
    raise BadSettingsError(f"{path}: {problem}")


def check_settings(settings: Settings) -> None:
    """Raise :class:`BadSettingsError` where settings do not fit together."""
    problem = _misfit(settings)
    if problem:
        raise BadSettingsError(problem)


def _misfit(settings: Settings) -> str:
    """What does not fit together; empty where all does."""
    has_certificate, is_near = bool(settings.certificate), is_loopback(settings.host)
    checks = (
        (not _is_ip(settings.host), "host: it is an IP address of this machine: 127.0.0.1, or 0.0.0.0 for all it has"),
        (settings.processes < 1, "processes: at least one serves the doors"),
        (
            settings.processes > 1 and settings.database.startswith("sqlite"),
            "processes: SQLite has one writer, so one process serves the doors; PostgreSQL takes more",
        ),
        (has_certificate != bool(settings.certificate_key), "certificate: it and its certificate_key come together"),
        (
            settings.exchange_port and not (has_certificate and settings.authority),
            "exchange_port: peers speak mutual TLS, which takes authority, certificate and certificate_key",
        ),
        (
            not has_certificate and not is_near,
            "host: without a certificate the node speaks plain HTTP, which is for loopback only (127.0.0.1)",
        ),
        (
            settings.open_to_anyone and not is_near,
            "host: a node that is open to anyone listens on loopback only (127.0.0.1)",
        ),
    )
    return next((problem for is_wrong, problem in checks if is_wrong), "")


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def database_password(settings: Settings) -> Secret | None:
    """The password of the database's role; ``None`` where the settings name none.

    Raises:
        BadSettingsError: Its file cannot be read.
    """
    if not settings.database_password:
        return None
    return Secret(read_named(settings.database_password).strip())


_PATHS = ("directory", "directory_signature", "keys", "clients")
_OPTIONAL_PATHS = ("authority", "certificate", "certificate_key", "database_password", "share", "policies")
SQLITE = "sqlite:///"


def _absolute(settings: Settings, folder: Path) -> Settings:
    """The same settings, independent of the folder the program runs in."""
    changes = {name: str(folder / getattr(settings, name)) for name in _PATHS}
    changes |= {name: str(folder / value) for name in _OPTIONAL_PATHS if (value := getattr(settings, name))}
    if settings.database.startswith(SQLITE):
        changes["database"] = SQLITE + str(folder / settings.database.removeprefix(SQLITE))
    return msgspec.structs.replace(settings, **changes)

"""One node's settings: a TOML file, paths relative to it.

    address = "cn/33/3305/330521"
    tier = "county"
    directory = "../../network/directory.json"
    ...

Everything has one meaning and no default that differs by machine; a wrong or unknown key is refused by name.
"""

from pathlib import Path

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError


class BadSettingsError(ExchangeError):
    """The settings file cannot be used."""

    category = Category.INCORRECT
    code = "bad-settings"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says.

    Attributes:
        address: The node's place, ``cn/33``.
        host: Address to listen on.
        fhir_port: Port of the FHIR door, TLS.
        exchange_port: Port of the exchange door, mutual TLS.
        database: SQLAlchemy URL; ``sqlite:///node.sqlite`` is relative to the file.
        directory: The signed directory.
        directory_signature: The nation's signature under it.
        nation_key: The nation's verifying key, pinned here, in base64.
        authority: Certificate of the network's authority.
        certificate: The node's certificate, PEM.
        certificate_key: Its private key, PEM.
        keys: The node's key set.
        share: Its share of the pseudonym key; only at key holders.
        clients: Facilities, readers and auditors that may ask for tokens here.
        policies: Folder of the base policy set.
        evaluations_per_day: See ``node.parts.Limits``.
    """

    address: str
    host: str = "127.0.0.1"
    fhir_port: int
    exchange_port: int
    database: str
    directory: str
    directory_signature: str
    nation_key: bytes
    authority: str
    certificate: str
    certificate_key: str
    keys: str
    clients: str
    share: str = ""
    policies: str = ""
    evaluations_per_day: int = 200_000


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
        return _absolute(settings, path.resolve().parent)
    raise BadSettingsError(f"{path}: {problem}")


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


_PATHS = ("directory", "directory_signature", "authority", "certificate", "certificate_key", "keys", "clients")
_SQLITE = "sqlite:///"


def _absolute(settings: Settings, folder: Path) -> Settings:
    """The same settings, independent of the folder the program runs in."""
    changes = {name: str(folder / getattr(settings, name)) for name in _PATHS}
    changes |= {name: str(folder / value) for name in ("share", "policies") if (value := getattr(settings, name))}
    if settings.database.startswith(_SQLITE):
        changes["database"] = _SQLITE + str(folder / settings.database.removeprefix(_SQLITE))
    return msgspec.structs.replace(settings, **changes)

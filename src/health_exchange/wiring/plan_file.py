"""A plan as a file: TOML that says which nodes there shall be, where, and how many key holders it takes.

threshold = 2

[[nodes]]
address = "cn/33"
tier = "province"
name = "浙江 Zhejiang"
fhir_url = "https://cn-33:8443"
exchange_url = "https://cn-33:8444"
host = "0.0.0.0"
database = "postgresql+psycopg://node@database-cn-33/node"
holds_share = true
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.wiring.plan import EMBEDDED, LOOPBACK, NetworkPlan, PlannedNode


class BadPlanError(ExchangeError):
    """The plan cannot be read, or no network can be like that."""

    category = Category.INCORRECT
    code = "bad-plan"


class _Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node of the file."""

    address: str
    tier: Tier
    name: str
    fhir_url: str
    exchange_url: str
    host: str = LOOPBACK
    database: str = EMBEDDED
    holds_share: bool = False


class _Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    threshold: int
    nodes: list[_Node]


def read_plan(path: Path) -> NetworkPlan:
    """The network that the file at ``path`` plans; holders have their indexes in the order of the file.

    Raises:
        BadPlanError: No such file, no TOML, an unknown or missing key, a URL without a port, or a network that cannot
            be.
    """
    problem = ""
    try:
        return _convert(msgspec.toml.decode(path.read_bytes(), type=_Plan))
    except OSError as error:
        problem = error.strerror or "cannot be read"
    except (msgspec.MsgspecError, ValueError) as error:
        problem = str(error)
    raise BadPlanError(f"{path}: {problem}")


def _convert(file: _Plan) -> NetworkPlan:
    """The file's content in the vocabulary's types; raises ``ValueError``."""
    return NetworkPlan(
        nodes=tuple(
            PlannedNode(
                address=NodeAddress.parse(node.address),
                tier=node.tier,
                name=node.name,
                fhir_url=_url(node.fhir_url),
                exchange_url=_url(node.exchange_url),
                host=node.host,
                database=node.database,
            )
            for node in file.nodes
        ),
        holders=tuple(NodeAddress.parse(node.address) for node in file.nodes if node.holds_share),
        threshold=file.threshold,
    )


def _url(text: str) -> str:
    """A door's URL; raises ``ValueError`` if it is none."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.port is None or parts.path:
        raise ValueError(f"{text} is not https://host:port")
    return text

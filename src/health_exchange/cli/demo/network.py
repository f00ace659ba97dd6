"""The demo's tree: ten nodes of two provinces, a municipality and the nation, each on two loopback ports."""

import os
import socket

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.wiring.plan import NetworkPlan, PlannedNode

HOST = "127.0.0.1"
THRESHOLD = 2

_NODES = (
    ("cn", Tier.NATION, "国家 Nation"),
    ("cn/33", Tier.PROVINCE, "浙江 Zhejiang"),
    ("cn/51", Tier.PROVINCE, "四川 Sichuan"),
    ("cn/31", Tier.PROVINCE, "上海 Shanghai"),
    ("cn/33/3305", Tier.CITY, "湖州 Huzhou"),
    ("cn/51/5101", Tier.CITY, "成都 Chengdu"),
    ("cn/33/3305/330521", Tier.COUNTY, "德清 Deqing"),
    ("cn/51/5101/510121", Tier.COUNTY, "金堂 Jintang"),
    ("cn/31/310115", Tier.COUNTY, "浦东 Pudong"),
    ("cn/51/5100", Tier.ATTACHED, "四川省属医院 Sichuan provincial hospitals"),
)
_HOLDERS = ("cn", "cn/33", "cn/51")
_PORT_BASES = range(18400, 28400, 100)


def demo_plan() -> NetworkPlan:
    """The ten nodes on ports that are free now.

    Raises:
        OSError: Too few ports are free.
    """
    base = free_ports(2 * len(_NODES))
    return NetworkPlan(
        nodes=tuple(
            PlannedNode(
                address=NodeAddress.parse(address),
                tier=tier,
                name=name,
                fhir_url=f"https://{HOST}:{base + 2 * index}",
                exchange_url=f"https://{HOST}:{base + 2 * index + 1}",
            )
            for index, (address, tier, name) in enumerate(_NODES)
        ),
        holders=tuple(map(NodeAddress.parse, _HOLDERS)),
        threshold=THRESHOLD,
    )


def free_ports(count: int) -> int:
    """The first of ``count`` loopback ports in a row that are free now.

    Raises:
        OSError: There is no such row where we look.
    """
    # Whoever looks at the same time, before either listens, begins at another row.
    turn = os.getpid() % len(_PORT_BASES)
    rows: tuple[int, ...] = (*_PORT_BASES[turn:], *_PORT_BASES[:turn])
    base = next((base for base in rows if _all_free(base, count)), None)
    if base is None:
        raise OSError("no free loopback ports between 18400 and 28400")
    return base


def _all_free(base: int, count: int) -> bool:
    """Whether all ports from ``base`` on can be bound."""
    for port in range(base, base + count):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True

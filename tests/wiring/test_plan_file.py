"""A plan as a file: what it says, and what is refused by name."""

from pathlib import Path

import pytest

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.wiring.plan import EMBEDDED, LOOPBACK, NetworkPlan, PlannedNode
from health_exchange.wiring.plan_file import BadPlanError, read_plan

TEXT = """\
threshold = 1

[[nodes]]
address = "cn"
tier = "nation"
name = "Nation"
fhir_url = "https://nation:8443"
exchange_url = "https://nation:8444"
host = "0.0.0.0"
database = "postgresql+psycopg://node@nation-database/node"
holds_share = true

[[nodes]]
address = "cn/330521"
tier = "county"
name = "Deqing"
fhir_url = "https://127.0.0.1:1"
exchange_url = "https://127.0.0.1:2"
"""


def test_a_plan_says_where_nodes_and_their_databases_are(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(TEXT)

    nation = PlannedNode(
        address=NodeAddress.parse("cn"),
        tier=Tier.NATION,
        name="Nation",
        fhir_url="https://nation:8443",
        exchange_url="https://nation:8444",
        host="0.0.0.0",  # noqa: S104  # inside a container
        database="postgresql+psycopg://node@nation-database/node",
    )
    county = PlannedNode(
        address=NodeAddress.parse("cn/330521"),
        tier=Tier.COUNTY,
        name="Deqing",
        fhir_url="https://127.0.0.1:1",
        exchange_url="https://127.0.0.1:2",
        host=LOOPBACK,
        database=EMBEDDED,
    )
    assert read_plan(path) == NetworkPlan(nodes=(nation, county), holders=(nation.address,), threshold=1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("threshold = 1", "threshold = 2"), "threshold of 2 does not fit 1"),
        (('tier = "county"', 'tier = "village"'), "village"),
        (('name = "Deqing"', 'nmae = "Deqing"'), "nmae"),
        (('"cn/330521"', '"cn/33/330521"'), "reports to cn/33"),
        (("https://nation:8443", "http://nation:8443"), "is not https://host:port"),
        (("https://nation:8444", "https://nation"), "is not https://host:port"),
        (("https://nation:8444", "https://nation:many"), "plan.toml"),
        (("[[nodes]]", "[[nodes"), "plan.toml"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(TEXT.replace(*change))

    with pytest.raises(BadPlanError, match=problem):
        read_plan(path)


def test_a_missing_plan_is_told_without_a_trace(tmp_path: Path) -> None:
    with pytest.raises(BadPlanError, match="No such file"):
        read_plan(tmp_path / "none.toml")

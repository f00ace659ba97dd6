"""From a plan to a folder that nodes start from: what is refused, what is signed, what is secret."""

import os
import stat
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from health_exchange.cli.demo.network import demo_plan
from health_exchange.crypto.signatures import SignatureMismatchError
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.powers import Tier
from health_exchange.protocol.directories import open_directory
from health_exchange.wiring.ceremony import Ceremony, hold_ceremony
from health_exchange.wiring.locations import shipped
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.settings import BadSettingsError, read_settings

NATION = NodeAddress.parse("cn")


def planned(address: str, tier: Tier) -> PlannedNode:
    return PlannedNode(
        address=NodeAddress.parse(address),
        tier=tier,
        name=address,
        exchange_url="https://127.0.0.1:9001",
        fhir_url="https://127.0.0.1:9000",
    )


TREE = (
    planned("cn", Tier.NATION),
    planned("cn/33", Tier.PROVINCE),
    planned("cn/51", Tier.PROVINCE),
    planned("cn/33/330521", Tier.COUNTY),
)
HOLDERS = tuple(map(NodeAddress.parse, ("cn", "cn/33", "cn/51")))


@pytest.fixture(scope="module")
def ceremony() -> Ceremony:
    return hold_ceremony(NetworkPlan(nodes=TREE, holders=HOLDERS, threshold=2), randomness=os.urandom)


@pytest.mark.parametrize(
    ("nodes", "holders", "threshold", "problem"),
    [
        (TREE[1:], HOLDERS[1:], 1, "reports to cn"),
        ((planned("cn", Tier.STANDALONE), *TREE[1:]), HOLDERS, 2, "reports to cn, which takes no envelopes"),
        ((*TREE, TREE[0]), HOLDERS, 2, "twice"),
        (TREE, (*HOLDERS[:2], NodeAddress.parse("cn/33/330521")), 2, "may not keep a key share"),
        (TREE, HOLDERS, 4, "threshold of 4"),
        (TREE, HOLDERS, 0, "threshold of 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(
    nodes: tuple[PlannedNode, ...], holders: tuple[NodeAddress, ...], threshold: int, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        NetworkPlan(nodes=nodes, holders=holders, threshold=threshold)


@pytest.mark.enable_socket
def test_in_the_demos_tree_every_log_has_its_parent_and_a_foreign_province_as_witness() -> None:
    plan = demo_plan()
    for node in plan.nodes:
        witnesses = plan.witnesses(node.address)
        assert len(witnesses) == 2
        assert len({witness.province for witness in witnesses}) == 2
        if node.address in plan.holders:
            assert not set(witnesses) & set(plan.holders)
        elif node.address.parent is not None:
            assert node.address.parent in witnesses


def test_the_directory_is_what_the_nation_signed_or_nothing(ceremony: Ceremony) -> None:
    raw, signature = ceremony.signed.raw, ceremony.signed.signature

    assert open_directory(raw, signature, nation=ceremony.nation) == ceremony.signed
    with pytest.raises(SignatureMismatchError):
        open_directory(raw.replace(b"9001", b"9002"), signature, nation=ceremony.nation)


def test_a_networks_folder_is_complete_private_and_never_overwritten(ceremony: Ceremony, tmp_path: Path) -> None:
    root = tmp_path / "network"
    write_network(root, ceremony, clients={}, now=datetime.now(UTC))

    files = [path for path in root.rglob("*") if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    for node in TREE:
        settings = read_settings(node_folder(root, node.address) / "node.toml")
        assert settings.address == str(node.address)
        assert bool(settings.share) is (node.address in HOLDERS)
        assert settings.nation_key == ceremony.directory.nodes[NATION].verifying_key
        assert Path(settings.keys).is_file()
    with pytest.raises(FileExistsError):
        write_network(root, ceremony, clients={}, now=datetime.now(UTC))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("fhir_port = 1", 'fhir_port = "one"'), "fhir_port"),
        (("fhir_port = 1", "fhir_prot = 1"), "fhir_p"),
        (('address = "cn"', 'address = "CN"'), "nation"),
        (("fhir_port = 1", "fhir_port = "), "node.toml"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    key = b64encode(b"k").decode()
    text = f'address = "cn"\nfhir_port = 1\nexchange_port = 2\nnation_key = "{key}"\n' + "".join(
        f'{name} = "x"\n'
        for name in (
            "database",
            "directory",
            "directory_signature",
            "authority",
            "certificate",
            "certificate_key",
            "keys",
            "clients",
        )
    )
    path = tmp_path / "node.toml"
    path.write_text(text)
    assert read_settings(path).fhir_port == 1

    path.write_text(text.replace(*change))
    with pytest.raises(BadSettingsError, match=problem):
        read_settings(path)


def test_a_missing_settings_file_is_told_without_a_trace(tmp_path: Path) -> None:
    with pytest.raises(BadSettingsError, match="No such file"):
        read_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["migrations", "policies", "sample_records"])
def test_what_ships_beside_the_code_is_found(name: str) -> None:
    assert any(shipped(name).iterdir())

"""Both sides of letting a node in, as files: what lies where, what stays secret, what is refused and leaves nothing."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.wiring.test_network import HOLDERS, NATION, TREE

from health_exchange.crypto.certificates import check_pair
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.protocol.enrolment import make_request
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.directory_files import read_directory_files
from health_exchange.wiring.enrolment import Admitted, admit_node, prepare_node
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.settings import Settings, read_settings

NEW = NodeAddress.parse("cn/51/510121")
CARD = NodeCard(
    address=NEW,
    tier=Tier.COUNTY,
    name="Jintang",
    verifying_key=b"",
    box_key=b"",
    log_key=b"",
    exchange_url="https://127.0.0.1:9101",
    fhir_url="https://127.0.0.1:9100",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """A network on disk, a county's folder with its request, and how the nation answers."""

    root: Path
    county: Path
    fingerprint: str
    nation_print: str

    @property
    def nation(self) -> Settings:
        return read_settings(node_folder(self.root, NATION) / "node.toml")

    def admit(
        self,
        *,
        settings: Settings | None = None,
        request: bytes | None = None,
        fingerprint: str | None = None,
        authority_key: Path | None = None,
        answer: str = "answer",
    ) -> Admitted:
        return admit_node(
            settings or self.nation,
            (self.county / "request.json").read_bytes() if request is None else request,
            fingerprint=self.fingerprint if fingerprint is None else fingerprint,
            authority_key=authority_key or self.root / "authority" / "authority.key",
            answer=self.root / answer,
            now=datetime.now(UTC),
            overlap=timedelta(hours=1),
            days=30,
        )


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    root = tmp_path / "net"
    ceremony = hold_ceremony(NetworkPlan(nodes=TREE, holders=HOLDERS, threshold=2), randomness=os.urandom)
    write_network(root, ceremony, clients={}, now=datetime.now(UTC))
    fingerprint, nation_print = prepare_node(
        CARD,
        network=root / "network",
        folder=tmp_path / "county",
        host="127.0.0.1",
        database="sqlite:///node.sqlite",
        randomness=os.urandom,
    )
    return Sides(root=root, county=tmp_path / "county", fingerprint=fingerprint, nation_print=nation_print)


def test_the_countys_folder_is_private_and_its_request_holds_no_secret(sides: Sides) -> None:
    files = {path.name: path for path in sides.county.iterdir()}

    assert set(files) == {"keys.json", "certificate.key", "clients.json", "node.toml", "request.json"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files.values())
    assert stat.S_IMODE(sides.county.stat().st_mode) == 0o700
    assert b"PRIVATE" not in files["request.json"].read_bytes()
    settings = read_settings(files["node.toml"])
    assert (settings.address, settings.nation_key) == (str(NEW), sides.nation.nation_key)


def test_the_answer_lies_as_the_countys_settings_name_it(sides: Sides) -> None:
    admitted = sides.admit()

    answer, settings = sides.root / "answer", read_settings(sides.county / "node.toml")
    named = (settings.certificate, settings.directory, settings.directory_signature, settings.authority)
    copied = [answer / Path(path).relative_to(sides.county) for path in named]
    assert all(path.is_file() for path in copied)
    check_pair(
        copied[0].read_bytes(),
        (sides.county / "certificate.key").read_bytes(),
        copied[3].read_bytes(),
        name=str(NEW),
        now=datetime.now(UTC),
    )
    assert (admitted.serial, admitted.is_new) == (2, True)
    assert len({witness.province for witness in admitted.card.witnesses}) == 2
    assert read_directory_files(sides.nation).directory.nodes[NEW] == admitted.card


def test_the_same_request_again_gets_its_answer_again_and_no_new_directory(sides: Sides) -> None:
    sides.admit()

    again = sides.admit(answer="another")

    assert (again.serial, again.is_new) == (2, False)
    assert (sides.root / "another" / "certificate.pem").is_file()


Change = Callable[[Sides], Admitted]


@pytest.mark.parametrize(
    ("attempt", "problem"),
    [
        (lambda sides: sides.admit(fingerprint="0000"), "another one was told"),
        (lambda sides: sides.admit(fingerprint=""), "let in by the fingerprint"),
        (lambda sides: sides.admit(request=b"{}"), "no request for membership"),
        (lambda sides: sides.admit(authority_key=sides.county / "certificate.key"), "not that of its certificate"),
        (lambda sides: sides.admit(authority_key=sides.root / "nowhere"), "No such file"),
        (lambda sides: sides.admit(answer="network"), "exists already"),
        (
            lambda sides: sides.admit(settings=read_settings(node_folder(sides.root, HOLDERS[1]) / "node.toml")),
            "does not hold the key that signs directories",
        ),
    ],
)
def test_what_is_refused_changes_nothing(sides: Sides, attempt: Change, problem: str) -> None:
    before = read_directory_files(sides.nation).raw

    with pytest.raises(ExchangeError, match=problem):
        attempt(sides)

    assert read_directory_files(sides.nation).raw == before
    assert not (sides.root / "answer").exists()


def test_a_known_node_moves_to_another_host_only_by_its_fingerprint(sides: Sides) -> None:
    sides.admit()
    keys = NodeKeys.from_json((sides.county / "keys.json").read_bytes())
    known = read_directory_files(sides.nation).directory.nodes[NEW]
    raw, fingerprint = make_request(replace(known, fhir_url="https://cn.example:9100"), keys, in_use=keys.signing)

    with pytest.raises(ExchangeError, match="moves to other hosts by the fingerprint"):
        sides.admit(request=raw, fingerprint="", answer="second")
    assert not (sides.root / "second").exists()
    sides.admit(request=raw, fingerprint=fingerprint, answer="second")


def test_a_county_trusts_nothing_that_the_nations_key_did_not_sign(sides: Sides, tmp_path: Path) -> None:
    (sides.root / "network" / "directory.json").write_bytes(b"{}")

    with pytest.raises(ExchangeError, match="signature"):
        prepare_node(
            CARD,
            network=sides.root / "network",
            folder=tmp_path / "other",
            host="127.0.0.1",
            database="sqlite:///node.sqlite",
            randomness=os.urandom,
        )

    assert not (tmp_path / "other").exists()


def test_a_folder_that_exists_is_never_written_into(sides: Sides) -> None:
    with pytest.raises(ExchangeError, match="File exists"):
        prepare_node(
            CARD,
            network=sides.root / "network",
            folder=sides.county,
            host="127.0.0.1",
            database="sqlite:///node.sqlite",
            randomness=os.urandom,
        )

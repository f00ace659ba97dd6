"""A known node changes keys and certificate on disk: asked for, granted, put in place; former ones destroyed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.wiring.test_network import HOLDERS, NATION, TREE

from health_exchange.crypto.boxes import key_id
from health_exchange.crypto.certificates import check_pair
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.node.membership import note_box
from health_exchange.wiring.ceremony import hold_ceremony
from health_exchange.wiring.directory_files import read_directory_files
from health_exchange.wiring.enrolment import Admitted, admit_node
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.network_folder import node_folder, write_network
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.renewal import ask_for_certificate, ask_for_keys, forget_keys, install_certificate
from health_exchange.wiring.settings import Settings, read_settings

PROVINCE, COUNTY = HOLDERS[1], TREE[3].address
ALL = ("signing", "log_seed", "box")


class At:
    """A clock that stands somewhat later than now."""

    def __init__(self, **kwargs: float) -> None:
        self.ahead = timedelta(**kwargs)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Disk:
    """A network's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ceremony = hold_ceremony(NetworkPlan(nodes=TREE, holders=HOLDERS, threshold=2), randomness=os.urandom)
        write_network(root, ceremony, clients={}, now=datetime.now(UTC))

    def settings(self, address: NodeAddress) -> Settings:
        return read_settings(node_folder(self.root, address) / "node.toml")

    def keys(self, address: NodeAddress) -> NodeKeys:
        return NodeKeys.from_json(Path(self.settings(address).keys).read_bytes())

    @property
    def request(self) -> Path:
        return self.root / "request.json"

    def admit(self, answer: str, *, overlap: timedelta = timedelta(hours=1)) -> Admitted:
        return admit_node(
            self.settings(NATION),
            self.request.read_bytes(),
            fingerprint="",
            authority_key=self.root / "authority" / "authority.key",
            answer=self.root / answer,
            now=datetime.now(UTC),
            overlap=overlap,
            days=30,
        )

    def hear(self, address: NodeAddress, origin: NodeAddress) -> None:
        """An envelope of ``origin``, sealed to the node's newest box key, has come."""
        store = open_store(self.settings(address))
        box = read_directory_files(self.settings(NATION)).directory.nodes[address].box_key
        store.write_now(lambda tx: note_box(tx, origin, key_id(box)))
        store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "net")


def later(**kwargs: float) -> datetime:
    return datetime.now(UTC) + timedelta(**kwargs)


def test_keys_asked_for_lie_beside_those_in_use_and_only_public_halves_leave(disk: Disk) -> None:
    before = disk.keys(PROVINCE)

    assert ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())

    after = disk.keys(PROVINCE)
    assert [each.seed for each in after.former.signing] == [before.signing.seed]
    assert after.former.log_seed == (before.log_seed,)
    assert [each.seed for each in after.former.box] == [before.box.seed]
    assert after.at_rest == before.at_rest
    sent = disk.request.read_bytes()
    assert not [seed for seed in (after.signing.seed, after.box.seed, after.log_seed) if seed.raw in sent]


def test_asked_again_before_the_nation_has_answered_the_same_keys_are_asked_for(disk: Disk) -> None:
    ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())
    waiting = disk.keys(PROVINCE)
    disk.request.unlink()

    assert not ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())

    assert disk.keys(PROVINCE).signing.seed == waiting.signing.seed
    assert disk.admit("answer").card.verifying_key == waiting.signing.public.raw


def test_keys_are_not_changed_again_before_the_granted_ones_are_in_use(disk: Disk) -> None:
    ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())
    disk.admit("answer")

    with pytest.raises(ExchangeError, match="not in use yet"):
        ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())


def test_former_keys_are_destroyed_once_nothing_needs_them(disk: Disk) -> None:
    ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())
    waiting = forget_keys(disk.settings(PROVINCE), clock=At())
    disk.admit("answer")
    in_overlap = forget_keys(disk.settings(PROVINCE), clock=At(minutes=61))
    unheard = forget_keys(disk.settings(PROVINCE), clock=At(hours=2))
    disk.hear(PROVINCE, COUNTY)
    done = forget_keys(disk.settings(PROVINCE), clock=At(hours=2))

    assert (waiting.destroyed, in_overlap.destroyed, unheard.destroyed, done.destroyed) == (0, 0, 2, 1)
    assert all("the one after it is not granted yet" in why for why in waiting.kept)
    assert all("is used until" in why for why in in_overlap.kept)
    assert unheard.kept == (f"a sealing key may be needed: nothing sealed to the new one has come yet from {COUNTY}",)
    former = disk.keys(PROVINCE).former
    assert (former.signing, former.log_seed, former.box, done.kept) == ((), (), (), ())


def test_the_key_that_signs_directories_stays_and_goes_on_signing_them(disk: Disk) -> None:
    pinned = disk.settings(NATION).nation_key
    ask_for_keys(disk.settings(NATION), ("signing", "log_seed"), request=disk.request, clock=At())
    disk.admit("answer")

    kept = forget_keys(disk.settings(NATION), clock=At(hours=2))

    assert kept.kept == ("a signing key signs directories: every node's settings pin it",)
    assert disk.keys(NATION).signing_key(pinned) is not None
    ask_for_keys(disk.settings(PROVINCE), ALL, request=disk.request, clock=At())
    assert disk.admit("another").serial == 3


def test_a_certificate_is_asked_for_granted_and_put_in_place_with_its_key(disk: Disk) -> None:
    settings = disk.settings(PROVINCE)
    before = Path(settings.certificate).read_bytes()
    ask_for_certificate(settings, request=disk.request, clock=At())
    assert Path(settings.certificate).read_bytes() == before
    admitted = disk.admit("answer")

    until = install_certificate(settings, answer=disk.root / "answer", now=later(minutes=1))

    assert not admitted.is_new
    pair = [Path(path).read_bytes() for path in (settings.certificate, settings.certificate_key, settings.authority)]
    assert pair[0] != before
    assert check_pair(*pair, name=str(PROVINCE), now=later(minutes=1)) == until


def test_a_certificate_is_not_asked_for_twice_nor_put_in_place_unasked(disk: Disk) -> None:
    settings = disk.settings(PROVINCE)
    with pytest.raises(ExchangeError, match="no key waits for a certificate"):
        install_certificate(settings, answer=disk.root, now=later())
    ask_for_certificate(settings, request=disk.request, clock=At())

    with pytest.raises(ExchangeError, match="waits for its certificate; remove it to ask anew"):
        ask_for_certificate(settings, request=disk.request, clock=At())


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("own old one", "for another private key"),
        ("another node's", "for another private key|not that of"),
        ("too late", "not valid now"),
        ("junk", "cannot be read"),
        ("none", "No such file"),
    ],
)
def test_a_certificate_that_does_not_fit_changes_nothing(disk: Disk, wrong: str, problem: str) -> None:
    settings, answer, now = disk.settings(PROVINCE), disk.root / "answer", later(minutes=1)
    before = Path(settings.certificate).read_bytes(), Path(settings.certificate_key).read_bytes()
    ask_for_certificate(settings, request=disk.request, clock=At())
    disk.admit("answer")
    if wrong == "own old one":
        (answer / "certificate.pem").write_bytes(before[0])
    elif wrong == "another node's":
        (answer / "certificate.pem").write_bytes(Path(disk.settings(COUNTY).certificate).read_bytes())
    elif wrong == "too late":
        now = later(days=31)
    elif wrong == "junk":
        (answer / "certificate.pem").write_bytes(b"junk")
    else:
        (answer / "certificate.pem").unlink()

    with pytest.raises(ExchangeError, match=problem):
        install_certificate(settings, answer=answer, now=now)

    assert (Path(settings.certificate).read_bytes(), Path(settings.certificate_key).read_bytes()) == before

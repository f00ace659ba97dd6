"""``health-exchange network create``: once, complete, each secret where it belongs, and never over something else."""

import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from health_exchange.cli.demo.samples import read_samples
from health_exchange.cli.demo.setting import read_clients
from health_exchange.wiring.network_folder import read_network
from health_exchange.wiring.plan import plan_behind
from health_exchange.wiring.plan_file import read_plan
from health_exchange.wiring.settings import database_password, read_settings

PLANS = Path(__file__).parents[2] / "deploy" / "networks"


def create(plan: str, root: Path) -> subprocess.CompletedProcess[str]:
    words = ("network", "create", "--plan", str(PLANS / f"{plan}.toml"), "--dir", str(root))
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "health_exchange", *words], capture_output=True, text=True, check=False
    )


def digests(root: Path) -> dict[str, str]:
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the small plan; tests leave it as it is."""
    root = tmp_path_factory.mktemp("made") / "network"
    done = create("small", root)
    assert done.returncode == 0, done.stderr
    return root


def test_what_was_made_is_what_was_planned(made: Path) -> None:
    directory, plan = read_network(made), read_plan(PLANS / "small.toml")

    assert directory is not None
    behind = plan_behind(directory)
    assert [(node.address, node.tier, node.fhir_url, node.exchange_url) for node in behind.nodes] == [
        (node.address, node.tier, node.fhir_url, node.exchange_url) for node in plan.nodes
    ]
    assert (behind.holders, behind.threshold) == (plan.holders, plan.threshold)
    assert {facility.client_id for facility in read_samples().facilities} <= set(read_clients(made))


def test_secrets_are_files_of_their_owner_and_what_all_nodes_read_holds_none(made: Path) -> None:
    files = [path for path in made.rglob("*") if path.is_file()]

    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert sorted(path.name for path in (made / "network").iterdir()) == [
        "authority.pem",
        "directory.json",
        "directory.sig",
        "nation.key",
    ]
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in (made / "network").iterdir())


def test_a_database_server_is_told_its_nodes_password_and_no_others(made: Path) -> None:
    passwords = set()
    for folder in (made / "nodes").iterdir():
        settings = read_settings(folder / "node.toml")
        password = database_password(settings)
        assert password is not None
        assert settings.host == "0.0.0.0"  # noqa: S104  # inside a container
        assert (made / "databases" / folder.name / "node-password").read_bytes() == password.raw
        assert password.raw.decode() not in settings.database
        passwords.add(password.raw)
        passwords |= {path.read_bytes() for path in (made / "databases" / folder.name).iterdir()}
    assert len(passwords) == 15


def test_a_nodes_folder_is_all_it_needs(made: Path) -> None:
    for folder in (made / "nodes").iterdir():
        settings = read_settings(folder / "node.toml")
        for named in (settings.directory, settings.authority, settings.keys, settings.certificate):
            assert Path(named).resolve().is_relative_to(folder.resolve())
            assert Path(named).is_file()


def test_making_it_again_changes_nothing(made: Path) -> None:
    before = digests(made)

    again = create("small", made)

    assert (again.returncode, digests(made)) == (0, before)
    assert "already" in again.stdout


def test_another_network_is_not_overwritten(made: Path) -> None:
    before = digests(made)

    other = create("national", made)

    assert (other.returncode, digests(made)) == (1, before)
    assert "holds another network, of 5 nodes" in other.stderr


def test_half_a_network_is_told_and_not_continued(tmp_path: Path) -> None:
    assert create("small", tmp_path).returncode == 0
    (tmp_path / "network" / "directory.sig").unlink()

    again = create("small", tmp_path)

    assert again.returncode == 1
    assert "begun once and not finished" in again.stderr

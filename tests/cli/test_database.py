"""``health-exchange database`` as an operator meets it: what it prints and how it leaves."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from tests.databases import NODE_ROLE, PostgresqlServer
from tests.federation.network import SMALL, ceremony_of

from health_exchange.cli.main import main
from health_exchange.model.addresses import NodeAddress
from health_exchange.store import migrations

COUNTY = NodeAddress.parse("cn/33/3305/330521")


def settings_file(folder: Path, database: str) -> Path:
    (folder / "keys.json").write_bytes(ceremony_of(SMALL).keys[COUNTY].to_json())
    lines = [
        f'address = "{COUNTY}"',
        "fhir_port = 1",
        "exchange_port = 2",
        f'database = "{database}"',
        'nation_key = ""',
    ]
    names = ("directory", "directory_signature", "authority", "certificate", "certificate_key", "clients")
    lines += [f'{name} = "{name}"' for name in names] + ['keys = "keys.json"']
    path = folder / "node.toml"
    path.write_text("\n".join(lines))
    return path


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main(["database", *map(str, arguments)])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_a_schema_is_checked_upgraded_and_checked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = settings_file(tmp_path, "sqlite:///node.sqlite")
    migrations.upgrade(f"sqlite:///{tmp_path}/node.sqlite", "0004")
    assert run("check", "--settings", settings) == 1
    assert "run health-exchange database upgrade" in capsys.readouterr().err
    assert run("current", "--settings", settings) == 0
    assert "pending: 0010" in capsys.readouterr().out
    assert run("upgrade", "--settings", settings) == 0
    assert run("upgrade", "--settings", settings) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert run("check", "--settings", settings) == 0


def test_on_postgresql_the_owner_makes_the_tables_and_the_node_gets_its_rights(
    tmp_path: Path, postgresql: PostgresqlServer, capsys: pytest.CaptureFixture[str]
) -> None:
    name = postgresql.new_database("template0")
    settings = settings_file(tmp_path, postgresql.url(name, NODE_ROLE))
    assert run("upgrade", "--settings", settings) != 0
    capsys.readouterr()
    assert run("upgrade", "--settings", settings, "--owner", "postgres") == 0
    assert run("check", "--settings", settings) == 0
    engine = create_engine(postgresql.url(name, NODE_ROLE))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM shreds")).scalar_one() == 0
    engine.dispose()


def test_a_backup_is_made_and_restored_by_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, key, folder = (
        settings_file(tmp_path, "sqlite:///node.sqlite"),
        tmp_path / "recovery",
        tmp_path / "backups",
    )
    assert run("upgrade", "--settings", settings) == 0
    assert run("recovery-key", key) == 0
    backup = ("backup", "--settings", settings, "--recovery-key", f"{key}.pub", "--folder", folder)
    assert run(*backup) == 0
    assert run(*backup, "--keys-only") == 0
    (bulk,), keys = folder.glob("*.bulk"), max(folder.glob("*.keys"))
    files = ("--bulk", bulk, "--keys", keys)
    capsys.readouterr()
    (tmp_path / "node.sqlite").unlink()
    assert run("restore", "--settings", settings, "--recovery-key", f"{key}.pub", *files) == 2
    assert "not a file that begins with" in capsys.readouterr().err
    assert run("restore", "--settings", settings, "--recovery-key", key, *files) == 0
    assert f"database rejoin --settings {settings}" in capsys.readouterr().out
    assert run(*backup) == 2
    assert "has not rejoined" in capsys.readouterr().err

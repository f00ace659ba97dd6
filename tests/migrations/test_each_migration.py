"""Each migration on data: up and down, beside the release before it, and in bounded time; what is refused."""

import ast
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import create_engine, text
from tests.databases import KINDS, NODE_ROLE, PostgresqlServer
from tests.migrations.rows import ROWS, content, fill, lost, narrowed, tables

from health_exchange.model.clock import SystemClock
from health_exchange.model.errors import UnavailableError
from health_exchange.model.secrecy import Secret
from health_exchange.store import migrations
from health_exchange.store.engine import Store, StoreKeys
from health_exchange.store.migrations import SchemaError
from health_exchange.store.opening import open_database

FOLDER = migrations.folder() / "versions"
FILES = sorted(FOLDER.glob("*.py"))
REVISIONS = [path.name[:4] for path in FILES]
KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
ADDS = {"create_table", "create_index", "add_column", "drop_index", "get_context", "get_bind", "f"}
"""What leaves the release before working: tables, columns and indexes more, indexes less."""
EXCEPTIONS = {("0004", "drop_table"), ("0015", "execute")}
"""On PostgreSQL: where no release ran before, its tokens are in their rows; a setting of an index changes no row."""


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as its owner."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/node.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.url(server.new_database("template0"))


@pytest.mark.parametrize(("before", "revision"), list(pairwise(REVISIONS)))
def test_a_migration_keeps_every_row_up_and_down_and_lets_the_release_before_write(
    url: str, before: str, revision: str
) -> None:
    migrations.upgrade(url, before)
    engine = create_engine(url)
    with engine.connect() as connection:
        old = tables(connection)
        fill(connection, old)
        first = content(connection)
        migrations.upgrade_connection(connection, revision)
        upgraded = content(connection)
        dropped = first.keys() - upgraded.keys()
        assert dropped <= ({"tokens"} if (revision, engine.name) == ("0004", "postgresql") else set())
        kept = {name: rows for name, rows in first.items() if name not in dropped}
        assert lost(kept, narrowed(upgraded, kept)) == []
        # The release before goes on beside the new schema: it writes rows as it knows them.
        fill(connection, {name: table for name, table in old.items() if name not in dropped}, start=11)
        both = content(connection)
        assert all(len(both[name]) >= len(rows) + ROWS for name, rows in kept.items())
    engine.dispose()
    migrations.downgrade(url, before)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert lost(kept, narrowed(content(connection), kept)) == []
    engine.dispose()


def test_who_goes_back_before_0015_has_readable_answers_and_knows_of_no_row_with_later_tokens(url: str) -> None:
    answers = {"folded": b'{"results":[]}' * 40, "plain": b'{"results":[]}', "emptied": b""}
    migrations.upgrade(url, "0015")
    engine = create_engine(url)
    keep = text("INSERT INTO answered (key, digest, body, kept_at) VALUES (:key, :digest, :body, :at)")
    note = text("INSERT INTO node_state (name, value) VALUES (:name, :value)")
    with engine.begin() as connection:
        for key, body in answers.items():
            kept = zstandard.ZstdCompressor().compress(body) if key == "folded" else body
            connection.execute(keep, {"key": key, "digest": b"d", "body": kept, "at": "2026"})
        for name in ("cursor:token-generation", "cursor:tokens-anew", "run"):
            connection.execute(note, {"name": name, "value": b"3"})
    migrations.downgrade(url, "0014")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT key, body FROM answered"))
        assert {key: bytes(body) for key, body in rows} == answers
        assert "run" in connection.execute(text("SELECT name FROM node_state")).scalars().all()
        assert not connection.execute(text("SELECT name FROM node_state WHERE name LIKE 'cursor:token%'")).all()
    engine.dispose()


@pytest.mark.parametrize("path", FILES[1:], ids=lambda path: path.stem)
def test_a_migration_only_adds_so_that_the_release_before_goes_on(path: Path) -> None:
    tree = ast.parse(path.read_text())
    upgrade = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade")
    calls = [
        (node.func.attr, node)
        for node in ast.walk(upgrade)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith("op.")
        and isinstance(node.func, ast.Attribute)
    ]
    assert calls
    for name, call in calls:
        assert name in ADDS or (path.name[:4], name) in EXCEPTIONS
        if name == "add_column":
            # Rows that the release before writes do not have it.
            assert "server_default" in ast.unparse(call) or "nullable=False" not in ast.unparse(call)


def test_a_table_in_use_makes_a_migration_give_up_soon_and_change_nothing(postgresql: PostgresqlServer) -> None:
    url = postgresql.url(postgresql.new_database("template0"))
    alters = REVISIONS.index("0011")  # adds a column to the table that is in use
    migrations.upgrade(url, REVISIONS[alters - 1])
    engine = create_engine(url)
    with engine.connect() as busy:
        busy.execute(text("SELECT count(*) FROM outbox"))  # a long look at a table, not committed
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="LockNotAvailable"):
            migrations.upgrade_at(open_database(url))
        waited = time.monotonic() - began
    with engine.connect() as connection:
        assert migrations.standing_of(connection).revision == REVISIONS[alters - 1]
        assert "shreds" not in tables(connection)
    engine.dispose()
    assert waited < 30  # the bound is four seconds; the machine may be busy
    assert migrations.upgrade_at(open_database(url)) == tuple(REVISIONS[alters:])


def test_a_schema_of_a_later_release_is_refused_with_what_to_do(url: str) -> None:
    migrations.upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("UPDATE node_state SET value = :by WHERE name = 'upgraded-by'"), {"by": b"9.8.7"})
        connection.commit()
    engine.dispose()
    with pytest.raises(
        SchemaError, match=r"schema 9999, made by release 9\.8\.7.*start release 9\.8\.7 or a later one"
    ):
        Store.open(url, KEYS, SystemClock(), os.urandom, inline=True)
    with pytest.raises(SchemaError):
        migrations.upgrade_at(open_database(url))


def test_a_node_whose_role_may_not_change_an_older_schema_names_the_command(postgresql: PostgresqlServer) -> None:
    name = postgresql.new_database("template0")
    migrations.upgrade(postgresql.url(name), REVISIONS[-2])
    postgresql.execute(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {NODE_ROLE}", database=name
    )
    with pytest.raises(SchemaError, match="health-exchange database upgrade, as the role that owns the tables"):
        Store.open(postgresql.url(name, NODE_ROLE), KEYS, SystemClock(), os.urandom, inline=True)

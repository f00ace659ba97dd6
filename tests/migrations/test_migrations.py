"""The schema goes up and down, and ends where the code expects it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from tests.databases import KINDS, PostgresqlServer

from health_exchange.store import migrations
from health_exchange.store.schema import METADATA


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, as its owner."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/node.db"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.url(server.new_database("template0"))


def test_the_migrations_go_up_down_and_up_again_and_end_at_the_schema_of_the_code(url: str) -> None:
    migrations.upgrade(url)
    migrations.downgrade(url)
    engine = create_engine(url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrations.upgrade(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _is_of(engine.dialect.name)})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def _is_of(dialect: str) -> Callable[..., bool]:
    """What one database has of the schema."""
    return lambda found, *_rest: found.info.get("only") in {None, dialect}

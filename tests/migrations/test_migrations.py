"""The schema goes up and down, and ends where the code expects it."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from health_exchange.store import migrations
from health_exchange.store.schema import METADATA


def test_the_migrations_go_up_down_and_up_again_and_end_at_the_schema_of_the_code(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/node.db"
    migrations.upgrade(url)
    migrations.downgrade(url)
    engine = create_engine(url)
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    migrations.upgrade(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()

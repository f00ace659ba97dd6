"""The roles of a node's database, by trying: what each may do, and what it is refused."""

import os
from collections.abc import Iterator

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from tests.databases import PostgresqlServer

from health_exchange.model.clock import SystemClock
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.store import audit_log, migrations, roles, shredding, subjects
from health_exchange.store.engine import Store, StoreKeys
from health_exchange.store.schema import METADATA

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
OWNER, NODE, AUDITOR = "hx_owner", "hx_node", "hx_auditor"
LOG = ("audit_entries", "audit_subjects", "audit_references", "checkpoints", "cosignatures")


@pytest.fixture
def database(postgresql: PostgresqlServer) -> Iterator[str]:
    """A database that the migration role made, with rights given; its name."""
    name = postgresql.new_database(template="template0")
    for role in (OWNER, NODE, AUDITOR):
        postgresql.execute(f"CREATE ROLE {role} LOGIN")
    postgresql.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    postgresql.execute(f"ALTER SCHEMA public OWNER TO {OWNER}", database=name)
    owner = create_engine(postgresql.url(name, OWNER))
    with owner.connect() as connection:
        migrations.upgrade_connection(connection)
        roles.grant(connection, node=NODE, auditor=AUDITOR)
        connection.commit()
    owner.dispose()
    yield name
    postgresql.drop_databases()
    for role in (OWNER, NODE, AUDITOR):
        postgresql.execute(f"DROP ROLE {role}")


@pytest.fixture
def store(postgresql: PostgresqlServer, database: str) -> Iterator[Store]:
    """A node's store under the node's role, with an entry in its log."""
    opened = Store.open(postgresql.url(database, NODE), KEYS, SystemClock(), os.urandom)
    opened.claim("a-run")
    person = Pseudonym("a" * 26)
    opened.write_now(lambda tx: subjects.find_or_make_subject(tx, anchor="Patient/1", pseudonym=person))
    opened.write_now(lambda tx: audit_log.append(tx, [audit_log.NewEntry(b"entry", b"1" * 32, [person], "r")]))
    opened.write_now(lambda tx: audit_log.save_checkpoint(tx, 1, b"note"))
    yield opened
    opened.close()


def engine_of(server: PostgresqlServer, database: str, role: str) -> Engine:
    return create_engine(server.url(database, role))


def is_refused(engine: Engine, statement: str) -> bool:
    """Whether the server refuses it for want of rights."""
    refusal: BaseException | None = None
    with engine.connect() as connection:
        try:
            connection.execute(text(statement))
        except DBAPIError as error:
            refusal = error.orig
    if refusal is not None and not isinstance(refusal, InsufficientPrivilege):
        raise refusal
    return refusal is not None


def test_a_node_does_its_work_under_its_role(store: Store) -> None:
    assert store.write_now(lambda tx: shredding.shred(tx, Pseudonym("a" * 26))) == 0
    store.write_now(lambda tx: audit_log.destroy_period(tx, "2026-01"))
    assert store.read_now(audit_log.size) == 1


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("table", LOG)
def test_the_nodes_role_neither_changes_nor_deletes_what_stands_in_the_log(
    postgresql: PostgresqlServer, database: str, table: str
) -> None:
    engine = engine_of(postgresql, database, NODE)
    column = next(iter(METADATA.tables[table].columns.keys()))
    assert is_refused(engine, f"UPDATE {table} SET {column} = {column}")  # noqa: S608  # names of ours
    assert is_refused(engine, f"DELETE FROM {table}")  # noqa: S608  # names of ours
    assert is_refused(engine, f"TRUNCATE {table}")
    engine.dispose()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit_entries ADD COLUMN more text",
        "DROP TABLE audit_entries",
        "CREATE TABLE mine (x int)",
        "CREATE TRIGGER t BEFORE INSERT ON audit_entries EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
        "UPDATE alembic_version SET version_num = '0001'",
        f"SET ROLE {OWNER}",
    ],
)
def test_the_nodes_role_alters_nothing(postgresql: PostgresqlServer, database: str, statement: str) -> None:
    engine = engine_of(postgresql, database, NODE)
    assert is_refused(engine, statement)
    engine.dispose()


@pytest.mark.usefixtures("store")
def test_the_audit_reader_sees_the_log_alone_and_changes_nothing(postgresql: PostgresqlServer, database: str) -> None:
    engine = engine_of(postgresql, database, AUDITOR)
    tables = [name for name, table in METADATA.tables.items() if table.info.get("only") in {None, "postgresql"}]
    tables.append("alembic_version")
    seen = {table for table in tables if not is_refused(engine, f"SELECT 1 FROM {table}")}  # noqa: S608  # names of ours
    changed = {
        table
        for table in tables
        for statement in (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES")  # noqa: S608  # names of ours
        if not is_refused(engine, statement)
    }
    assert seen == set(roles.AUDIT_TABLES)
    assert changed == set()
    engine.dispose()

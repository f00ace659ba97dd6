"""Alembic's entry: works on the connection that ``store.migrations`` hands over, never on a URL of its own."""

from alembic import context

from health_exchange.store.schema import METADATA

LOCK_S = 4
STATEMENT_S = 900

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    if context.get_context().dialect.name == "postgresql":
        # A change that waits for a table makes everybody wait behind it, so it waits briefly; the node goes on.
        context.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
        context.execute(f"SET LOCAL statement_timeout = '{STATEMENT_S}s'")
    context.run_migrations()

"""Alembic's entry: works on the connection that ``store.migrations`` hands over, never on a URL of its own."""

from alembic import context

from health_exchange.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

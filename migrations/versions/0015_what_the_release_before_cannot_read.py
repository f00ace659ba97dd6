"""Codes have tokens of their quarters and kept answers are compressed: the release before knows neither.

Neither is this migration's work on the way up (``search.reindexing``, ``store.answered``). Who goes back has his
answers unpacked, and forgets which rows have this release's tokens: no row that the release before writes is passed
over then.

What was written last to PostgreSQL's index of tokens stands in a list that every search reads through. It is kept
short: with the 4 MB of a server's default, a search cost it twice as much after each load.
"""

import sqlalchemy as sa
import zstandard
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_COMPRESSED = b"\x28\xb5\x2f\xfd"
_KEYS = sa.text("SELECT key FROM answered ORDER BY key")
_BODY = sa.text("SELECT body FROM answered WHERE key = :key")
_UNPACKED = sa.text("UPDATE answered SET body = :body WHERE key = :key")


def upgrade() -> None:
    """Keep the list short."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER INDEX ix_resources_tokens SET (gin_pending_list_limit = 256)")


def downgrade() -> None:
    """Let it be as long as the server has it, unpack, forget."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER INDEX ix_resources_tokens RESET (gin_pending_list_limit)")
    connection = op.get_bind()
    for key in connection.execute(_KEYS).scalars().all():
        body = bytes(connection.execute(_BODY, {"key": key}).scalar_one())
        if body.startswith(_COMPRESSED):
            connection.execute(_UNPACKED, {"key": key, "body": zstandard.ZstdDecompressor().decompress(body)})
    op.execute("DELETE FROM node_state WHERE name IN ('cursor:token-generation', 'cursor:tokens-anew')")

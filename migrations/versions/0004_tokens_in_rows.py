"""Tokens stand in the row they lead to; changes and log entries are found by the number they were written with.

The release before works with it: it writes rows without a list, whose tokens are dropped by a search through the table,
and numbers what it adds itself.
"""

from array import array
from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BATCH = 5_000
_RESOURCES = sa.table("resources", sa.column("rid", sa.BigInteger), sa.column("tokens", sa.LargeBinary))
_PAIRS = sa.text("SELECT rid, token FROM tokens WHERE rid > :after AND rid <= :last ORDER BY rid, token")


def upgrade() -> None:
    """Put the lists into the rows."""
    if op.get_context().dialect.name == "postgresql":
        op.add_column("resources", sa.Column("tokens", sa.ARRAY(sa.BigInteger())))
        op.create_index("ix_resources_tokens", "resources", ["tokens"], postgresql_using="gin")
        op.drop_table("tokens")
    else:
        op.add_column("resources", sa.Column("tokens", sa.LargeBinary()))
        _fill()
        op.drop_index("ix_tokens_rid", table_name="tokens")
    op.drop_index("ix_feed_number", table_name="feed")
    op.drop_index("ix_audit_entries_position", table_name="audit_entries")


def _fill() -> None:
    """Every row's list, some thousand rows at a time."""
    connection = op.get_bind()
    end = connection.execute(sa.text("SELECT max(rid) FROM resources")).scalar_one() or 0
    for after in range(0, end, _BATCH):
        pairs = connection.execute(_PAIRS, {"after": after, "last": after + _BATCH})
        lists = [
            {"of": rid, "listed": array("q", [pair.token for pair in group]).tobytes()}
            for rid, group in groupby(pairs, key=lambda pair: pair.rid)
        ]
        if lists:
            statement = sa.update(_RESOURCES).where(_RESOURCES.c.rid == sa.bindparam("of"))
            connection.execute(statement.values(tokens=sa.bindparam("listed")), lists)


def downgrade() -> None:
    """Take them out again."""
    op.create_index("ix_audit_entries_position", "audit_entries", ["position"], unique=True)
    op.create_index("ix_feed_number", "feed", ["number"], unique=True)
    if op.get_context().dialect.name == "postgresql":
        op.create_table(
            "tokens",
            sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.Column("rid", sa.BigInteger(), autoincrement=False, nullable=False),
            sa.PrimaryKeyConstraint("token", "rid", name=op.f("pk_tokens")),
        )
        op.execute("INSERT INTO tokens SELECT DISTINCT unnest(tokens), rid FROM resources")
        op.drop_index("ix_resources_tokens", table_name="resources")
    op.create_index("ix_tokens_rid", "tokens", ["rid"], unique=False)
    op.drop_column("resources", "tokens")

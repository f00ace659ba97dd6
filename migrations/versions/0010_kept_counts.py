"""Counts that status tells are kept instead of counted anew; envelopes say since when they wait.

The release before goes on working on this schema, but counts nothing: after going back to it and forward again, take
the schema down to 0004 and up once, which counts everything anew.
"""

from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0004"
branch_labels = None
depends_on = None

_KEPT = """
    INSERT INTO tallies (sid, pseudonym, province, resources)
    SELECT resources.sid, max(subjects.pseudonym), substr(max(resources.origin), 1, 5), count(*)
    FROM resources JOIN subjects ON subjects.sid = resources.sid
    WHERE NOT resources.deleted GROUP BY resources.sid
"""
_TOTALS = {
    "kept:resources": "SELECT coalesce(sum(resources), 0) FROM tallies",
    "kept:persons": "SELECT count(DISTINCT pseudonym) FROM tallies",
    "kept:persons-across-provinces": """
        SELECT count(*) FROM (
            SELECT pseudonym FROM tallies WHERE pseudonym IS NOT NULL
            GROUP BY pseudonym HAVING count(DISTINCT province) > 1
        ) AS several
    """,
}
_STANDINGS = "SELECT recipients, held, count(*) AS number FROM exports GROUP BY recipients, held"
_COUNT = sa.text("INSERT INTO counters (name, day, value) VALUES (:name, 'all', :value)")


def upgrade() -> None:
    """Make the tables and count once what is there."""
    op.create_table(
        "tally_changes",
        sa.Column("sid", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "tallies",
        sa.Column("sid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=True),
        sa.Column("province", sa.Text(), nullable=False),
        sa.Column("resources", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_tallies")),
    )
    op.create_index("ix_tallies_pseudonym", "tallies", ["pseudonym"], unique=False)
    connection = op.get_bind()
    connection.execute(sa.text(_KEPT))
    counted: Counter[str] = Counter(
        {name: connection.execute(sa.text(statement)).scalar_one() for name, statement in _TOTALS.items()}
    )
    for row in connection.execute(sa.text(_STANDINGS)):
        for name in [f"held:{row.held}"] * bool(row.held) + [f"shared:{node}" for node in row.recipients.split()]:
            counted[name] += row.number
    # What is not there is counted by no row: an empty database stays empty, so that a backup can be loaded into it.
    for name, value in sorted(counted.items()):
        if value:
            connection.execute(_COUNT, {"name": name, "value": int(value)})
    # After the counting, which takes longest: these hold up whoever sends and receives until the end.
    op.create_index(
        "ix_outbox_receipts_awaited",
        "outbox_receipts",
        ["recipient"],
        unique=False,
        sqlite_where=sa.text("raw IS NULL"),
        postgresql_where=sa.text("raw IS NULL"),
    )
    op.add_column("outbox", sa.Column("queued_at", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop them, and the counts."""
    op.execute(
        "DELETE FROM counters WHERE day = 'all' AND (name LIKE 'kept:%' OR name LIKE 'held:%' OR name LIKE 'shared:%')"
    )
    op.drop_column("outbox", "queued_at")
    op.drop_index("ix_outbox_receipts_awaited", table_name="outbox_receipts")
    op.drop_index("ix_tallies_pseudonym", table_name="tallies")
    op.drop_table("tallies")
    op.drop_table("tally_changes")

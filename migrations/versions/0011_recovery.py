"""What a lost database is made good with: who is to be forgotten, and how far the feed went with each envelope."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table the release before does not need, and a column that it leaves empty."""
    op.create_table(
        "shreds",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("shredded_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "pseudonym", name=op.f("pk_shreds")),
    )
    op.create_index("ix_shreds_shredded_at", "shreds", ["shredded_at"], unique=False)
    op.add_column("outbox", sa.Column("sent_up_to", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("outbox", "sent_up_to")
    op.drop_index("ix_shreds_shredded_at", table_name="shreds")
    op.drop_table("shreds")

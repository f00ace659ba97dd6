"""Refusals can be found by the reference that the refused was given."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index; refusals before it stay without."""
    op.create_table(
        "audit_references",
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("reference", "entry_id", name=op.f("pk_audit_references")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("audit_references")

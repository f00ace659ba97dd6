"""Histories are read by when versions were made."""

from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add indexes that the release before does not need."""
    op.create_index("ix_resources_type_changed_at", "resources", ["type", "changed_at"], unique=False)
    op.create_index("ix_history_type_changed_at", "history", ["type", "changed_at"], unique=False)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_history_type_changed_at", table_name="history")
    op.drop_index("ix_resources_type_changed_at", table_name="resources")

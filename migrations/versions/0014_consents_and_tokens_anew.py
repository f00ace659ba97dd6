"""Consent classes are found by an index; rows whose tokens an earlier release made get those of this one afterwards.

The tokens are not this migration's work: a node gives them to its rows beside everything else (``search.reindexing``),
and notes how far it has come. Who goes back forgets that: no row that the release before writes is passed over then.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add an index that the release before does not need."""
    op.create_index("ix_subjects_consent", "subjects", ["consent"], unique=False)


def downgrade() -> None:
    """Drop it, and forget which rows have this release's tokens."""
    op.execute("DELETE FROM node_state WHERE name IN ('cursor:token-generation', 'cursor:tokens-anew')")
    op.drop_index("ix_subjects_consent", table_name="subjects")

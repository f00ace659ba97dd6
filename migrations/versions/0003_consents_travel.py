"""Consents with conditions: when they change by themselves, what those above were told, and what took it there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that the release before does not know, and tables it does not need."""
    op.add_column("subjects", sa.Column("consent_changes_at", sa.Text(), nullable=True))
    op.create_index("ix_subjects_consent_changes_at", "subjects", ["consent_changes_at"], unique=False)
    op.add_column("locators", sa.Column("consent", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "notices",
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "kind", "stream", "sequence", name=op.f("pk_notices")),
    )
    op.create_table(
        "erasures",
        sa.Column("case_reference", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("erased_at", sa.Text(), nullable=False),
        sa.Column("resources", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("case_reference", name=op.f("pk_erasures")),
    )


def downgrade() -> None:
    """Drop them; conditions in ``subjects.consent`` are texts that the release before reads as objecting to all."""
    op.drop_table("erasures")
    op.drop_table("notices")
    op.drop_column("locators", "consent")
    op.drop_index("ix_subjects_consent_changes_at", table_name="subjects")
    op.drop_column("subjects", "consent_changes_at")

"""First tables: everything a node of the first release keeps."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:  # one statement a table, in one place
    """Make all tables."""
    op.create_table(
        "answered",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_answered")),
    )
    op.create_index("ix_answered_kept_at", "answered", ["kept_at"], unique=False)
    op.create_table(
        "audit_entries",
        sa.Column("entry_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_position", "audit_entries", ["position"], unique=True)
    op.create_table(
        "audit_periods",
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("key_wrapped", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_audit_periods")),
    )
    op.create_table(
        "audit_subjects",
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "entry_id", name=op.f("pk_audit_subjects")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "classes",
        sa.Column("class_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sensitivity", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("class_id", name=op.f("pk_classes")),
    )
    op.create_table(
        "cosignatures",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", "witness", name=op.f("pk_cosignatures")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "day", name=op.f("pk_counters")),
    )
    op.create_table(
        "exports",
        sa.Column("rid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("held", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rid", name=op.f("pk_exports")),
    )
    op.create_index("ix_exports_held", "exports", ["held"], unique=False)
    op.create_table(
        "feed",
        sa.Column("change_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("rid", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("sid", sa.BigInteger(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_feed")),
    )
    op.create_index("ix_feed_number", "feed", ["number"], unique=True)
    op.create_table(
        "history",
        sa.Column("rid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sid", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("class_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.Column("instant", sa.Text(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("rid", "version", name=op.f("pk_history")),
    )
    op.create_index("ix_history_sid", "history", ["sid"], unique=False)
    op.create_index("ix_history_type_id", "history", ["type", "id"], unique=False)
    op.create_table(
        "identity_cache",
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_identity_cache")),
    )
    op.create_table(
        "locators",
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "node", name=op.f("pk_locators")),
    )
    op.create_table(
        "node_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_node_state")),
    )
    op.create_table(
        "outbox",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("delivered", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_delivered_position", "outbox", ["delivered", "position"], unique=False)
    op.create_index("ix_outbox_stream_sequence", "outbox", ["stream", "sequence"], unique=True)
    op.create_table(
        "outbox_receipts",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("stream", "sequence", "recipient", name=op.f("pk_outbox_receipts")),
    )
    op.create_table(
        "pending",
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("sid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tag", "sid", name=op.f("pk_pending")),
    )
    op.create_index("ix_pending_sid", "pending", ["sid"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_receipts")),
    )
    op.create_index(
        "ix_receipts_stream_sequence_recipient", "receipts", ["stream", "sequence", "recipient"], unique=True
    )
    op.create_table(
        "refused",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "sequence", name=op.f("pk_refused")),
    )
    op.create_table(
        "replays",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name=op.f("pk_replays")),
    )
    op.create_index("ix_replays_expires_at", "replays", ["expires_at"], unique=False)
    op.create_table(
        "resources",
        sa.Column("rid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sid", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("class_id", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.Column("instant", sa.Text(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("rid", name=op.f("pk_resources")),
    )
    op.create_index("ix_resources_sid_type_instant", "resources", ["sid", "type", "instant"], unique=False)
    op.create_index("ix_resources_type_id", "resources", ["type", "id"], unique=True)
    op.create_table(
        "sequences",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sequences")),
    )
    op.create_table(
        "streams",
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_streams")),
    )
    op.create_table(
        "subjects",
        sa.Column("sid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("anchor", sa.Text(), nullable=True),
        sa.Column("pseudonym", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("key_wrapped", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("sid", name=op.f("pk_subjects")),
    )
    op.create_index("ix_subjects_anchor", "subjects", ["anchor"], unique=True)
    op.create_index("ix_subjects_pseudonym", "subjects", ["pseudonym"], unique=False)
    op.create_table(
        "tiles",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_tiles")),
    )
    op.create_table(
        "tokens",
        sa.Column("token", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("token", "rid", name=op.f("pk_tokens")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tokens_rid", "tokens", ["rid"], unique=False)
    op.create_table(
        "witnessed",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_witnessed")),
    )


def downgrade() -> None:
    """Drop all tables."""
    op.drop_table("witnessed")
    op.drop_index("ix_tokens_rid", table_name="tokens")
    op.drop_table("tokens")
    op.drop_table("tiles")
    op.drop_index("ix_subjects_pseudonym", table_name="subjects")
    op.drop_index("ix_subjects_anchor", table_name="subjects")
    op.drop_table("subjects")
    op.drop_table("streams")
    op.drop_table("sequences")
    op.drop_index("ix_resources_type_id", table_name="resources")
    op.drop_index("ix_resources_sid_type_instant", table_name="resources")
    op.drop_table("resources")
    op.drop_index("ix_replays_expires_at", table_name="replays")
    op.drop_table("replays")
    op.drop_table("refused")
    op.drop_index("ix_receipts_stream_sequence_recipient", table_name="receipts")
    op.drop_table("receipts")
    op.drop_index("ix_pending_sid", table_name="pending")
    op.drop_table("pending")
    op.drop_table("outbox_receipts")
    op.drop_index("ix_outbox_stream_sequence", table_name="outbox")
    op.drop_index("ix_outbox_delivered_position", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("node_state")
    op.drop_table("locators")
    op.drop_table("identity_cache")
    op.drop_index("ix_history_type_id", table_name="history")
    op.drop_index("ix_history_sid", table_name="history")
    op.drop_table("history")
    op.drop_index("ix_feed_number", table_name="feed")
    op.drop_table("feed")
    op.drop_index("ix_exports_held", table_name="exports")
    op.drop_table("exports")
    op.drop_table("counters")
    op.drop_table("cosignatures")
    op.drop_table("classes")
    op.drop_table("checkpoints")
    op.drop_table("audit_subjects")
    op.drop_table("audit_periods")
    op.drop_index("ix_audit_entries_position", table_name="audit_entries")
    op.drop_table("audit_entries")
    op.drop_index("ix_answered_kept_at", table_name="answered")
    op.drop_table("answered")

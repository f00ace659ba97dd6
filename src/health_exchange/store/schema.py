"""The tables of one node: one schema for SQLite and PostgreSQL.

Instants are ISO 8601 text in UTC, because text sorts the same everywhere and comes back as it was written. Row numbers
come from ``sequences`` and not from the database, so that a transaction knows them before it inserts in bulk.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

from health_exchange.store.token_lists import TokenList

METADATA = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)

ONLY_POSTGRESQL = {"only": "postgresql"}
ONLY_SQLITE = {"only": "sqlite"}
"""Marks what one database has and the other does by other means (``token_index``)."""

_VERSION = ("type", "id", "sid", "origin", "version", "class_id", "changed_at", "instant", "deleted", "body")


def _key(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _version_columns() -> list[Column[object]]:
    """What a current resource and its history rows share."""
    return [
        Column("type", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("sid", BigInteger, nullable=False),
        Column("origin", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("class_id", BigInteger, nullable=False),
        Column("changed_at", Text, nullable=False),
        Column("instant", Text),
        Column("deleted", Boolean, nullable=False),
        Column("body", LargeBinary),
    ]


node_state = Table("node_state", METADATA, Column("name", Text, primary_key=True), Column("value", LargeBinary))
sequences = Table(
    "sequences", METADATA, Column("name", Text, primary_key=True), Column("last", BigInteger, nullable=False)
)
subjects = Table(
    "subjects",
    METADATA,
    _key("sid"),
    Column("anchor", Text),
    Column("pseudonym", Text),
    Column("state", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("consent_changes_at", Text),
    Column("key_wrapped", LargeBinary),
    Index("ix_subjects_anchor", "anchor", unique=True),
    Index("ix_subjects_pseudonym", "pseudonym"),
    Index("ix_subjects_consent_changes_at", "consent_changes_at"),
    Index("ix_subjects_consent", "consent"),
)
classes = Table(
    "classes",
    METADATA,
    _key("class_id"),
    Column("type", Text, nullable=False),
    Column("sensitivity", Integer, nullable=False),
    Column("category", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
)
resources = Table(
    "resources",
    METADATA,
    _key("rid"),
    *_version_columns(),
    Column("tokens", TokenList),
    Index("ix_resources_type_id", "type", "id", unique=True),
    Index("ix_resources_sid_type_instant", "sid", "type", "instant"),
    Index("ix_resources_type_changed_at", "type", "changed_at"),
    Index(
        "ix_resources_tokens",
        "tokens",
        postgresql_using="gin",
        # What was written last stands in a list that every search reads through; in KiB, 4,096 where nobody says.
        postgresql_with={"gin_pending_list_limit": 256},
        info=ONLY_POSTGRESQL,
    ),
)
history = Table(
    "history",
    METADATA,
    _key("rid"),
    *[
        Column("version", BigInteger, primary_key=True, autoincrement=False) if column.name == "version" else column
        for column in _version_columns()
    ],
    Index("ix_history_type_id", "type", "id"),
    Index("ix_history_sid", "sid"),
    Index("ix_history_type_changed_at", "type", "changed_at"),
)
tokens = Table(
    "tokens",
    METADATA,
    _key("token"),
    _key("rid"),
    sqlite_with_rowid=False,
    info=ONLY_SQLITE,
)
feed = Table(
    "feed",
    METADATA,
    _key("change_id"),
    Column("number", BigInteger),
    Column("rid", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("op", Text, nullable=False),
    Column("sid", BigInteger, nullable=False),
    Column("pseudonym", Text),
    Column("previous", Text),
)
exports = Table(
    "exports",
    METADATA,
    _key("rid"),
    Column("version", BigInteger, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("held", Text, nullable=False),
    Index("ix_exports_held", "held"),
)
outbox = Table(
    "outbox",
    METADATA,
    _key("position"),
    Column("stream", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("raw", LargeBinary),
    Column("delivered", Boolean, nullable=False),
    Column("queued_at", Text),
    Column("sent_up_to", BigInteger),
    Index("ix_outbox_stream_sequence", "stream", "sequence", unique=True),
    Index("ix_outbox_delivered_position", "delivered", "position"),
)
outbox_receipts = Table(
    "outbox_receipts",
    METADATA,
    Column("stream", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("recipient", Text, primary_key=True),
    Column("outcome", Text),
    Column("code", Text),
    Column("raw", LargeBinary),
    Index(
        "ix_outbox_receipts_awaited",
        "recipient",
        sqlite_where=text("raw IS NULL"),
        postgresql_where=text("raw IS NULL"),
    ),
)
streams = Table(
    "streams",
    METADATA,
    Column("stream", Text, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)
receipts = Table(
    "receipts",
    METADATA,
    _key("position"),
    Column("stream", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Index("ix_receipts_stream_sequence_recipient", "stream", "sequence", "recipient", unique=True),
)
refused = Table(
    "refused",
    METADATA,
    Column("stream", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("refused_at", Text, nullable=False),
)
locators = Table(
    "locators",
    METADATA,
    Column("pseudonym", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("consent", Text, nullable=False, server_default=""),
)
notices = Table(
    "notices",
    METADATA,
    Column("pseudonym", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("entries", BigInteger, nullable=False),
    Column("sealed_at", Text, nullable=False),
)
erasures = Table(
    "erasures",
    METADATA,
    Column("case_reference", Text, primary_key=True),
    Column("pseudonym", Text, nullable=False),
    Column("erased_at", Text, nullable=False),
    Column("resources", BigInteger, nullable=False),
)
shreds = Table(
    "shreds",
    METADATA,
    Column("origin", Text, primary_key=True),
    Column("pseudonym", Text, primary_key=True),
    Column("shredded_at", Text, nullable=False),
    Index("ix_shreds_shredded_at", "shredded_at"),
)
audit_entries = Table(
    "audit_entries",
    METADATA,
    _key("entry_id"),
    Column("position", BigInteger),
    Column("period", Text, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
audit_subjects = Table("audit_subjects", METADATA, Column("pseudonym", Text, primary_key=True), _key("entry_id"))
audit_references = Table(
    "audit_references", METADATA, Column("reference", LargeBinary, primary_key=True), _key("entry_id")
)
audit_periods = Table(
    "audit_periods",
    METADATA,
    Column("period", Text, primary_key=True),
    Column("key_wrapped", LargeBinary),
)
tiles = Table("tiles", METADATA, Column("path", Text, primary_key=True), Column("content", LargeBinary, nullable=False))
checkpoints = Table("checkpoints", METADATA, _key("size"), Column("note", LargeBinary, nullable=False))
cosignatures = Table(
    "cosignatures",
    METADATA,
    _key("size"),
    Column("witness", Text, primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)
witnessed = Table(
    "witnessed",
    METADATA,
    Column("origin", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
)
identity_cache = Table(
    "identity_cache", METADATA, Column("tag", LargeBinary, primary_key=True), Column("sealed", LargeBinary)
)
pending = Table(
    "pending",
    METADATA,
    Column("tag", LargeBinary, primary_key=True),
    _key("sid"),
    Column("sealed", LargeBinary, nullable=False),
    Index("ix_pending_sid", "sid"),
)
replays = Table(
    "replays",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("expires_at", Text, nullable=False),
    Index("ix_replays_expires_at", "expires_at"),
)
answered = Table(
    "answered",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("kept_at", Text, nullable=False),
    Index("ix_answered_kept_at", "kept_at"),
)
counters = Table(
    "counters",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
tally_changes = Table(
    "tally_changes",
    METADATA,
    Column("sid", BigInteger, nullable=False),
    Column("origin", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
)
tallies = Table(
    "tallies",
    METADATA,
    _key("sid"),
    Column("pseudonym", Text),
    Column("province", Text, nullable=False),
    Column("resources", BigInteger, nullable=False),
    Index("ix_tallies_pseudonym", "pseudonym"),
)
VERSION_COLUMNS = _VERSION

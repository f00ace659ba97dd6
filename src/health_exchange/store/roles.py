"""Who may do what in a node's database on PostgreSQL.

The migration role owns the tables and nobody runs a node as it. The node's role reads and writes rows, alters nothing,
and can add to the log but neither change nor delete what stands in it. The audit reader sees the log and nothing else:
entries as they are kept, sealed.
"""

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, text

from health_exchange.store.schema import METADATA

EVERYTHING = ("SELECT", "INSERT", "UPDATE", "DELETE")
_APPEND = ("SELECT", "INSERT")
NODE_EXCEPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "audit_entries": _APPEND,
        "audit_subjects": _APPEND,
        "audit_references": _APPEND,
        "checkpoints": _APPEND,
        "cosignatures": _APPEND,
        # A month's key is destroyed at the end of its retention.
        "audit_periods": (*_APPEND, "UPDATE"),
        # Told apart from the log's rows: they are made of them, and made again as the tree grows.
        "tiles": EVERYTHING,
    }
)
"""What the node's role may do where that is not everything; the last row says that it was thought of."""
AUDIT_TABLES = ("audit_entries", "audit_subjects", "checkpoints", "cosignatures", "tiles")
_VERSION = "alembic_version"


def grant(connection: Connection, *, node: str, auditor: str | None = None) -> None:
    """Give roles their rights and no others, as the tables' owner; committed by the caller.

    Args:
        connection: Of the migration role.
        node: The node's role.
        auditor: The audit reader's role.
    """
    roles = [node] if auditor is None else [node, auditor]
    for role in roles:
        connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {_quoted(connection, role)}"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {_quoted(connection, role)}"))
    _allow(connection, node, _VERSION, ("SELECT",))
    for name, table in METADATA.tables.items():
        if table.info.get("only") in {None, connection.dialect.name}:
            _allow(connection, node, name, NODE_EXCEPTIONS.get(name, EVERYTHING))
    for name in AUDIT_TABLES if auditor is not None else ():
        _allow(connection, auditor or "", name, ("SELECT",))


def _allow(connection: Connection, role: str, table: str, rights: tuple[str, ...]) -> None:
    connection.execute(
        text(f"GRANT {', '.join(rights)} ON {_quoted(connection, table)} TO {_quoted(connection, role)}")
    )


def _quoted(connection: Connection, name: str) -> str:
    """An identifier that is nothing else."""
    return connection.dialect.identifier_preparer.quote_identifier(name)

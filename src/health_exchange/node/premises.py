"""What a node stands on beside its database's content: certificates, and room on the disk. Looked at when asked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from health_exchange.crypto.certificates import ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Bytes of a disk: free for us, and in all."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """Files of a node.

    Attributes:
        certificates: By what they are (``node``, ``authority``), PEM.
        database: Its file, where it has one here.
    """

    certificates: Mapping[str, Path]
    database: Path | None = None

    def certificate_ends(self) -> Mapping[str, datetime]:
        """When each certificate ends; one that cannot be read is left out."""
        found: dict[str, datetime] = {}
        for name, path in self.certificates.items():
            try:
                found[name] = ends_at(path.read_bytes())
            except (OSError, ValueError):
                continue
        return found

    def room(self) -> Room | None:
        """Room where the database is; ``None`` where that is elsewhere."""
        if self.database is None:
            return None
        found = os.statvfs(self.database.parent)
        return Room(free_bytes=found.f_bavail * found.f_frsize, total_bytes=found.f_blocks * found.f_frsize)

    def database_bytes(self) -> int | None:
        """Size of the database's files; ``None`` where they are elsewhere."""
        if self.database is None:
            return None
        files = (self.database, self.database.with_name(self.database.name + "-wal"))
        return sum(path.stat().st_size for path in files if path.exists())


NOWHERE = Premises(certificates={})
"""Of a node without files: in stories, and in tools."""

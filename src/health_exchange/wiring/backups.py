"""Backing a node's database up and filling an empty one from a backup: files, keys and settings around the store.

The node has the public half of the recovery key only; the private half is made elsewhere and kept elsewhere. Records
can be read with a backup, that half and the node's key set together, and not without any one of the three.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from health_exchange.crypto.boxes import BoxKeys, key_id
from health_exchange.model.secrecy import Secret
from health_exchange.store import archive, backup, incarnations, migrations, node_state, restoration
from health_exchange.store.archive import BadBackupError, Header, Part
from health_exchange.store.engine import Transaction
from health_exchange.store.incarnations import Rejoining
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.schemas import Owner, as_owner, upgrade
from health_exchange.wiring.settings import Settings, database_password

_PUBLIC = "health_exchange recovery key v1, public"
_NOBODY = Owner()
_PRIVATE = "health_exchange recovery key v1, PRIVATE: keep it away from every node"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """One file of a backup."""

    path: Path
    header: Header
    file_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore has loaded, and what the node must make good before it starts."""

    rows: int
    rejoining: Rejoining


def make_recovery_key(path: Path) -> Path:
    """A new recovery key: its private half in ``path``, its public half beside it, whose path comes back.

    Raises:
        BadBackupError: A file cannot be written, or is there already.
    """
    keys, public = BoxKeys.generate(os.urandom), path.with_name(f"{path.name}.pub")
    for target, title, raw in ((path, _PRIVATE, keys.seed.raw), (public, _PUBLIC, keys.public_raw)):
        with _new_file(target) as file:
            file.write(f"{title}\n{b64encode(raw).decode()}\n".encode())
    return public


def back_up(settings: Settings, folder: Path, recovery_key: Path, *, keys_only: bool = False) -> list[BackedUp]:
    """Write a backup of one snapshot into ``folder``, whether the node runs or not.

    Args:
        settings: The node's.
        folder: Where to; made where it is not there.
        recovery_key: File of the public half.
        keys_only: Only the small part: erased persons' keys go with the last file that has them, so it is renewed, and
            older ones are let go of, more often than the bulk.

    Raises:
        BadBackupError: The recovery key cannot be read, a file cannot be written, or the database waits to rejoin.
    """
    public = read_public_key(recovery_key)
    store = open_store(settings)
    try:
        return store.read_now(lambda tx: write_backup(tx, settings.address, folder, public, keys_only=keys_only))
    finally:
        store.close()


def restore(settings: Settings, recovery_key: Path, *, bulk: Path, keys: Path, owner: Owner = _NOBODY) -> Restored:
    """As :func:`fill`, and begin the node's new incarnation.

    The node does not start on it until it has rejoined the network (``node.rejoining``).

    Raises:
        SealBrokenError: The node's key set is not the one that the backup was made with.
    """
    rows, taken_at = fill(settings, recovery_key, bulk=bulk, keys=keys, owner=owner)
    store = open_store(settings)
    try:
        return Restored(rows=rows, rejoining=store.write_now(lambda tx: restoration.settle(tx, taken_at)))
    finally:
        store.close()


def fill(
    settings: Settings, recovery_key: Path, *, bulk: Path, keys: Path, owner: Owner = _NOBODY
) -> tuple[int, datetime]:
    """Load a backup into the node's empty database; how many rows, and when the backup was taken.

    Both files are opened to their ends before the first row is written.

    Args:
        settings: The node's, naming an empty database.
        recovery_key: File of the private half.
        bulk: The bulk.
        keys: The keys, of the same snapshot or a later one.
        owner: Who owns the tables, on PostgreSQL.

    Raises:
        BadBackupError: A file cannot be used, is another node's, or the two do not belong together.
        NotEmptyError: The database holds something.
        SchemaError: The backup is of a later release, or the database's role may not make its tables.
    """
    recovery = BoxKeys.from_seed(Secret(_read_key(recovery_key, _PRIVATE)))
    headers = {"bulk": archive.read_header(bulk), "keys": archive.read_header(keys)}
    _check_fit(settings, headers["bulk"], headers["keys"])
    expected = archive.verify(bulk, recovery) + archive.verify(keys, recovery)
    owning = as_owner(settings, owner)
    database = restoration.open_empty(owning.database, database_password(owning))
    try:
        rows = restoration.load(database, headers["bulk"].revision, "bulk", archive.read_frames(bulk, recovery))
        rows += restoration.load(database, headers["keys"].revision, "keys", archive.read_frames(keys, recovery))
        if headers["keys"].taken_at != headers["bulk"].taken_at:
            restoration.forget_answers(database, datetime.fromisoformat(headers["bulk"].taken_at))
    finally:
        database.close()
    upgrade(settings, owner)
    if rows != expected:
        raise BadBackupError(f"{rows} rows were loaded of {expected}: a file changed meanwhile")
    return rows, datetime.fromisoformat(headers["bulk"].taken_at)


def write_backup(
    tx: Transaction, address: str, folder: Path, public: bytes, *, keys_only: bool = False
) -> list[BackedUp]:
    """As :func:`back_up`, of what one transaction sees; ``public`` is the public half itself."""
    folder.mkdir(parents=True, exist_ok=True)
    if incarnations.rejoining(tx) is not None:
        raise BadBackupError("the database was restored and has not rejoined the network yet; back it up afterwards")
    if node_state.get(tx, incarnations.LOADING) is not None:
        raise BadBackupError("a restore of the database was broken off: empty it and restore again")
    header = Header(
        part="keys",
        node=address,
        incarnation=incarnations.current(tx),
        revision=migrations.standing_of(tx.connection).revision,
        release=migrations.RELEASE,
        taken_at=tx.clock.now().isoformat(),
        recipient=key_id(public),
    )
    stem = f"{address.replace('/', '-')}-{datetime.fromisoformat(header.taken_at):%Y%m%dT%H%M%S.%fZ}"
    written: list[BackedUp] = []
    parts: tuple[Part, ...] = ("keys",) if keys_only else ("bulk", "keys")
    for part in parts:
        path, labelled = folder / f"{stem}.{part}", msgspec.structs.replace(header, part=part)
        with _new_file(path) as file:
            archive.write_archive(
                file, labelled, backup.frames(tx, part), recovery_key=public, randomness=tx.randomness
            )
        written.append(BackedUp(path=path, header=labelled, file_bytes=path.stat().st_size))
    return written


def _check_fit(settings: Settings, bulk: Header, keys: Header) -> None:
    """Whether two files make one backup of this node; raises ``BadBackupError``."""
    problem = ""
    if (bulk.part, keys.part) != ("bulk", "keys"):
        problem = f"bulk and keys are wanted, {bulk.part} and {keys.part} were given"
    elif {bulk.node, keys.node} != {settings.address}:
        other = bulk.node if bulk.node != settings.address else keys.node
        problem = f"the backup is of {other}, the settings are of {settings.address}"
    elif bulk.incarnation != keys.incarnation:
        problem = "bulk and keys are of different incarnations of the node"
    elif keys.taken_at < bulk.taken_at:
        problem = f"the keys of {keys.taken_at} are older than the bulk of {bulk.taken_at}"
    if problem:
        raise BadBackupError(problem)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file for the owner only that appears under its name when it is complete and durable.

    Raises:
        BadBackupError: It cannot be written, or is there already.
    """
    part = path.with_name(f".{path.name}.part")
    problem = ""
    try:
        if path.exists():
            raise FileExistsError(0, "is there already")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        problem = error.strerror or "cannot be written"
    finally:
        part.unlink(missing_ok=True)
    if problem:
        raise BadBackupError(f"{path}: {problem}")


def read_public_key(path: Path) -> bytes:
    """The public half of a recovery key; raises ``BadBackupError``."""
    return _read_key(path, _PUBLIC)


def _read_key(path: Path, title: str) -> bytes:
    """Half of a recovery key; never quotes the file."""
    problem = ""
    try:
        found, encoded, *_rest = path.read_text("ascii").split("\n")
        if found == title:
            return b64decode(encoded, validate=True)
        problem = f"not a file that begins with {title!r}"
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or "cannot be read as a recovery key"
    raise BadBackupError(f"{path}: {problem}")

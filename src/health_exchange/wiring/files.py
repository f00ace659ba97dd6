"""Writing files that only their owner reads: new ones, and in place of others."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from health_exchange.model.errors import Category, ExchangeError

LOCK_EVERY_S = 0.05


class FileBusyError(ExchangeError):
    """Another process changes the file just now."""

    category = Category.BUSY
    code = "file-busy"


@contextmanager
def locked(path: Path, *, within_s: float) -> Iterator[None]:
    """Nobody else who asks changes ``path`` meanwhile; the lock is a file beside it.

    Raises:
        FileBusyError: Somebody else still does after ``within_s``.
    """
    with os.fdopen(os.open(path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
        until = time.monotonic() + within_s
        while not _takes(lock):
            if time.monotonic() >= until:
                raise FileBusyError(f"{path} is being changed by another process")
            time.sleep(LOCK_EVERY_S)
        yield


def _takes(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stamp_of(path: Path) -> tuple[int, int, int]:
    """What changes when the file is replaced; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


def write_new(path: Path, content: bytes) -> None:
    """A new file; raises ``FileExistsError`` where there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place of ``path``, whole or not at all, durably."""
    write_beside(path, content)
    put_in_place(path)


def beside(path: Path) -> Path:
    """Where what is to come in place of ``path`` is written first."""
    return path.with_name(f".{path.name}.new")


def write_beside(path: Path, content: bytes) -> None:
    """Write what is to come in place of ``path``, durably."""
    beside(path).unlink(missing_ok=True)
    write_new(beside(path), content)
    _sync(path.parent)


def put_in_place(path: Path) -> None:
    """Put what was written beside ``path`` in its place, durably."""
    beside(path).replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

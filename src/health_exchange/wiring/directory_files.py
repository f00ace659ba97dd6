"""The signed directory beside a node, looked at again when its two files change; and what the database keeps of it."""

from contextlib import AbstractContextManager, suppress
from pathlib import Path

from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.errors import ExchangeError
from health_exchange.node.directory_updates import FACT
from health_exchange.protocol.directories import SignedDirectory, open_directory, unpack_directory
from health_exchange.store import node_state
from health_exchange.store.engine import Transaction
from health_exchange.wiring.files import beside, locked, put_in_place, replace_file, stamp_of, write_beside
from health_exchange.wiring.settings import Settings, read_named

LOCK_S = 30.0
"""How long one command waits for another."""


class DirectoryFiles:
    """What the settings name as directory and signature."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = (Path(settings.directory), Path(settings.directory_signature))
        # What is there at the start is looked at too: it may contradict what the database keeps.
        self._seen: tuple[tuple[int, int, int], ...] = ()

    def changed(self) -> tuple[bytes, bytes] | None:
        """Directory and signature, where a file has changed since last time."""
        stamps = self._stamps()
        if stamps == self._seen:
            return None
        # Noted before they are read: files that are replaced meanwhile are looked at again.
        self._seen = stamps
        raw = self._paths[0].read_bytes()
        signatures = _signatures(self._settings)
        return raw, next((each for each in signatures if _fits(self._settings, raw, each)), signatures[0])

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(map(stamp_of, self._paths))


def read_directory_files(settings: Settings) -> SignedDirectory:
    """The directory that the settings name.

    Raises:
        BadSettingsError: A file cannot be read.
        ExchangeError: The nation did not sign it, or it is none.
    """
    raw, signatures = read_named(settings.directory), _signatures(settings)
    signature = next((each for each in signatures if _fits(settings, raw, each)), signatures[0])
    return open_directory(raw, signature, nation=VerifyingKeys.from_bytes(settings.nation_key))


def _signatures(settings: Settings) -> list[bytes]:
    """The signature in its place, and the one beside it where whoever made a new directory was stopped in between.

    Raises:
        BadSettingsError: The first cannot be read.
    """
    found = [read_named(settings.directory_signature)]
    with suppress(FileNotFoundError):
        found.append(beside(Path(settings.directory_signature)).read_bytes())
    return found


def _fits(settings: Settings, raw: bytes, signature: bytes) -> bool:
    """Whether a signature is the nation's on a directory."""
    try:
        open_directory(raw, signature, nation=VerifyingKeys.from_bytes(settings.nation_key))
    except ExchangeError:
        return False
    return True


def newest_directory(settings: Settings, tx: Transaction) -> SignedDirectory:
    """The newer of the directory beside the node and the one its database keeps; raises as above."""
    filed = read_directory_files(settings)
    packed = node_state.get(tx, FACT)
    if packed is None:
        return filed
    kept = unpack_directory(packed, nation=VerifyingKeys.from_bytes(settings.nation_key))
    return kept if kept.serial >= filed.serial else filed


def publish_directory(settings: Settings, signed: SignedDirectory) -> None:
    """Put ``signed`` in place of the files.

    The signature is there before the directory that it is on, beside the one before: who is stopped between the two
    renames leaves a pair that fits, and a node that looks in between finds it. Who comes after him first
    finishes that: what is beside may be the only signature that fits.
    """
    signature = Path(settings.directory_signature)
    with suppress(FileNotFoundError):
        if _fits(settings, Path(settings.directory).read_bytes(), beside(signature).read_bytes()):
            put_in_place(signature)
    write_beside(signature, signed.signature)
    replace_file(Path(settings.directory), signed.raw)
    put_in_place(signature)


def directory_lock(settings: Settings) -> AbstractContextManager[None]:
    """Nobody else makes a directory here meanwhile: two of one number would be a fork; raises ``FileBusyError``."""
    return locked(Path(settings.directory), within_s=LOCK_S)

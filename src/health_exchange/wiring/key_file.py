"""The node's key set as its file has it now: commands replace the file whole, running nodes look whether it changed."""

from contextlib import AbstractContextManager
from pathlib import Path

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.model.secrecy import Secret
from health_exchange.store.transaction import StoreKeys
from health_exchange.wiring.files import locked, replace_file, stamp_of
from health_exchange.wiring.settings import read_named


class KeyFile:
    """One node's key file.

    Args:
        path: As the settings name it.

    Raises:
        BadSettingsError: It cannot be read.
        MalformedKeyError: It is no key file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp = stamp_of(self._path)
        self._keys = NodeKeys.from_json(read_named(path))

    def now(self) -> NodeKeys:
        """All keys, read again where the file was replaced; a few microseconds where it was not."""
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            self._keys = NodeKeys.from_json(read_named(str(self._path)))
            self._stamp = stamp
        return self._keys

    @property
    def store_keys(self) -> StoreKeys:
        """What a store seals with."""
        return StoreKeys(at_rest=self._keys.at_rest, tokens=self._keys.tokens, at_rest_now=self._at_rest)

    def replace(self, keys: NodeKeys) -> None:
        """Put ``keys`` in place of the file's, durably."""
        replace_file(self._path, keys.to_json())

    def locked(self) -> AbstractContextManager[None]:
        """No other command changes these keys meanwhile; raises ``FileBusyError`` where one does already."""
        return locked(self._path, within_s=0)

    def _at_rest(self) -> tuple[Secret, ...]:
        keys = self.now()
        return (keys.at_rest, *keys.former.at_rest)

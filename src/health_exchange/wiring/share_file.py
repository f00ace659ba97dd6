"""A key holder's shares as its file has them now: the newest first, those before it for as long as somebody may ask."""

from pathlib import Path

from health_exchange.pseudonym.threshold import KeyShare, decode_shares, encode_shares
from health_exchange.wiring.files import locked, replace_file, stamp_of
from health_exchange.wiring.settings import read_named

LOCK_S = 1.0
"""How long one process of a node waits for another; whoever holds the lock writes one file."""


class ShareFile:
    """One holder's file; raises ``BadSettingsError`` or ``MalformedEvaluationError`` where it cannot be read."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp = stamp_of(self._path)
        self._shares = decode_shares(read_named(path))

    def now(self) -> tuple[KeyShare, ...]:
        """All shares, read again where the file was replaced."""
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            self._shares, self._stamp = decode_shares(read_named(str(self._path))), stamp
        return self._shares

    def add(self, share: KeyShare) -> None:
        """Keep a share beside the others, in place of one of its version, durably; raises ``FileBusyError``."""
        with locked(self._path, within_s=LOCK_S):
            others = [each for each in self.now() if (each.epoch, each.version) != (share.epoch, share.version)]
            replace_file(self._path, encode_shares([share, *others]))

    def drop_before(self, epoch: int, version: int) -> None:
        """Destroy the shares before one that is kept: nobody may ask for them any more."""
        if all((each.epoch, each.version) >= (epoch, version) for each in self.now()):
            return
        with locked(self._path, within_s=LOCK_S):
            kept = [each for each in self.now() if (each.epoch, each.version) >= (epoch, version)]
            if kept:
                replace_file(self._path, encode_shares(kept))

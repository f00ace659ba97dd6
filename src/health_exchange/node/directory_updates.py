"""Newer directories: taken from the file beside the node, from its parent, or from a witness while that is away.

Who hands a directory over does not matter: the nation has signed it. It is kept before it is used, so that a node never
falls back behind what it has shown others. Two directories of one number are an alarm, and neither replaces the other.
"""

from collections.abc import Callable
from functools import partial

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError, UnavailableError
from health_exchange.node.journal import log, node_journal
from health_exchange.node.parts import NodeParts
from health_exchange.protocol.directories import OldDirectoryError, SignedDirectory, pack_directory
from health_exchange.store import node_state
from health_exchange.store.engine import Transaction

DIRECTORY_PATH = "/exchange/v1/directory"
FACT, NUMBER = "directory", "directory-number"
"""Under which the database keeps the newest directory, and its number, which is asked for much oftener."""

DirectoryFile = Callable[[], tuple[bytes, bytes] | None]
"""The directory file's bytes and signature, where they have changed since last time."""


def no_file() -> None:
    """A node without a directory file beside it."""


def answer_directory(parts: NodeParts, have: int, digest: str) -> bytes:
    """This node's directory for a peer that has number ``have``; nothing where that is the same or newer."""
    signed = parts.membership.signed
    if signed.serial < have or (signed.serial == have and signed.digest == digest):
        return b""
    return pack_directory(signed)


class DirectoryUpdates:
    """Looks for newer directories.

    Args:
        parts: The node's.
        file: The directory file beside the node.
    """

    def __init__(self, parts: NodeParts, file: DirectoryFile = no_file) -> None:
        self._parts = parts
        self._file = file
        self._alarmed: set[str] = set()
        self._filed: SignedDirectory | None = None

    async def take(self) -> bool:
        """Look once; whether there was a newer one, which is now kept and used.

        Raises:
            ExchangeError: What there was cannot be used; the present directory stays.
        """
        self._filed = await self._from_file() or self._filed
        shown = self._filed if self._filed is not None else await self._from_peers()
        try:
            kept = shown is not None and await self._keep(shown)
        except UnavailableError:
            # Tried again: the file is read once only, and the database is away just now.
            raise
        except ExchangeError:
            self._filed = None
            raise
        self._filed = None
        return kept

    async def _from_file(self) -> SignedDirectory | None:
        """The file's directory, where the file has changed and holds a newer one."""
        given = self._file()
        if given is None:
            return None
        shown = self._parts.membership.open(*given)
        return shown if shown.serial >= self._parts.membership.signed.serial else None

    async def _from_peers(self) -> SignedDirectory | None:
        """The parent's directory or, while it is away, a witness's; ``None`` where it is no news."""
        parts = self._parts
        signed = parts.membership.signed
        path = f"{DIRECTORY_PATH}?have={signed.serial}&digest={signed.digest}"
        for peer in self._peers():
            try:
                answer = await parts.transport.send(peer, "GET", path, timeout_s=parts.limits.peer_timeout_s)
                shown = parts.membership.unpack(answer.body) if answer.is_ok and answer.body else None
            except ExchangeError:
                continue
            # No news of one is no news of all: a parent could keep its subtree in the past.
            if shown is not None:
                return shown
        return None

    def _peers(self) -> tuple[NodeAddress, ...]:
        parent = self._parts.address.parent
        # The nation has nobody above it. Put back from before its last directory, it hears of that from its witnesses,
        # and signs no other one of the same number.
        return (*([parent] if parent is not None else ()), *self._parts.card.witnesses)

    async def _keep(self, shown: SignedDirectory) -> bool:
        """Keep ``shown``, then go by it."""
        parts = self._parts
        try:
            if not parts.membership.is_news(shown):
                return False
        except OldDirectoryError:
            return False
        except ExchangeError as error:
            await self._alarm(shown, error)
            raise
        await parts.store.write(partial(_keep, parts=parts, shown=shown))
        return parts.membership.follow(shown)

    async def _alarm(self, shown: SignedDirectory, error: ExchangeError) -> None:
        """Enter a directory that cannot be used in the log, once."""
        if shown.digest in self._alarmed:
            return
        self._alarmed.add(shown.digest)
        entry = node_journal(
            self._parts,
            kind="alarm",
            action="directory",
            outcome="refused",
            reason=error.code,
            summary=f"directory {shown.serial}, sha256 {shown.digest[:16]}",
        )
        await self._parts.store.write(partial(log, entry=entry))


async def follow_kept(parts: NodeParts) -> bool:
    """Go by the directory that another process of this node has kept; whether it is news."""
    number = await parts.store.read(lambda tx: node_state.get(tx, NUMBER))
    if number is None or int(number) <= parts.membership.signed.serial:
        return False
    packed = await parts.store.read(lambda tx: node_state.get(tx, FACT))
    return packed is not None and parts.membership.follow(parts.membership.unpack(packed))


def _keep(tx: Transaction, parts: NodeParts, shown: SignedDirectory) -> None:
    """The directory, and the entry that tells of it."""
    node_state.put(tx, FACT, pack_directory(shown))
    node_state.put(tx, NUMBER, b"%d" % shown.serial)
    known = parts.directory.nodes
    entry = node_journal(
        parts,
        kind="directory",
        action="directory",
        summary=f"directory {shown.serial}, {len(shown.directory.nodes.keys() - known.keys())} nodes more",
    )
    log(tx, entry)

"""What this node is in the network just now: the directory it goes by, its card there, its keys, its shares.

Replaced whole, without a restart: whoever works with it reads what it needs once and goes on with that. Keys are those
that the directory says are in use now; earlier ones stay at hand for what was sealed to them.
"""

from collections.abc import Callable, Sequence

from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import Clock
from health_exchange.model.directory import KeyCard, KeyUse, NetworkDirectory, NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power
from health_exchange.protocol.directories import SignedDirectory, check_succession, open_directory, unpack_directory
from health_exchange.pseudonym.threshold import KeyShare, check_key_card
from health_exchange.store import node_state
from health_exchange.store.engine import Transaction


def note_box(tx: Transaction, origin: NodeAddress, key_id: bytes) -> None:
    """Note to which of this node's box keys an origin has sealed its last envelope.

    An origin's envelopes come in order: after one sealed to the newest key, none sealed to an earlier one can come.
    """
    node_state.put(tx, f"sealed-to:{origin}", key_id)


def last_box(tx: Transaction, origin: NodeAddress) -> bytes | None:
    """The key id of the box key that an origin has sealed its last envelope to, since that is noted."""
    return node_state.get(tx, f"sealed-to:{origin}")


class NoRoomForShareError(ExchangeError):
    """The node keeps no share, and has nowhere to keep one."""

    category = Category.UNSUPPORTED
    code = "no-room-for-share"


class NotAMemberError(ExchangeError):
    """The directory does not name this node, or names other keys than it has."""

    category = Category.INCORRECT
    code = "not-a-member"


def _check_key_cards(directory: NetworkDirectory) -> None:
    """Check that old shares and new ones lead to their keys; raises ``BadKeyCardError``."""
    check_key_card(directory.key)
    if directory.former_key is not None:
        check_key_card(directory.former_key.card)


class Membership:
    """One node's place in the network.

    Args:
        address: Its own.
        nation: The key that signs directories, pinned in its settings.
        signed: The directory to begin with.
        keys: All its private keys.
        clock: Tells which of them are in use.
        shares: Its shares of the pseudonym key, the newest first, where it keeps any.
        keep_share: Keeps a new one durably beside them.

    Attributes:
        signed: The directory it goes by.
        keys: Its keys, in front those that the directory says are in use now.

    Raises:
        NotAMemberError: The directory does not name this node, or names keys that it does not have.
        BadKeyCardError: The published share keys do not lead to the pseudonym key.
    """

    def __init__(
        self,
        *,
        address: NodeAddress,
        nation: VerifyingKeys,
        signed: SignedDirectory,
        keys: NodeKeys,
        clock: Clock,
        shares: Sequence[KeyShare] = (),
        keep_share: Callable[[KeyShare], None] | None = None,
    ) -> None:
        self.address = address
        self.nation = nation
        self._keep_share = keep_share
        self.clock = clock
        self._all_keys = keys
        _check_key_cards(signed.directory)
        self.keys = self._in_use(signed, keys)
        self.signed = signed
        self.take_shares(shares)

    @property
    def directory(self) -> NetworkDirectory:
        """All cards and the pseudonym key's card."""
        return self.signed.directory

    @property
    def card(self) -> NodeCard:
        """This node's own card."""
        return self.signed.directory.nodes[self.address]

    def open(self, raw: bytes, signature: bytes) -> SignedDirectory:
        """A directory from a file, once the nation's signature holds; raises as :func:`open_directory`."""
        return open_directory(raw, signature, nation=self.nation)

    def unpack(self, packed: bytes) -> SignedDirectory:
        """A directory from a peer or the database, once the nation's signature holds."""
        return unpack_directory(packed, nation=self.nation)

    def is_news(self, shown: SignedDirectory) -> bool:
        """Whether ``shown`` is to take the place of the present directory.

        Raises:
            OldDirectoryError, ForkedDirectoryError: It comes before it, or contradicts it.
            NotAMemberError, BadKeyCardError: This node cannot go by it.
        """
        if not check_succession(self.signed, shown):
            return False
        _check_key_cards(shown.directory)
        self._in_use(shown, self._all_keys)
        return True

    def follow(self, shown: SignedDirectory) -> bool:
        """Go by ``shown`` from now on if it is news; whether it is. Raises as :meth:`is_news`."""
        if not self.is_news(shown):
            return False
        self.keys = self._in_use(shown, self._all_keys)
        self.signed = shown
        return True

    @property
    def key(self) -> KeyCard:
        """The pseudonym key's card to ask by now."""
        return self.directory.key_in_use(self.clock.now())

    def take_shares(self, shares: Sequence[KeyShare]) -> None:
        """Go by these shares, the newest first; by none where its tier has not the power to keep any."""
        self.shares = tuple(shares) if self.card.may(Power.KEEPS_KEY_SHARE) else ()

    @property
    def share_in_use(self) -> KeyShare | None:
        """The share that others ask by now, where it keeps one."""
        return self.share(self.key.epoch, self.key.share_version)

    def share(self, epoch: int, version: int) -> KeyShare | None:
        """The share that a request names; the newest where there is no such one; ``None`` where it keeps none."""
        named = (each for each in self.shares if (each.epoch, each.version) == (epoch, version))
        return next(named, next(iter(self.shares), None))

    def keep_share(self, share: KeyShare) -> None:
        """Keep a new share beside those there are, in place of one of its version; durable on return."""
        if self._keep_share is None:
            raise NoRoomForShareError("this node's settings name no file for a share of the pseudonym key")
        self._keep_share(share)
        others = (each for each in self.shares if (each.epoch, each.version) != (share.epoch, share.version))
        self.shares = (share, *others)

    def settle(self, keys: NodeKeys | None = None) -> None:
        """Use the keys whose time it is now, from among ``keys`` where they have changed.

        Raises:
            NotAMemberError: Those in use are not among them; the present ones stay.
        """
        changed = keys or self._all_keys
        self.keys = self._in_use(self.signed, changed)
        self._all_keys = changed

    def _in_use(self, signed: SignedDirectory, keys: NodeKeys) -> NodeKeys:
        """The keys that are in use now by ``signed``, if this node can go by it."""
        card = signed.directory.nodes.get(self.address)
        if card is None:
            raise NotAMemberError(f"directory {signed.serial} does not name {self.address}")
        now = self.clock.now()
        in_use = keys.with_publics(
            verifying_key=card.key_in_use(KeyUse.SIGNING, now),
            box_key=card.box_key,
            log_key=card.key_in_use(KeyUse.LOG, now),
        )
        if in_use is None:
            raise NotAMemberError(f"the key set is not that of {self.address} in directory {signed.serial}")
        return in_use

"""Saying hello to the nodes this one depends on and to those that depend on it, so that who is away is known in time.

A peer answers with its clock, its release and the version of its key share: what does not fit is seen before it hurts.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.metadata import version

import msgspec

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.powers import Power
from health_exchange.node.contacts import Contacts
from health_exchange.node.parts import NodeParts

HELLO_PATH = "/exchange/v1/hello"
RELEASE = version("health-exchange")
TIMEOUT_S = 3.0
EVERY = timedelta(seconds=30)
AGAIN = timedelta(seconds=5)
"""How soon one that did not answer is greeted again."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself to any other.

    Attributes:
        at: Its clock.
        release: Of its program.
        epoch: Of the pseudonym key it keeps shares of; 0 for none.
        share_version: Of the newest of them; it keeps those before it for as long as they are asked for. 0 for none.
    """

    at: datetime
    release: str
    epoch: int = 0
    share_version: int = 0


class Greeted(msgspec.Struct, frozen=True, kw_only=True):
    """A peer's last hello, when it came, and how far its clock was ahead of ours."""

    hello: Hello
    greeted_at: datetime
    clock_ahead_s: float


def hello(parts: NodeParts) -> bytes:
    """What this node answers."""
    share = next(iter(parts.membership.shares), None)
    said = Hello(
        at=parts.clock.now(),
        release=RELEASE,
        epoch=share.epoch if share is not None else 0,
        share_version=share.version if share is not None else 0,
    )
    return msgspec.json.encode(said)


def neighbours(parts: NodeParts) -> tuple[NodeAddress, ...]:
    """Whom this node greets: its parent, its children, and the key holders where it asks them."""
    parent = {parts.address.parent} if parts.address.parent is not None else set()
    children = {address for address in parts.directory.nodes if address.parent == parts.address}
    sees = parts.card.may(Power.SEES_NATIONAL_IDS)
    holders = {holder.address for holder in parts.directory.key.holders} if sees else set()
    return tuple(sorted((parent | children | holders) - {parts.address}, key=str))


class Greeter:
    """Greets, and remembers what was answered.

    Attributes:
        greeted: By peer, its last hello.
    """

    def __init__(self, parts: NodeParts, contacts: Contacts) -> None:
        self._parts = parts
        self._contacts = contacts
        self._tried_at: dict[NodeAddress, datetime] = {}
        self._greeted: dict[NodeAddress, Greeted] = {}

    @property
    def greeted(self) -> Mapping[NodeAddress, Greeted]:
        """By peer."""
        return dict(self._greeted)

    async def greet(self) -> bool:
        """Greet whoever was not heard of for long. Never counts as work: it has no end."""
        now = self._parts.clock.now()
        due = [peer for peer in neighbours(self._parts) if self._is_due(peer, now)]
        await asyncio.gather(*(self._greet(peer, now) for peer in due))
        return False

    def _is_due(self, peer: NodeAddress, now: datetime) -> bool:
        tried_at = self._tried_at.get(peer)
        contact = self._contacts.known.get(peer)
        is_away = contact is not None and contact.failing_since is not None
        # A clock that was set back must not keep everyone waiting until it is as late again.
        return tried_at is None or abs(now - tried_at) >= (AGAIN if is_away else EVERY)

    async def _greet(self, peer: NodeAddress, now: datetime) -> None:
        """Greet one; who does not answer stands among the contacts."""
        self._tried_at[peer] = now
        try:
            answer = await self._contacts.send(peer, "GET", HELLO_PATH, timeout_s=TIMEOUT_S)
            said = msgspec.json.decode(answer.body, type=Hello) if answer.is_ok else None
        except (ExchangeError, msgspec.MsgspecError, ValueError):
            return
        if said is not None:
            heard_at = self._parts.clock.now()
            ahead_s = (said.at - (now + (heard_at - now) / 2)).total_seconds()
            self._greeted[peer] = Greeted(hello=said, greeted_at=heard_at, clock_ahead_s=round(ahead_s, 3))

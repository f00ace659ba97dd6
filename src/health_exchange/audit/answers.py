"""What an auditor is answered: what each node asked had to say, by name, and the entries found, each with its proof."""

import msgspec

from health_exchange.audit.excerpts import ProvenEntry
from health_exchange.audit.notes import base_name

ANSWERED = "answered"
PARTIAL = "partial"  # there is more than one answer carries; asking goes on from `before`
REFUSED = "refused"
AWAY = "away"
UNPROVEN = "unproven"  # it answered with entries that its log does not stand for; none of them is shown


class LogKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a log is verified with: its key and those of its witnesses by name, 32 bytes each.

    ``former`` has the keys that these have followed, by name of log or witness.
    """

    origin: str
    public_key: bytes
    witnesses: dict[str, bytes]
    former: dict[str, list[bytes]] = {}

    @property
    def publics(self) -> tuple[bytes, ...]:
        """Every key that the log itself has had, the newest first."""
        return (self.public_key, *self.former.get(base_name(self.origin), ()))


class NodeReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one node answered.

    Attributes:
        node: Its address.
        outcome: ``answered``, ``partial``, ``refused``, ``away`` or ``unproven``.
        detail: Why not, for people.
        keys: Of its log, as the directory has them.
        checkpoints: What its entries' paths lead to.
        entries: The latest first.
        before: Where to go on asking this node, if it has more.
        withheld: Entries on the way whose content was destroyed at the end of retention.
    """

    node: str
    outcome: str
    keys: LogKeys
    detail: str = ""
    checkpoints: list[str] = []
    entries: list[ProvenEntry] = []
    before: int | None = None
    withheld: int = 0


class LogAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all nodes asked had to say.

    Attributes:
        request_id: Under which the question stands in their logs.
        at: When it was asked.
        asker: The node that asked them.
        person: Whose entries were asked for, by pseudonym; empty where it was no question about a person.
        holders: Addresses of the key holders, by the directory.
        threshold: How many of them it takes to make a pseudonym.
        replies: One a node, in the order of their addresses.
    """

    request_id: str
    at: str
    asker: str
    person: str
    holders: list[str]
    threshold: int
    replies: list[NodeReply]

    @property
    def incomplete(self) -> list[NodeReply]:
        """Nodes whose entries are missing or not all there."""
        return [reply for reply in self.replies if reply.outcome != ANSWERED]

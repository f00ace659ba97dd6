"""What a look-up is for, and what it came to: values only."""

from collections.abc import Sequence
from dataclasses import dataclass

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.purposes import Purpose
from health_exchange.pseudonym.identities import Identity


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Wanted:
    """What a look-up is for.

    Attributes:
        identity: Whose records. In memory for the length of the look-up.
        purpose: Why.
        reason: In words, for breaking the glass.
        types: Resource types; all where empty.
        since: First day, ``2026-01-31``; empty for any.
        until: Last day.
    """

    identity: Identity
    purpose: Purpose
    reason: str = ""
    types: tuple[str, ...] = ()
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderOutcome:
    """What became of asking one node.

    Attributes:
        node: Its address.
        resources: What it gave, each naming its source.
        refusal: Why it gave nothing, where it refused.
        problem: Why its answer is missing or was not believed, where that is so.
        is_cut: Whether it has more than one answer carries.
        waiting: Persons who wait there for a pseudonym: records of this one may be among theirs.
        position: Where its log says that it answered.
    """

    node: NodeAddress
    resources: Sequence[bytes] = ()
    refusal: str = ""
    problem: str = ""
    is_cut: bool = False
    waiting: int = 0
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupResult:
    """What a look-up came to.

    Attributes:
        request_id: By which every log on the way knows it.
        ticket_holders: The key holders that signed the ticket.
        directions_by: The nodes that said where to ask.
        lost: Nodes that should have said where to ask and did not, each with the reason.
        behind: Nodes that were not heard of lately: what they admitted may not be known.
        outcomes: One a node that was asked.
    """

    request_id: str
    ticket_holders: tuple[str, ...]
    directions_by: tuple[NodeAddress, ...]
    lost: tuple[tuple[NodeAddress, str], ...]
    behind: tuple[str, ...]
    outcomes: tuple[HolderOutcome, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everybody who should have answered did, in full, as far as anybody knows."""
        flawed = (each.refusal or each.problem or each.is_cut or each.waiting for each in self.outcomes)
        return not (self.lost or self.behind or any(flawed))

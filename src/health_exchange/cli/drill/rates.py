"""How fast records come to the nation, and how fast those came that had piled up, from logs.

An envelope's way is told by two logs: its origin's, when it was shared, and the nation's, when it was taken and how
many records were opened. So nothing is asked of the nodes while they work.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from health_exchange.audit.entries import AuditEntry

AIM = 5.0
PILE_MIN, PILE_AGE_S = 100, 5.0
"""Fewer records, or younger ones, make no pile: they were on their way as always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One envelope at the nation: whose, when it was shared and taken, in seconds since 1970, and how many records."""

    origin: str
    shared_at: float
    taken_at: float
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast the records of one origin came.

    Attributes:
        live_per_s: Records a second that its facilities made, over all the time that they worked.
        piled_up: Records that were under way when all was well again.
        resumed_after_s: How long until the first of these came; -1 where none had piled up.
        catch_up_per_s: Records a second from then until the last of them; 0 where too few had piled up.
    """

    live_per_s: float
    piled_up: int
    resumed_after_s: float
    catch_up_per_s: float

    @property
    def ratio(self) -> float:
        """Catching up, in multiples of the live rate; 0 where too few had piled up."""
        return self.catch_up_per_s / self.live_per_s if self.live_per_s else 0.0


def arrivals(origins: Iterable[Sequence[AuditEntry]], nation: Iterable[AuditEntry]) -> list[Arrival]:
    """Every envelope that the nation took."""
    shared = {
        entry.summary.split(":")[0]: entry for entries in origins for entry in entries if entry.kind == "share"
    }
    found = []
    for entry in nation:
        name, _, told = entry.summary.partition(": ")
        if entry.kind == "receive" and name in shared:
            found.append(
                Arrival(
                    origin=shared[name].node,
                    shared_at=_at(shared[name]),
                    taken_at=_at(entry),
                    records=int(told.split()[0]),
                )
            )
    return found


def slowest(came: Sequence[Arrival], *, loaded_s: float, healed_at: float) -> Rates:
    """The rates of the origin that caught up slowest against its own live rate.

    Each finds its way again at its own time, so they are not added up.

    Args:
        came: All envelopes that the nation took.
        loaded_s: How long there was load.
        healed_at: When all was well again, in seconds since 1970.
    """
    each = [
        _rates([one for one in came if one.origin == origin], loaded_s, healed_at)
        for origin in sorted({one.origin for one in came})
    ]
    told = [one for one in each if one.catch_up_per_s]
    if told:
        return min(told, key=lambda one: one.ratio)
    nothing = Rates(live_per_s=0.0, piled_up=0, resumed_after_s=-1.0, catch_up_per_s=0.0)
    return max(each, key=lambda one: one.piled_up, default=nothing)


def _rates(came: Sequence[Arrival], loaded_s: float, healed_at: float) -> Rates:
    """One origin's."""
    pile = sorted((each for each in came if each.shared_at < healed_at < each.taken_at), key=lambda each: each.taken_at)
    piled_up = sum(each.records for each in pile)
    # The first marks the beginning, so its own records were not carried in the time measured.
    carried = sum(each.records for each in pile[1:])
    took_s = pile[-1].taken_at - pile[0].taken_at if pile else 0.0
    is_pile = piled_up >= PILE_MIN and healed_at - min(each.shared_at for each in pile) >= PILE_AGE_S
    return Rates(
        live_per_s=sum(each.records for each in came) / loaded_s,
        piled_up=piled_up,
        resumed_after_s=pile[0].taken_at - healed_at if pile else -1.0,
        catch_up_per_s=carried / took_s if is_pile and took_s else 0.0,
    )


def _at(entry: AuditEntry) -> float:
    return datetime.fromisoformat(entry.at).timestamp()

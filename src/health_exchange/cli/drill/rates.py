"""How fast records come to the nation, and how fast those came that had piled up, from logs.

An envelope's way is told by two logs: its origin's, when it was shared, and the nation's, when it was taken and how
many records were opened. So nothing is asked of the nodes while they work.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from health_exchange.audit.entries import AuditEntry

AIM = 5.0
FINDS_WAY_S = 10.0
"""What a node may take to try its neighbours again, and to start, before it catches up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One envelope at the nation: whose, when it was shared and taken, in seconds since 1970, and how many records."""

    origin: str
    shared_at: float
    taken_at: float
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUp:
    """How the records of one origin came that were under way when all was well again.

    Attributes:
        origin: Whose.
        live_per_s: Records a second that its facilities made, over all the time that they worked.
        piled_up: How many were under way.
        level_after_s: How long until the last of them had come.
        per_s: Records a second from the first of them to the last.
    """

    origin: str
    live_per_s: float
    piled_up: int
    level_after_s: float
    per_s: float

    @property
    def allowed_s(self) -> float:
        """How long it may take: what finding the way takes, then ``AIM`` times the live rate."""
        return FINDS_WAY_S + (self.piled_up / (AIM * self.live_per_s) if self.live_per_s else 0.0)


def arrivals(origins: Iterable[Sequence[AuditEntry]], nation: Iterable[AuditEntry]) -> list[Arrival]:
    """Every envelope that the nation took."""
    shared = {entry.summary.split(":")[0]: entry for entries in origins for entry in entries if entry.kind == "share"}
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


def catch_ups(came: Sequence[Arrival], *, loaded_s: float, healed_at: float) -> list[CatchUp]:
    """How each origin caught up: each finds its way again at its own time, so they are not added up.

    Args:
        came: All envelopes that the nation took.
        loaded_s: How long there was load.
        healed_at: When all was well again, in seconds since 1970.
    """
    return [
        _catch_up(origin, [one for one in came if one.origin == origin], loaded_s, healed_at)
        for origin in sorted({one.origin for one in came})
    ]


def _catch_up(origin: str, came: Sequence[Arrival], loaded_s: float, healed_at: float) -> CatchUp:
    """One origin's."""
    pile = sorted((each for each in came if each.shared_at < healed_at < each.taken_at), key=lambda each: each.taken_at)
    took_s = pile[-1].taken_at - pile[0].taken_at if pile else 0.0
    return CatchUp(
        origin=origin,
        live_per_s=sum(each.records for each in came) / loaded_s,
        piled_up=sum(each.records for each in pile),
        level_after_s=pile[-1].taken_at - healed_at if pile else 0.0,
        # The first marks the beginning, so its own records were not carried in the time measured.
        per_s=sum(each.records for each in pile[1:]) / took_s if took_s else 0.0,
    )


def _at(entry: AuditEntry) -> float:
    return datetime.fromisoformat(entry.at).timestamp()

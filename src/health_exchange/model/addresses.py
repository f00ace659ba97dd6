"""Where a node sits in the country.

An address is a path from the nation down, written ``cn/33/3305/330521``: the nation's letters, then codes of GB/T 2260.
Its prefix is its parent, and the longest common prefix of two addresses is where their traffic meets. Routing needs no
more than that.

The tier is declared beside the address and not read off its depth: a county may report straight to its province. What
a tier may do is a row in ``model.powers``.
"""

import re
from dataclasses import dataclass
from typing import Self

DEPTH_MAX = 4

_NATION = re.compile(r"[a-z]{2}")
_DIVISION = re.compile(r"[0-9]{2,12}")


@dataclass(frozen=True, slots=True, order=True)
class NodeAddress:
    """A node's place: one to four segments, outermost first.

    Raises:
        ValueError: Wrong number of segments, a first one that is not two letters, or a later one that is not 2 to 12
            digits.
    """

    segments: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.segments) <= DEPTH_MAX:
            raise ValueError(f"an address has 1 to {DEPTH_MAX} segments, not {len(self.segments)}")
        if not _NATION.fullmatch(self.segments[0]):
            raise ValueError("an address starts with its nation's two letters")
        if not all(_DIVISION.fullmatch(segment) for segment in self.segments[1:]):
            raise ValueError("below the nation, an address segment is 2 to 12 digits")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``cn/33``; raises ``ValueError`` as the constructor does."""
        return cls(tuple(text.split("/")))

    @property
    def parent(self) -> Self | None:
        """The node this one reports to; ``None`` for the nation."""
        return type(self)(self.segments[:-1]) if len(self.segments) > 1 else None

    @property
    def ancestors(self) -> tuple[Self, ...]:
        """Parent first, nation last; empty for the nation."""
        return tuple(type(self)(self.segments[:depth]) for depth in range(len(self.segments) - 1, 0, -1))

    @property
    def province(self) -> str | None:
        """Code of the province it lies in; ``None`` for the nation."""
        return self.segments[1] if len(self.segments) > 1 else None

    def contains(self, other: "NodeAddress") -> bool:
        """Whether ``other`` is this node or lies below it."""
        return other.segments[: len(self.segments)] == self.segments

    def next_hop(self, destination: "NodeAddress") -> "NodeAddress | None":
        """The neighbour on the way to ``destination``: up while it lies elsewhere, down once it lies below us.

        Returns:
            A parent or child of this node, or ``None`` if already there.

        Raises:
            ValueError: ``destination`` is in another nation's tree.
        """
        if destination == self:
            return None
        if self.contains(destination):
            return NodeAddress(destination.segments[: len(self.segments) + 1])
        if self.parent is None:
            raise ValueError(f"{destination} is not below {self}")
        return self.parent

    def __str__(self) -> str:
        """The written form, as in settings files and logs."""
        return "/".join(self.segments)

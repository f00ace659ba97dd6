"""Small numbers, hidden: a cell below five is not shown, nor can it be reckoned back from its row or column.

Hiding the cell alone is not enough where totals are shown: the one hidden cell of a line follows from the line's total.
So in every line with hidden cells that are alone or together still small, the next smallest cell is hidden too; where
there is none left to hide, the line's total is.

Source: Hundepool et al., Statistical Disclosure Control (2012), on secondary suppression in frequency tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass

CELL_MIN = 5

Place = tuple[str, str]
"""Row and column of a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedTable:
    """A table of counts as it may be shown; ``None`` is a hidden number.

    Attributes:
        cells: Every cell that is not zero.
        row_totals: By row.
        column_totals: By column.
        total: Of everything.
        hidden: How many cells are hidden.
    """

    cells: Mapping[Place, int | None]
    row_totals: Mapping[str, int | None]
    column_totals: Mapping[str, int | None]
    total: int | None
    hidden: int


def suppress(counts: Mapping[Place, int], *, cell_min: int = CELL_MIN) -> SuppressedTable:
    """``counts`` with every small cell hidden, and as many others as keep it from being reckoned back.

    Args:
        counts: Numbers by row and column; zeros count as absent.
        cell_min: The smallest number that is shown.
    """
    present = {place: number for place, number in counts.items() if number > 0}
    hidden = {place for place, number in present.items() if number < cell_min}
    while (further := _next_to_hide(present, hidden, cell_min)) is not None:
        hidden.add(further)
    total = sum(present.values())
    betrayed = sum(present[place] for place in hidden) < cell_min or len(hidden) == 1
    return SuppressedTable(
        cells={place: None if place in hidden else number for place, number in present.items()},
        row_totals=_totals(present, hidden, 0, cell_min),
        column_totals=_totals(present, hidden, 1, cell_min),
        total=None if hidden and betrayed else total,
        hidden=len(hidden),
    )


def _next_to_hide(present: Mapping[Place, int], hidden: set[Place], cell_min: int) -> Place | None:
    """The smallest shown cell of a line whose hidden cells do not yet cover each other."""
    for axis in (0, 1):
        for key in sorted({place[axis] for place in hidden}):
            line = [place for place in present if place[axis] == key]
            shown = [place for place in line if place not in hidden]
            if shown and _is_betrayed(present, hidden, line, cell_min):
                return min(shown, key=lambda place: (present[place], place))
    return None


def _is_betrayed(present: Mapping[Place, int], hidden: set[Place], line: list[Place], cell_min: int) -> bool:
    """Whether the line's total would tell what its hidden cells are, or that they are small."""
    ours = [present[place] for place in line if place in hidden]
    return bool(ours) and (len(ours) == 1 or sum(ours) < cell_min)


def _totals(present: Mapping[Place, int], hidden: set[Place], axis: int, cell_min: int) -> dict[str, int | None]:
    """Totals of lines, hidden where they would betray a cell; a total hidden alone takes the next smallest with it."""
    lines: dict[str, list[Place]] = {}
    for place in sorted(present):
        lines.setdefault(place[axis], []).append(place)
    sums = {key: sum(present[place] for place in line) for key, line in lines.items()}
    shown = {key: None if _is_betrayed(present, hidden, lines[key], cell_min) else sums[key] for key in lines}
    rest = [key for key, number in shown.items() if number is not None]
    if len(shown) - len(rest) == 1 and rest:
        shown[min(rest, key=lambda key: (sums[key], key))] = None
    return shown

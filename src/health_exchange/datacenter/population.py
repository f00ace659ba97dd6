"""What the unified view says of everyone: persons, those seen in several provinces, records by type and province.

Pure functions over rows handed in; numbers only, small ones hidden.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from health_exchange.datacenter.suppression import CELL_MIN, SuppressedTable, suppress
from health_exchange.model.addresses import NodeAddress

NATIONAL = "national"
"""Stands for the province of what the nation's own attached nodes admit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationView:
    """The counts as they may be shown; ``None`` is a hidden number.

    Attributes:
        persons: People with at least one record.
        persons_across_provinces: People with records from more than one province.
        records: By type (rows) and province (columns).
    """

    persons: int | None
    persons_across_provinces: int | None
    records: SuppressedTable

    def to_json(self) -> dict[str, object]:
        """The view as plain values, in a stable order."""
        by_type: dict[str, dict[str, int | None]] = {}
        for (resource_type, province), number in sorted(self.records.cells.items()):
            by_type.setdefault(resource_type, {})[province] = number
        return {
            "persons": self.persons,
            "persons_across_provinces": self.persons_across_provinces,
            "records": by_type,
            "records_by_type": dict(sorted(self.records.row_totals.items())),
            "records_by_province": dict(sorted(self.records.column_totals.items())),
            "records_total": self.records.total,
            "suppressed_below": CELL_MIN,
            "cells_suppressed": self.records.hidden,
        }


def province_of(origin: str) -> str:
    """Code of the province an origin's address lies in.

    Raises:
        ValueError: ``origin`` is no address.
    """
    return NodeAddress.parse(origin).province or NATIONAL


def population_view(
    counts: Mapping[tuple[str, str], int], *, persons: int, persons_across_provinces: int
) -> PopulationView:
    """The view over what one node keeps.

    Args:
        counts: Current records by type and origin address.
        persons: People with at least one record.
        persons_across_provinces: People with records from more than one province.
    """
    by_province: dict[tuple[str, str], int] = {}
    for (resource_type, origin), number in counts.items():
        place = (resource_type, province_of(origin))
        by_province[place] = by_province.get(place, 0) + number
    shown_persons, shown_across = _shown_pair(persons, persons_across_provinces)
    return PopulationView(persons=shown_persons, persons_across_provinces=shown_across, records=suppress(by_province))


def across_provinces(origins_by_person: Mapping[str, Iterable[str]]) -> list[str]:
    """Who has records from more than one province, in order.

    Args:
        origins_by_person: Origin addresses of each person's records, by pseudonym.
    """
    return sorted(
        person for person, origins in origins_by_person.items() if len({province_of(origin) for origin in origins}) > 1
    )


def _shown_pair(whole: int, part: int) -> tuple[int | None, int | None]:
    """A number and a part of it: the part is hidden where it or what is left over is small, a small whole as well."""
    if whole < CELL_MIN:
        return (None if whole else 0), (None if whole else 0)
    is_small = 0 < part < CELL_MIN or 0 < whole - part < CELL_MIN
    return whole, None if is_small else part

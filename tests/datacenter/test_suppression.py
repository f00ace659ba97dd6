from hypothesis import given, settings
from hypothesis import strategies as st

from health_exchange.datacenter.suppression import CELL_MIN, suppress

_TABLES = st.dictionaries(
    st.tuples(st.sampled_from(["A", "B", "C", "D"]), st.sampled_from(["31", "33", "51"])),
    st.integers(0, 40),
    max_size=12,
)


@settings(max_examples=100)
@given(_TABLES)
def test_no_small_number_is_shown_and_none_follows_from_the_rest(counts: dict[tuple[str, str], int]) -> None:
    table = suppress(counts)
    assert all(number is None or number >= CELL_MIN for number in table.cells.values())
    for axis, totals in ((0, table.row_totals), (1, table.column_totals)):
        for key, shown in totals.items():
            line = {place: number for place, number in counts.items() if place[axis] == key and number}
            hidden = [number for place, number in line.items() if table.cells[place] is None]
            if shown is not None:
                assert shown == sum(line.values())
                assert not hidden or (len(hidden) > 1 and sum(hidden) >= CELL_MIN)
        unknown = [key for key, shown in totals.items() if shown is None]
        assert len(unknown) != 1 or table.total is None or len(totals) == 1


@settings(max_examples=50)
@given(_TABLES.map(lambda counts: {place: number + CELL_MIN for place, number in counts.items()}))
def test_a_table_without_small_numbers_is_shown_whole(counts: dict[tuple[str, str], int]) -> None:
    table = suppress(counts)
    assert table.cells == counts
    assert table.total == sum(counts.values())
    assert table.hidden == 0


def test_the_only_small_cell_takes_its_neighbours_with_it() -> None:
    counts = {("A", "31"): 2, ("A", "33"): 10, ("A", "51"): 20, ("B", "31"): 7, ("B", "33"): 30, ("B", "51"): 40}
    shown = {place for place, number in suppress(counts).cells.items() if number is not None}
    assert shown == {("A", "51"), ("B", "51")}

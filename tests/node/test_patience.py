"""Time for a question to a subtree: less for each level, and never more than a door grants."""

from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest

from health_exchange.node.patience import LONGEST_S, PARAMETER, PER_LEVEL_S, asking, granted_s


def test_each_of_five_levels_has_less_time_than_the_one_above_it() -> None:
    times = [LONGEST_S]
    for _level in range(4):
        query = parse_qs(urlsplit(asking("/status", times[-1])).query)
        times.append(granted_s(int(query[PARAMETER][0])))

    gaps = [above - below for above, below in pairwise(times)]
    assert gaps == pytest.approx([PER_LEVEL_S] * 4)


@pytest.mark.parametrize(("given_ms", "granted"), [(0, LONGEST_S), (1500, 1.5), (10**9, LONGEST_S)])
def test_who_asks_for_more_or_for_nothing_gets_the_longest(given_ms: int, granted: float) -> None:
    assert granted_s(given_ms) == granted

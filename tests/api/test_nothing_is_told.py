"""Search tells nothing of what policy hides: not by count, total, page, order, link, header or error."""

from pathlib import Path

import pytest
from tests.api.door import Door
from tests.api.twins import COUNTY, Adversary, answers, readers, twins_above, twins_at_the_origin

FAST, SLOW = 500, 33_400
PLACES = ("cn", "cn/33", COUNTY)


async def _twins(folder: Path, address: str) -> tuple[Door, Door]:
    return await twins_at_the_origin(folder) if address == COUNTY else twins_above(folder, address)


async def _compare(folder: Path, address: str, searches: int, seed: int) -> None:
    knowing, ignorant = await _twins(folder, address)
    adversary, callers = Adversary(seed), readers(address)
    for number in range(searches):
        ask = adversary.ask()
        caller = callers[number % len(callers)] if number % 20 else callers[-1]
        told = await answers(knowing, ask, caller)
        assert told == await answers(ignorant, ask, caller), (ask, caller.principal.kind)


@pytest.mark.parametrize("address", PLACES)
async def test_adversarial_searches_get_the_same_answers_from_a_node_that_hides_and_from_its_twin(
    tmp_path: Path, address: str
) -> None:
    await _compare(tmp_path, address, FAST, seed=1)

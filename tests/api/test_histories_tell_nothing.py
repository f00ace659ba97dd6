"""Histories tell nothing of what policy hides: not by entry, number, page, link or error."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from tests.api.door import Door
from tests.api.twins import COUNTY, readers, twins_above, twins_at_the_origin, without_randomness

from health_exchange.model.errors import ExchangeError
from health_exchange.node.callers import Caller
from health_exchange.node.histories import Histories

PAGES_MAX = 60
SCOPES = [(None, None), ("Condition", None), ("Observation", None), ("Patient", None), ("Claim", None)]
ASKED = [(), (("_count", "1"),), (("_count", "3"), ("_since", "2026-01-01")), (("_at", "2026-11-24"),)]


async def told(
    door: Door, scope: tuple[str | None, str | None], asked: tuple[tuple[str, str], ...], caller: Caller
) -> list[object]:
    """Every page, or the error, without what is random by design."""
    pairs, seen = list(asked), list[object]()
    try:
        while len(seen) < PAGES_MAX:
            page = await Histories(door.node.parts).history(*scope, pairs, caller)
            seen.append(without_randomness(page))
            links = {each["relation"]: each["url"] for each in msgspec.json.decode(page)["link"]}
            if "next" not in links:
                break
            pairs = parse_qsl(urlsplit(links["next"]).query)
    except ExchangeError as error:
        seen.append((type(error).__name__, error.code, error.detail, error.where))
    return seen


@pytest.mark.parametrize("address", ["cn", COUNTY])
async def test_a_node_that_hides_and_its_twin_tell_the_same_histories(tmp_path: Path, address: str) -> None:
    knowing, ignorant = await twins_at_the_origin(tmp_path) if address == COUNTY else twins_above(tmp_path, address)
    compared = 0
    for caller in readers(address):
        names = [
            (kind, f"{letter}{number}") for kind in ("Patient", "Condition") for letter in "hpcx" for number in range(3)
        ]
        for scope in [*SCOPES, *names]:
            for asked in ASKED:
                ours, theirs = await told(knowing, scope, asked, caller), await told(ignorant, scope, asked, caller)
                assert ours == theirs, (scope, asked, caller.principal.kind)
                compared += sum(isinstance(each, bytes) and b'"entry"' in each for each in ours)
    assert compared > 10, "callers who are told nothing learn nothing either"

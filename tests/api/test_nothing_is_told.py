"""Search tells nothing of what policy hides: not by count, total, page, order, link, header or error."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.api.door import Door
from tests.api.twins import (
    COUNTY,
    Adversary,
    Ask,
    answers,
    every_read,
    http_answers,
    http_request,
    readers,
    twins_above,
    twins_at_the_origin,
    without_randomness,
)
from tests.federation.records import NATIONAL_ID, national_id

from health_exchange.model.addresses import NodeAddress
from health_exchange.policy.decisions import Principal

FAST, SLOW, OVER_HTTP = 250, 33_400, 150
PLACES = ("cn", "cn/33", COUNTY)
FAST_PLACES = ("cn", pytest.param("cn/33", marks=pytest.mark.slow), COUNTY)
"""A province keeps and answers as the nation does."""


async def _twins(folder: Path, address: str) -> tuple[Door, Door]:
    return await twins_at_the_origin(folder) if address == COUNTY else twins_above(folder, address)


async def _compare(folder: Path, address: str, searches: int, seed: int) -> None:
    """Ask both until so many answers were compared."""
    knowing, ignorant = await _twins(folder, address)
    adversary, callers = Adversary(seed), readers(address)
    compared = found = 0
    while compared < searches:
        ask = adversary.ask()
        caller = adversary.choose(callers)
        told = await answers(knowing, ask, caller)
        assert told == await answers(ignorant, ask, caller), (ask, caller.principal.kind, caller.purpose)
        compared += len(told)
        found += b'"entry"' in told[0] if isinstance(told[0], bytes) else 0
    assert found > searches // 50, "adversaries who find nothing learn nothing either"


@pytest.mark.parametrize("address", FAST_PLACES)
async def test_a_node_that_hides_and_its_twin_answer_some_hundred_adversarial_searches_alike(
    tmp_path: Path, address: str
) -> None:
    await _compare(tmp_path, address, FAST, seed=1)


@pytest.mark.parametrize("address", ["cn", COUNTY])
async def test_each_hidden_record_asked_for_by_name_looks_like_one_that_is_not_there(
    tmp_path: Path, address: str
) -> None:
    knowing, ignorant = await _twins(tmp_path, address)
    viewer = readers(address)[0]
    for ask in every_read():
        assert await answers(knowing, ask, viewer) == await answers(ignorant, ask, viewer), ask


@pytest.mark.slow
@pytest.mark.parametrize("address", PLACES)
async def test_a_node_that_hides_and_its_twin_answer_a_hundred_thousand_adversarial_searches_alike(
    tmp_path: Path, address: str
) -> None:
    await _compare(tmp_path, address, SLOW, seed=2)


@pytest.mark.parametrize("address", FAST_PLACES)
async def test_over_http_status_headers_and_bodies_are_alike_too(tmp_path: Path, address: str) -> None:
    await _compare_over_http(tmp_path, address, "viewer")


@pytest.mark.slow
async def test_over_http_all_is_alike_for_a_researcher_as_well(tmp_path: Path) -> None:
    await _compare_over_http(tmp_path, "cn", "researcher")


async def _compare_over_http(folder: Path, address: str, who: str) -> None:
    """Ask both the same over HTTP."""
    knowing, ignorant = await _twins(folder, address)
    adversary, dice = Adversary(3), Random(4)
    tokens = [await door.headers(who) for door in (knowing, ignorant)]
    for _each in range(OVER_HTTP):
        request = http_request(adversary.ask(), dice)
        told = await http_answers(knowing, tokens[0], request)
        assert told == await http_answers(ignorant, tokens[1], request), request


async def test_a_person_whom_the_node_has_met_is_not_told_by_the_links_of_a_search_while_key_holders_are_away(
    tmp_path: Path,
) -> None:
    knowing, ignorant = await twins_at_the_origin(tmp_path)
    told = []
    for door in (knowing, ignorant):
        door.network.faults.down |= {NodeAddress.parse(holder) for holder in ("cn", "cn/33", "cn/51")}
        pairs = [("identifier", f"{NATIONAL_ID}|{national_id(8)}"), ("_count", "1")]
        page = await door.node.reading.search("Patient", pairs, readers(COUNTY)[0])
        told.append(without_randomness(page))

    assert told[0] == told[1]


async def test_the_id_of_a_hidden_patient_leads_no_look_up_to_the_person(tmp_path: Path) -> None:
    asked = {"resourceType": "Parameters", "parameter": [{"name": "purpose", "valueCode": "TREAT"}]}
    told = []
    for door in await twins_at_the_origin(tmp_path):
        answer = await door.send("POST", "/fhir/Patient/h0/$everything", asked, who="dr-wang", X_Request_Id="adversary")
        told.append((answer.status_code, sorted(answer.headers.items()), answer.content))

    assert told[0] == told[1]
    assert told[0][0] == 404


async def test_the_unchanged_twins_do_differ_for_those_who_may_see_the_rest(tmp_path: Path) -> None:
    knowing, ignorant = await twins_at_the_origin(tmp_path)
    facility = replace(readers(COUNTY)[0], principal=Principal(kind="facility", id="hospital", address=COUNTY))
    ask = Ask(what="search", type="Condition")

    assert await answers(knowing, ask, facility) != await answers(ignorant, ask, facility)

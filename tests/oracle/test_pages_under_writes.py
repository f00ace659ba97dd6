"""Readers walk from page to page while others create, change and delete what is being paged, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.databases import NewDatabase
from tests.oracle.door import Door, named, next_of, opened, version_in
from tests.oracle.server import Ask, Name
from tests.oracle.walks import check_order

STABLE, CHURNED, WRITERS = 24, 12, 3

pytestmark = pytest.mark.enable_socket


def observation(resource_id: str, day: int, *, status: str = "final", value: int = 0) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": resource_id,
        "status": status,
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/p{day % 3}"},
        "effectiveDateTime": f"2024-01-{day:02}",
        "valueQuantity": {"value": value},
    }


def patient(number: int) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": f"p{number}", "gender": "male"}


@asynccontextmanager
async def filled(folder: Path, database: str) -> AsyncIterator[Door]:
    """A node with what stays and what is to be churned, by turns."""
    async with opened(folder, database) as door:
        kept = [observation(f"s{number}", number % 9 + 1) for number in range(STABLE)]
        kept += [observation(f"c{number}", number % 9 + 1) for number in range(CHURNED)]
        Random(1).shuffle(kept)
        for body in (*map(patient, range(3)), *kept):
            await door.write(Ask(method="PUT", type=body["resourceType"], id=body["id"], body=body))
        yield door


async def churn(door: Door, writer: int, stop: asyncio.Event) -> int:
    """Create, change, delete and bring back, until told to stop; what stays changes too, and goes on matching."""
    dice, written = Random(writer), 0
    while not stop.is_set():
        number, day = dice.randrange(CHURNED), dice.randint(1, 9)
        name, stays = f"c{number}", f"s{dice.randrange(STABLE)}"
        body = observation(name, day, status=dice.choice(("final", "amended")))
        asks = (
            Ask(method="PUT", type="Observation", id=name, body=body),
            Ask(method="DELETE", type="Observation", id=name),
            Ask(method="POST", type="Observation", body={k: v for k, v in body.items() if k != "id"}),
            Ask(method="PUT", type="Observation", id=stays, body=observation(stays, int(stays[1:]) % 9 + 1, value=day)),
            Ask(method="PUT", type="Patient", id=f"p{number % 3}", body=patient(number % 3)),
        )
        door.clock.advance(1)
        answer = await door.write(dice.choice(asks))
        assert answer.is_success or answer.status_code in {404, 429}, answer.text
        written += answer.is_success
        await asyncio.sleep(0)
    return written


async def while_written(door: Door, read: Callable[[], Any]) -> int:
    """Have something read while everything is churned; how much was written meanwhile."""
    stop = asyncio.Event()
    writers = [asyncio.create_task(churn(door, writer, stop)) for writer in range(WRITERS)]
    try:
        await read()
    finally:
        stop.set()
        written = await asyncio.gather(*writers)
    return sum(written)


async def walk(door: Door, path: str) -> list[dict[str, Any]]:
    """The entries of all pages, the writers at work between them."""
    entries, url = [], path
    while url:
        answer = await door.http.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        entries += page.get("entry", [])
        url = next_of(page)
        await asyncio.sleep(0.01)
    return entries


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "_count=5",
        "_count=5&_sort=date",
        "_count=4&_sort=-_lastUpdated,_id",
        "_count=5&subject:Patient.gender=male&_include=Observation:subject",
    ],
)
async def test_no_page_of_a_search_repeats_or_skips_what_matched_all_along(
    tmp_path: Path, new_database: NewDatabase, query: str
) -> None:
    async with filled(tmp_path / "node", new_database()) as door:

        async def read() -> None:
            for _walk in range(3):
                entries = await walk(door, f"/fhir/Observation?status=final&{query}")
                told = [named(entry) for entry in entries if entry["search"]["mode"] == "match"]
                assert len(told) == len(set(told)), "repeated"
                assert {name[1] for name in told} >= {f"s{number}" for number in range(STABLE)}, "skipped"
                assert all(entry["resource"].get("status", "final") == "final" for entry in entries)
                beside = {named(entry) for entry in entries if entry["search"]["mode"] == "include"}
                assert beside == ({("Patient", f"p{each}") for each in range(3)} if "_include" in query else set())

        assert await while_written(door, read) > STABLE


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/fhir/Observation/s1/_history", "/fhir/Observation/_history", "/fhir/_history"])
async def test_no_page_of_a_history_repeats_or_skips_what_there_was(
    tmp_path: Path, new_database: NewDatabase, path: str
) -> None:
    async with filled(tmp_path / "node", new_database()) as door:
        before: set[tuple[Name, int]] = set()

        async def read() -> None:
            nonlocal before
            for _walk in range(3):
                versions = [version_in(entry) for entry in await walk(door, f"{path}?_count=7")]
                check_order(versions)
                told = {(name, version.number) for name, version in versions}
                assert before <= told, "skipped"
                before = told
                for one in {name for name, _number in told}:
                    numbers = sorted(number for name, number in told if name == one)
                    assert numbers == list(range(1, len(numbers) + 1)), "skipped"

        assert await while_written(door, read)


async def test_links_of_others_elsewhere_changed_or_too_old_are_refused(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    async with opened(tmp_path / "node", new_database()) as door:
        for number in range(3):
            await door.write(Ask(method="PUT", type="Patient", id=f"p{number}", body=patient(number)))
        firsts = ("/fhir/Patient?_count=1", "/fhir/Patient?_count=1&_sort=_id", "/fhir/Patient/_history?_count=1")
        links = [next_of((await door.http.get(path)).json()) for path in firsts]
        others = {"Authorization": f"Bearer {await door.client.token()}"}
        for link in links:
            assert (await door.http.get(link)).status_code == 200
            at = len(link) - 9
            changed = link[:at] + ("a" if link[at] != "a" else "b") + link[at + 1 :]
            elsewhere = link.replace("/fhir/Patient", "/fhir/Observation")
            for bad in (changed, elsewhere, f"{link}&_count=2", link[:-8], f"{link.split('=')[0]}="):
                assert (await door.http.get(bad)).status_code == 400, bad
            assert (await door.http.get(link, headers=others)).status_code == 400
        swapped = links[2].split("?")[0] + "?" + links[0].split("?")[1]
        assert (await door.http.get(swapped)).status_code == 400
        door.clock.advance(60 * 60 * 1000)
        assert [(await door.http.get(link)).status_code for link in links] == [400, 400, 400]

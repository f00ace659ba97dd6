"""Writers of the same few resources at once: what each was told is what the history says, in one order."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from tests.databases import NewDatabase
from tests.oracle.door import Door, opened, version_in
from tests.oracle.server import Ask
from tests.oracle.wishes import SYSTEM

WRITERS = 6
AGAIN, MISMATCH = 429, 412

pytestmark = pytest.mark.enable_socket


@dataclass(slots=True)
class Acknowledged:
    """What writers were told: by resource and version, which of their marks it carries; ``None`` for a delete."""

    marks: dict[tuple[str, int], str | None] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)

    def hear(self, answer: httpx.Response, resource_id: str, mark: str | None, before: int | None) -> None:
        """Note one answer; ``before`` is the version that was in If-Match."""
        if not answer.is_success:
            self.refused[answer.status_code] += 1
            return
        version = int(answer.headers["ETag"].removeprefix('W/"').removesuffix('"'))
        place = resource_id or answer.headers["Location"].split("/")[-3], version
        if mark is None and self.marks.get(place, "") is None:
            # What is deleted already stays as it was.
            return
        assert place not in self.marks, "two writers were told of one version"
        assert before is None or version == before + 1, "somebody else's write was lost"
        self.marks[place] = mark


def patient(resource_id: str, mark: str) -> dict[str, Any]:
    """A Patient that carries the mark of one write."""
    return {"resourceType": "Patient", "id": resource_id, "name": [{"family": "Li", "text": mark}], "gender": "male"}


async def write_at_will(door: Door, told: Acknowledged, writer: int, rounds: int) -> None:
    """Update, patch and delete a few resources, with If-Match and without."""
    dice, current = Random(writer), dict[str, int]()
    for number in range(rounds):
        resource_id, mark = f"p{dice.randrange(3)}", f"{writer}-{number}"
        method = dice.choice(("PUT", "PUT", "PATCH", "DELETE"))
        before = current.get(resource_id) if dice.random() < 0.7 else None
        body: Any = patient(resource_id, mark) if method == "PUT" else None
        if method == "PATCH":
            body = [{"op": "replace", "path": "/name/0/text", "value": mark}]
        ask = Ask(method=method, type="Patient", id=resource_id, body=body, if_match=before)
        answer = await door.write(ask)
        told.hear(answer, resource_id, None if method == "DELETE" else mark, before if method != "DELETE" else None)
        latest = await door.send("GET", f"/fhir/Patient/{resource_id}")
        if latest.is_success:
            current[resource_id] = int(latest.json()["meta"]["versionId"])


async def versions_of(door: Door, path: str) -> dict[str, list[tuple[int, str | None]]]:
    """Every resource's versions, oldest first, each with the mark it carries."""
    found = defaultdict(list)
    for page in await door.pages(path):
        for entry in page.get("entry", []):
            (_kind, resource_id), version = version_in(entry)
            mark = version.body["name"][0]["text"] if version.body is not None else None
            found[resource_id].append((version.number, mark))
    return {resource_id: sorted(versions, key=lambda each: each[0]) for resource_id, versions in found.items()}


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])
async def test_every_acknowledged_write_is_in_the_history_once_and_nothing_else_is(
    tmp_path: Path, new_database: NewDatabase, rounds: int
) -> None:
    told = Acknowledged()
    async with opened(tmp_path / "node", new_database()) as door:
        await asyncio.gather(*(write_at_will(door, told, writer, rounds) for writer in range(WRITERS)))
        kept = await versions_of(door, "/fhir/Patient/_history?_count=50")

    for versions in kept.values():
        assert [number for number, _mark in versions] == list(range(1, len(versions) + 1)), "gaps"
    assert {(each, number): mark for each, versions in kept.items() for number, mark in versions} == told.marks
    assert set(told.refused) <= {404, 410, MISMATCH, AGAIN}
    assert told.refused[MISMATCH], "nobody has met anybody"


@pytest.mark.parametrize("rounds", [pytest.param(12, marks=pytest.mark.slow)])
async def test_counting_with_if_match_counts_every_time(tmp_path: Path, new_database: NewDatabase, rounds: int) -> None:
    async with opened(tmp_path / "node", new_database()) as door:

        async def count() -> None:
            done = 0
            while done < rounds:
                body = (await door.send("GET", "/fhir/Patient/p0")).json()
                body["multipleBirthInteger"] += 1
                ask = Ask(method="PUT", type="Patient", id="p0", body=body, if_match=int(body["meta"]["versionId"]))
                done += (await door.write(ask)).is_success

        await door.write(
            Ask(method="PUT", type="Patient", id="p0", body=patient("p0", "x") | {"multipleBirthInteger": 0})
        )
        await asyncio.gather(*(count() for _writer in range(WRITERS)))
        last = (await door.send("GET", "/fhir/Patient/p0")).json()

    assert last["multipleBirthInteger"] == WRITERS * rounds
    assert last["meta"]["versionId"] == str(WRITERS * rounds + 1)


@pytest.mark.parametrize("rounds", [pytest.param(30, marks=pytest.mark.slow)])
async def test_racing_conditional_writes_leave_one_match_at_most_and_a_history_of_what_was_told(
    tmp_path: Path, new_database: NewDatabase, rounds: int
) -> None:
    told = Acknowledged()
    where = (("identifier", f"{SYSTEM}|1"),)

    def bodies(mark: str) -> Sequence[Ask]:
        body = {**patient("", mark), "identifier": [{"system": SYSTEM, "value": "1"}]}
        del body["id"]
        patch = [{"op": "replace", "path": "/name/0/text", "value": mark}]
        return (
            Ask(method="POST", type="Patient", body=body, condition=where),
            Ask(method="PUT", type="Patient", body=body, condition=where),
            Ask(method="PATCH", type="Patient", body=patch, condition=where),
            Ask(method="DELETE", type="Patient", condition=where),
        )

    async with opened(tmp_path / "node", new_database()) as door:
        deleted = Counter[str]()

        async def write(writer: int) -> None:
            dice = Random(writer)
            for number in range(rounds):
                mark = f"{writer}-{number}"
                ask = dice.choices(bodies(mark), (3, 3, 2, 1))[0]
                answer = await door.write(ask)
                if ask.method == "DELETE":
                    deleted["done" if answer.is_success and "ETag" in answer.headers else "nothing"] += 1
                elif answer.is_success:
                    assert answer.headers["ETag"] == f'W/"{answer.json()["meta"]["versionId"]}"'
                    if answer.json()["name"][0]["text"] == mark:
                        told.hear(answer, "", mark, None)
                else:
                    assert answer.status_code in {404, AGAIN}, answer.text
                found = (await door.http.get(f"/fhir/Patient?identifier={SYSTEM}|1")).json()
                assert found["total"] <= 1, "a duplicate"

        await asyncio.gather(*(write(writer) for writer in range(WRITERS)))
        kept = await versions_of(door, "/fhir/Patient/_history?_count=50")

    marks = {(each, number): mark for each, versions in kept.items() for number, mark in versions}
    assert {place: mark for place, mark in marks.items() if mark is not None} == told.marks
    assert list(marks.values()).count(None) == deleted["done"]

"""``_summary`` and ``_elements`` over HTTP: on reads, searches and histories, kept by the links to further pages."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.requests import Request
from starlette.responses import Response
from tests.api.door import FHIR, Door, issue_of
from tests.federation.records import observation, patient, transaction

from health_exchange.api.wishes import Wishes

T = TypeVar("T")


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    observations = [observation(f"o{number}", "p1", "1.50") | {"note": [{"text": "n"}]} for number in range(3)]
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), *observations))
    return door


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Observation/o1?",
        "/fhir/Observation/o1/_history/1?",
        "/fhir/Observation/o1/_history?",
        "/fhir/Observation/_history?",
        "/fhir/Observation?_id=o1&",
        "/fhir/Patient/p1/$everything?",
    ],
)
async def test_a_part_of_each_resource_is_told(door: Door, path: str) -> None:
    for asked, there, gone in (("_elements=status", "status", "note"), ("_summary=true", "code", "note")):
        answer = await door.send("GET", path + asked)
        resources = [entry["resource"] for entry in answer.json().get("entry", [{"resource": answer.json()}])]
        observations = [each for each in resources if each["resourceType"] == "Observation"]
        assert answer.status_code == 200
        assert observations
        for each in observations:
            assert there in each
            assert gone not in each
            assert each["meta"]["tag"][-1]["code"] == "SUBSETTED"
        assert (b"1.50" in answer.content) is (asked == "_summary=true")


async def test_a_compartments_search_gives_parts_of_many_whatever_the_person_is_called(door: Door) -> None:
    theirs = [
        patient("Observation", identity=None),
        observation("o9", "Observation", "1.50") | {"note": [{"text": "n"}]},
    ]
    await door.send("POST", "/fhir", transaction(*theirs))
    answer = (await door.send("GET", "/fhir/Patient/Observation/Observation?_summary=true")).json()

    assert (answer["resourceType"], answer["total"]) == ("Bundle", 1)
    assert "tag" not in answer.get("meta", {})
    assert "note" not in answer["entry"][0]["resource"]


async def test_further_pages_are_told_alike(door: Door) -> None:
    for path in (
        "/fhir/Observation?_count=1&_elements=status&_pretty=true",
        "/fhir/Observation/_history?_count=1&_summary=text",
    ):
        url: str | None = path
        pages: list[dict[str, Any]] = []
        while url is not None:
            page = await door.send("GET", url)
            assert page.status_code == 200, page.text
            assert (b"\n" in page.content) is ("_pretty" in path)
            pages.append(page.json())
            links = {link["relation"]: link["url"] for link in pages[-1]["link"]}
            url = links["next"].removeprefix(door.base) if "next" in links else None
        resources = [entry["resource"] for page in pages for entry in page.get("entry", [])]
        assert len(resources) == 3
        assert not any("note" in each for each in resources)


async def test_a_search_by_post_has_its_wishes_in_its_form(door: Door) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    answer = await door.send("POST", "/fhir/Observation/_search", b"_id=o1&_elements=status", **form)

    assert answer.status_code == 200
    assert "note" not in answer.json()["entry"][0]["resource"]
    refused = await door.send("POST", "/fhir/Observation/_search", b"_id=o1&_format=xml", **form)
    assert refused.status_code == 406


async def test_all_of_a_resource_is_told_where_no_part_is_asked_for(door: Door) -> None:
    plain, whole = [await door.send("GET", f"/fhir/Observation/o1{query}") for query in ("", "?_summary=false")]

    assert plain.content == whole.content


@pytest.mark.parametrize(
    "query",
    [
        "_summary=maybe",
        "_elements=bogus",
        "_elements=",
        "_elements=status&_summary=true",
        "_summary=true&_summary=text",
    ],
)
async def test_a_part_that_cannot_be_is_refused(door: Door, query: str) -> None:
    answer = await door.send("GET", f"/fhir/Observation/o1?{query}")

    assert answer.status_code == 400
    assert issue_of(answer)["expression"][0] in {"_summary", "_elements"}


class Elsewhere:
    """Workers that work reaches as it reaches other processes: pickled."""

    def __init__(self) -> None:
        self.work: list[int] = []

    async def run(self, fn: Callable[..., T], *arguments: object, work_bytes: int) -> T:
        self.work.append(work_bytes)
        there, given = pickle.loads(pickle.dumps((fn, arguments)))  # noqa: S301  # made here
        result: T = there(*given)
        return result


@pytest.mark.parametrize(
    ("query", "path", "times"),
    [
        ("_pretty=true", "/fhir/Observation/o1", 1),
        ("_elements=status", "/fhir/Observation/o1", 1),
        ("_summary=true&_pretty=true", "/fhir/Observation", 2),
        ("_format=json", "/fhir/Observation/o1", 0),
        ("", "/fhir/Observation", 0),
    ],
)
async def test_a_large_answer_is_laid_out_where_it_holds_nobody_up(query: str, path: str, times: int) -> None:
    resource = json.dumps({"resourceType": "Observation", "id": "o1", "status": "final", "valueString": "x" * 50_000})
    is_one = path.endswith("o1")
    body = resource if is_one else f'{{"resourceType":"Bundle","entry":[{{"resource":{resource}}}]}}'
    named = {"type": "Observation"} | ({"id": "o1"} if is_one else {})
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    request = Request(scope | {"path_params": named})
    workers = Elsewhere()
    answer = await Wishes.of(request).granted(request, Response(body, media_type=FHIR), workers)

    assert len(workers.work) == times
    assert workers.work[:1] == [len(body)][:times]
    assert ("x" * 50_000 in bytes(answer.body).decode()) == ("_elements" not in query)
    assert answer.headers["content-length"] == str(len(answer.body))

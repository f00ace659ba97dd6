"""Histories over HTTP: newest first, deletions included, in pages that neither repeat nor skip."""

import json
import secrets
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door, issue_of
from tests.federation.network import Network
from tests.federation.records import condition, national_id, objection, observation, patient, transaction

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.search import finding
from health_exchange.store import audit_log

ON_BOTH_DATABASES = True


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), observation("o1", "p1", "1.50")))
    for value in ("1.60", "1.700"):
        door.advance(hours=1)
        await door.send("PUT", "/fhir/Observation/o1", transaction_body(observation("o1", "p1", value)))
    door.advance(hours=1)
    await door.send("DELETE", "/fhir/Observation/o1")
    return door


def transaction_body(resource: dict[str, Any]) -> bytes:
    raw = transaction(resource)
    return raw[raw.index(b'{"resourceType": "' + resource["resourceType"].encode()) : raw.index(b', "request"')]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


def told(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (entry["request"]["method"], entry["request"]["url"] + entry["response"]["etag"])
        for entry in bundle.get("entry", [])
    ]


async def last_entry(door: Door) -> AuditEntry:
    store = door.node.parts.store
    found = store.read_now(lambda tx: audit_log.entries(tx, audit_log.size(tx) - 1, audit_log.size(tx)))
    assert found[0].raw is not None
    return decode_entry(found[0].raw[32:])


async def test_a_resources_history_tells_every_version_and_its_end(door: Door) -> None:
    answer = await door.send("GET", "/fhir/Observation/o1/_history")
    bundle = answer.json()

    assert (bundle["type"], bundle["total"]) == ("history", 4)
    assert [entry["response"]["status"][:3] for entry in bundle["entry"]] == ["204", "200", "200", "201"]
    assert [entry["response"]["etag"] for entry in bundle["entry"]] == [f'W/"{number}"' for number in (4, 3, 2, 1)]
    assert [entry["request"]["method"] for entry in bundle["entry"]] == ["DELETE", "PUT", "PUT", "PUT"]
    assert "resource" not in bundle["entry"][0]
    assert all(each in answer.content for each in (b"1.50", b"1.60", b"1.700"))
    assert all(entry["fullUrl"] == f"{door.base}/fhir/Observation/o1" for entry in bundle["entry"])
    times = [entry["response"]["lastModified"] for entry in bundle["entry"]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("path", "count"), [("/fhir/_history", 5), ("/fhir/Observation/_history", 4), ("/fhir/Patient/_history", 1)]
)
async def test_a_type_and_the_node_have_histories_too(door: Door, path: str, count: int) -> None:
    bundle = (await door.send("GET", path)).json()

    assert len(bundle["entry"]) == count
    assert bundle["entry"][0]["response"]["status"][:3] == ("204" if count > 1 else "201")


@pytest.mark.parametrize("path", ["/fhir/_history", "/fhir/Observation/_history", "/fhir/Observation/o1/_history"])
async def test_a_page_of_a_history_ends_before_it_is_too_large_and_the_next_goes_on(
    door: Door, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    whole = (await door.send("GET", path)).json()
    largest = max(len(json.dumps(entry.get("resource", ""))) for entry in whole["entry"])
    monkeypatch.setattr(finding, "PAGE_BYTES_MAX", 2 * largest)
    page = (await door.send("GET", path)).json()
    pages, total = [told(page)], page.get("total")
    while (url := link(page, "next")) is not None:
        page = (await door.send("GET", url)).json()
        pages.append(told(page))
    monkeypatch.setattr(finding, "PAGE_BYTES_MAX", 1)
    alone = (await door.send("GET", f"{path}?_count=3")).json()

    assert [each for page in pages for each in page] == told(whole)
    assert (len(pages) > 1, total) == (True, whole.get("total"))
    assert told(alone) == told(whole)[:1]


@pytest.mark.parametrize("path", ["/fhir/Observation/_history", "/fhir/Observation/o1/_history"])
async def test_a_page_of_one_takes_no_memory_for_the_versions_that_are_not_shown(door: Door, path: str) -> None:
    versions, each_bytes = 24, 400_000
    for _ in range(versions):
        noted = {"note": [{"text": secrets.token_hex(each_bytes // 2)}]}
        await door.send("PUT", "/fhir/Observation/o1", transaction_body(observation("o1", "p1", "9") | noted))
    tracemalloc.start()
    try:
        bundle = (await door.send("GET", f"{path}?_count=1")).json()
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(bundle["entry"]) == 1
    # A hexadecimal digit is kept in half a byte.
    assert peak < 8 * each_bytes < versions * each_bytes / 2


@pytest.mark.parametrize("path", ["/fhir/_history", "/fhir/Observation/_history", "/fhir/Observation/o1/_history"])
async def test_pages_of_a_history_hold_what_there_was_when_it_began(door: Door, path: str) -> None:
    whole = told((await door.send("GET", path)).json())
    page = (await door.send("GET", f"{path}?_count=2")).json()
    found = told(page)
    while (following := link(page, "next")) is not None:
        await door.send("PUT", "/fhir/Observation/o1", transaction_body(observation("o1", "p1", "9")))
        page = (await door.send("GET", following.removeprefix(door.base))).json()
        found += told(page)

    assert found == whole
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("path", ["/fhir/_history", "/fhir/Observation/_history", "/fhir/Observation/o1/_history"])
async def test_a_history_is_told_since_and_at_a_time(door: Door, path: str) -> None:
    every = (await door.send("GET", "/fhir/Observation/o1/_history")).json()["entry"]
    first, second, third, gone = (entry["response"]["lastModified"].replace("+", "%2B") for entry in reversed(every))

    async def versions(query: str) -> list[str]:
        entries = (await door.send("GET", f"{path}?{query}")).json().get("entry", [])
        return [e["response"]["etag"][3:-1] for e in entries if e["request"]["url"] == "Observation/o1"]

    assert await versions(f"_since={third}") == ["4", "3"]
    assert await versions(f"_since={gone}") == ["4"]
    assert await versions("_since=2999") == []
    assert await versions(f"_at={second}") == ["2"]
    assert await versions(f"_at={first}") == ["1"]
    assert await versions("_at=1999") == []
    assert await versions("_at=2999") == ["4"]


async def test_a_history_with_a_count_of_none_tells_how_many(door: Door) -> None:
    bundle = (await door.send("GET", "/fhir/Observation/o1/_history?_count=0")).json()

    assert (bundle["total"], "entry" in bundle, link(bundle, "next")) == (4, False, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fhir/Observation/never/_history", 404),
        ("/fhir/Nothing/_history", 404),
        ("/fhir/Observation/_history?_sort=x", 400),
        ("/fhir/Observation/_history?_count=many", 400),
        ("/fhir/Observation/_history?_since=someday", 400),
        ("/fhir/Observation/_history?_since=2024&_since=2025", 400),
        ("/fhir/Observation/_history?_page=abc", 400),
        ("/fhir/Observation/_history?_page=abc&_count=1", 400),
    ],
)
async def test_a_history_that_cannot_be_is_refused(door: Door, path: str, status: int) -> None:
    answer = await door.send("GET", path)

    assert answer.status_code == status
    assert issue_of(answer)["severity"] == "error"


async def test_a_link_to_a_page_is_for_its_caller_its_history_and_its_time(door: Door) -> None:
    following = link((await door.send("GET", "/fhir/Observation/_history?_count=1")).json(), "next")
    assert following is not None
    path = following.removeprefix(door.base)

    assert (await door.send("GET", path, who="viewer")).status_code in {400, 403}
    assert (await door.send("GET", path.replace("/Observation/", "/Patient/"))).status_code == 400
    door.advance(hours=2)
    assert (await door.send("GET", path)).status_code == 400


async def test_reading_a_history_is_in_the_log_with_whom_it_was_about(door: Door) -> None:
    await door.send("PUT", "/fhir/Patient/p1", patient("p1", identity=national_id(1)))
    await door.send("GET", "/fhir/Observation/o1/_history")
    entry = await last_entry(door)

    assert (entry.kind, entry.action, entry.outcome) == ("read", "read", "allowed")
    assert len(entry.subjects) == 1
    assert entry.summary == "history of 1 Observation: 4 versions"


async def test_a_former_version_is_as_hidden_as_what_is_known_now(tmp_path: Path) -> None:
    """At the nation a viewer may read what is not sensitive: a diagnosis that became one is gone from all histories."""
    door = Door(tmp_path, "cn", Network(tmp_path))
    county = Door(tmp_path, network=door.network)
    await county.send(
        "POST", "/fhir", transaction(patient("p1", identity=national_id(1)), condition("c1", "p1", "E11"))
    )
    await county.send("PUT", "/fhir/Condition/c1", condition("c1", "p1", "F20"))
    where = {who: await county.send("GET", "/fhir/Condition/c1/_history", who=who) for who in ("hospital", "viewer")}
    whole = {who: await county.send("GET", "/fhir/Condition/_history", who=who) for who in ("hospital", "viewer")}

    assert where["hospital"].json()["total"] == 2
    assert len(whole["hospital"].json()["entry"]) == 2
    read = await county.send("GET", "/fhir/Condition/c1", who="viewer")
    assert where["viewer"].status_code == read.status_code
    assert read.status_code in {403, 404}
    assert "entry" not in whole["viewer"].json()
    assert "total" not in whole["viewer"].json()


async def test_a_former_version_is_hidden_by_the_objection_of_the_person_whose_it_was(tmp_path: Path) -> None:
    door = Door(tmp_path)
    people = patient("p1", identity=national_id(1)), patient("p2", identity=national_id(2))
    await door.send("POST", "/fhir", transaction(*people, observation("o1", "p1"), observation("o2", "p1")))
    await door.send("POST", "/fhir", transaction(observation("o1", "p2")))
    await door.network.settle()
    paths = ("/fhir/Observation/o1/_history/1", "/fhir/Observation/o1/_history", "/fhir/Observation/_history")
    before = [await door.send("GET", path, who="dr-wang") for path in paths]
    named = await last_entry(door)
    await door.send("POST", "/fhir", transaction(objection("c1", "p1")))
    alone, *listed = [await door.send("GET", path, who="dr-wang") for path in paths]

    assert [answer.status_code for answer in before] == [200] * 3
    assert len(named.subjects) == 2
    assert (alone.status_code, issue_of(alone)["details"]["coding"][0]["code"]) == (404, "not-found")
    assert [told(answer.json()) for answer in listed] == [[("PUT", 'Observation/o1W/"2"')]] * 2
    assert "Patient/p1" not in "".join(answer.text for answer in listed)


async def test_the_log_names_both_persons_of_a_version_that_was_anothers(tmp_path: Path) -> None:
    door = Door(tmp_path)
    people = patient("p1", identity=national_id(1)), patient("p2", identity=national_id(2))
    await door.send("POST", "/fhir", transaction(*people, observation("o1", "p1")))
    await door.send("POST", "/fhir", transaction(observation("o1", "p2")))
    await door.network.settle()
    seen = []
    for path in ("Patient/p1", "Patient/p2", "Observation/o1/_history/1", "Observation/o1"):
        assert (await door.send("GET", f"/fhir/{path}")).status_code == 200
        seen.append(set((await last_entry(door)).subjects))

    was, now, former, current = seen
    assert (former, current) == (was | now, now)
    assert was != now

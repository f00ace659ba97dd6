"""``Patient/[id]/$everything`` over HTTP: in pages that miss and repeat nothing, narrowed as R4 has it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.api.door import Door, issue_of
from tests.federation.records import observation, patient, transaction
from tests.wiring.alone import alone

from health_exchange.fhir.validation import validate
from health_exchange.node import everything
from health_exchange.search import belongings, finding
from health_exchange.store.schema import audit_entries

ON_BOTH_DATABASES = True
PATH = "/fhir/Patient/p1/$everything"


def dated(local_id: str, date: str) -> dict[str, Any]:
    return observation(local_id, "p1") | {"effectiveDateTime": date, "valueQuantity": {"value": 1}}


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    door = Door(tmp_path)
    found = [dated(f"o{number}", f"2025-0{number}-01") for number in range(1, 8)]
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None), *found, patient("p2", identity=None)))
    return door


def names(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", ())]


def following(bundle: dict[str, Any]) -> str:
    return next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")


async def test_pages_give_everything_once_whatever_is_written_meanwhile(door: Door) -> None:
    page = (await door.send("GET", f"{PATH}?_count=3")).json()
    first, seen = page, names(page)
    while url := following(page):
        meanwhile = [("o5", "2024-01-01"), ("o1", "2026-01-01"), (f"n{len(seen)}", "2025-01-01")]
        for name, date in meanwhile:
            assert (await door.send("PUT", f"/fhir/Observation/{name}", dated(name, date))).is_success
        answer = await door.send("GET", url)
        validate(answer.content)
        page = answer.json()
        seen += names(page)

    assert seen == ["p1", *(f"o{number}" for number in range(1, 8))]
    assert (first["total"], page["total"]) == (8, 8)
    assert following(first).startswith(f"{door.base}{PATH}?_page=")


async def test_what_is_deleted_meanwhile_is_left_out_and_nothing_else(door: Door) -> None:
    page = (await door.send("GET", f"{PATH}?_count=3")).json()
    await door.send("DELETE", "/fhir/Observation/o4")
    rest = (await door.send("GET", following(page))).json()

    assert names(rest) == ["o3", "o5", "o6"]


async def test_without_a_count_one_page_holds_what_most_persons_have(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (await door.send("GET", PATH)).json()
    monkeypatch.setattr(everything, "PAGE_MAX", 5)
    bounded = (await door.send("GET", PATH)).json()

    assert (len(names(whole)), following(whole)) == (8, "")
    assert (len(names(bounded)), bounded["total"], bool(following(bounded))) == (5, 8, True)
    assert len(names((await door.send("GET", f"{PATH}?_count=100000")).json())) == 5


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("_type=Patient", "p1"),
        ("_type=Patient,Condition", "p1"),
        ("_type=Condition&_type=Patient", "p1"),
        ("_type=Condition", ""),
        ("start=2025-06", "p1 o6 o7"),
        ("end=2025-02-01", "p1 o1 o2"),
        ("end=2025-01-31", "p1 o1"),
        ("start=2025-03-01&end=2025-04&_type=Observation", "o3 o4"),
        ("start=2027", "p1"),
        ("_count=0", ""),
    ],
)
async def test_types_and_dates_narrow_it_and_what_has_no_date_belongs_to_every_period(
    door: Door, asked: str, found: str
) -> None:
    by_get = (await door.send("GET", f"{PATH}?{asked}")).json()

    assert names(by_get) == found.split()
    assert by_get["total"] == (8 if asked == "_count=0" else len(found.split()))


@pytest.mark.enable_socket
async def test_where_nobody_is_looked_up_elsewhere_it_is_asked_by_post_as_by_get(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        found = [dated(f"o{number}", f"2025-0{number}-01") for number in range(1, 8)]
        await node.send("POST", "/fhir", raw=transaction(patient("p1", identity=None), *found))
        values: dict[str, dict[str, Any]] = {
            "_type": {"valueCode": "Observation"},
            "start": {"valueDate": "2025-03"},
            "_count": {"valueInteger": 2},
        }
        body = {"resourceType": "Parameters", "parameter": [{"name": name, **values[name]} for name in values]}
        first = (await node.send("POST", PATH, body)).json()
        second = (await node.send("GET", following(first))).json()
        whole = await node.send("POST", PATH)
        wrong = [
            await node.send("POST", PATH, each)
            for each in ({"resourceType": "Patient"}, {"resourceType": "Parameters", "parameter": [{"name": "start"}]})
        ]

    assert (names(first), names(second), first["total"]) == (["o3", "o4"], ["o5", "o6"], 5)
    assert len(names(whole.json())) == 8
    assert [answer.status_code for answer in wrong] == [400, 400]


async def test_a_page_ends_before_it_is_too_large_and_the_next_goes_on(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE_BYTES_MAX", 700)
    monkeypatch.setattr(belongings, "OPENED_AT_ONCE", 2)
    page = (await door.send("GET", PATH)).json()
    pages = [names(page)]
    while url := following(page):
        page = (await door.send("GET", url)).json()
        pages.append(names(page))

    assert [name for each in pages for name in each] == ["p1", *(f"o{number}" for number in range(1, 8))]
    assert 1 < len(pages) < 8
    assert page["total"] == 8


async def test_what_is_larger_than_a_page_has_one_of_its_own(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PAGE_BYTES_MAX", 1)
    page = (await door.send("GET", f"{PATH}?_count=5")).json()

    assert (names(page), page["total"], bool(following(page))) == (["p1"], 8, True)


@pytest.mark.parametrize("asked", ["", "&_sort=date", "&_sort=-code"])
async def test_a_search_ends_its_pages_alike(door: Door, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setattr(finding, "PAGE_BYTES_MAX", 700)
    page = (await door.send("GET", f"/fhir/Observation?_count=5&_total=accurate{asked}")).json()
    pages = [names(page)]
    while url := following(page):
        page = (await door.send("GET", url)).json()
        pages.append(names(page))

    assert sorted(name for each in pages for name in each) == [f"o{number}" for number in range(1, 8)]
    assert all(0 < len(each) < 5 for each in pages)
    assert page["total"] == 7


@pytest.mark.parametrize("source", [{}, {"source": "urn:lab:7"}])
async def test_each_resource_is_what_a_read_of_it_gives(door: Door, source: dict[str, str]) -> None:
    await door.send("PUT", "/fhir/Observation/o1", dated("o1", "2025-01-01") | {"meta": source})
    whole = (await door.send("GET", PATH)).json()
    found = [entry["resource"] for entry in whole["entry"]]

    assert found == [
        (await door.send("GET", f"/fhir/{resource['resourceType']}/{resource['id']}")).json() for resource in found
    ]
    assert found[1]["meta"].keys() - {"versionId", "lastUpdated"} == source.keys()


async def test_since_gives_what_was_changed_since(door: Door) -> None:
    door.advance(hours=1)
    now = door.network.clock.now().isoformat().replace("+00:00", "Z")
    door.advance(seconds=1)
    changed = await door.send("PUT", "/fhir/Observation/o2", dated("o2", "2025-02-02"))
    assert changed.status_code == 200, changed.text

    answer = await door.send("GET", f"{PATH}?_since={now}")
    assert names(answer.json()) == ["o2"], answer.text
    assert names((await door.send("GET", f"{PATH}?_since=2020-01-01")).json())[0] == "p1"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("_type=Horoscope", "bad-search"),
        ("_count=-1", "bad-search"),
        ("_count=1&_count=2", "bad-search"),
        ("start=someday", "bad-search"),
        ("_since=2025-02-30", "bad-search"),
        ("purpose=TREAT", "unknown-parameter"),
        ("_page=abc", "bad-page"),
        ("_page=abc&_count=1", "bad-page"),
    ],
)
async def test_what_it_does_not_take_is_refused_by_name(door: Door, asked: str, code: str) -> None:
    answer = await door.send("GET", f"{PATH}?{asked}")

    assert (answer.status_code, issue_of(answer)["details"]["coding"][0]["code"]) == (400, code)


async def test_a_link_is_good_for_its_caller_its_person_and_an_hour(door: Door) -> None:
    url = following((await door.send("GET", f"{PATH}?_count=3")).json())
    another = await door.send("GET", url.replace("Patient/p1", "Patient/p2"))
    somebody = await door.send("GET", url, who="desk")
    door.advance(minutes=61)
    late = await door.send("GET", url)

    assert [answer.status_code for answer in (another, late)] == [400, 400]
    assert somebody.status_code in {400, 403}


async def test_each_page_is_an_entry_of_the_log_and_laid_out_as_wished(door: Door) -> None:
    count = select(func.count()).select_from(audit_entries)
    before = await door.node.parts.store.read(lambda tx: tx.execute(count).scalar_one())
    page = await door.send("GET", f"{PATH}?_count=3&_elements=id&_pretty=true")
    after = await door.send("GET", following(page.json()))

    assert b"\n" in page.content
    assert b"\n" in after.content
    assert all("subject" not in entry["resource"] for entry in after.json()["entry"])
    assert await door.node.parts.store.read(lambda tx: tx.execute(count).scalar_one()) - before == 2

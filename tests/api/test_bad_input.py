"""Bad input at the HTTP door: a clear error that says what and where, nobody's data in it, nothing half written."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from starlette.types import Message
from tests.api.door import FHIR, Door, issue_of
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.wiring.assembly import fhir_app

REJECTED = Path(__file__).parents[2] / "sample_records" / "rejected"
CASES = sorted(path.name.removesuffix(".expected.json") for path in REJECTED.glob("*.expected.json"))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


async def raw_query(door: Door, query: bytes) -> tuple[int, bytes]:
    """Status and body of a search whose URL is sent as these bytes, which no client library does."""
    headers = [(name.lower().encode(), value.encode()) for name, value in (await door.headers()).items()]
    scope = {"type": "http", "method": "GET", "path": "/fhir/Patient", "query_string": query, "headers": headers}
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await fhir_app(door.node, {name: each.client for name, each in door.registrations.items()})(scope, receive, send)
    return int(told[0]["status"]), b"".join(message["body"] for message in told[1:])


@pytest.mark.parametrize("query", ["name=李".encode(), b"name=\xff", b"\xff\xfe"])
async def test_a_url_with_bytes_that_no_url_has_is_refused(door: Door, query: bytes) -> None:
    status, body = await raw_query(door, query)

    assert status == 400
    assert b'"bad-url"' in body


@pytest.mark.parametrize("case", CASES)
async def test_a_rejected_sample_gets_the_answer_beside_it(door: Door, case: str) -> None:
    expected = json.loads((REJECTED / f"{case}.expected.json").read_text())
    body = (REJECTED / f"{case}.json").read_bytes()
    before = door.rows()

    answer = await door.send(expected["method"], expected["path"], body)

    assert answer.status_code == expected["status"], answer.text
    if "entry_status" in expected:
        statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
        wrong = next(entry["response"] for entry in answer.json()["entry"] if entry["response"]["status"][0] == "4")
        issue = wrong["outcome"]["issue"][0]
        assert sum(status.startswith("2") for status in statuses) == expected["stored"]
    else:
        issue = issue_of(answer)
        if expected["stored"] == 0:
            assert door.rows() == before
    assert issue["details"]["coding"][0]["code"] == expected["issue_code"]
    if expected["where"]:
        assert expected["where"] in json.dumps(issue.get("expression", []))


@pytest.mark.parametrize(("entries", "bad"), [(500, 250)])
async def test_one_bad_entry_of_five_hundred(door: Door, entries: int, bad: int) -> None:
    bundle = json.loads(
        transaction(*(observation(f"o{n}", "p1") for n in range(entries)), patient("p1", identity=None))
    )
    bundle["entry"][bad]["resource"]["status"] = "no-such-status"
    before = door.rows()

    whole = await door.send("POST", "/fhir", bundle)
    assert whole.status_code == 400
    assert f"Bundle.entry[{bad}]" in json.dumps(issue_of(whole)["expression"])
    assert door.rows() == before

    bundle["type"] = "batch"
    bundle["entry"].insert(0, bundle["entry"].pop())
    one_by_one = await door.send("POST", "/fhir", bundle)
    statuses = [entry["response"]["status"][:3] for entry in one_by_one.json()["entry"]]
    assert statuses.count("400") == 1
    assert statuses.count("201") == entries


async def endless(size: int) -> AsyncIterator[bytes]:
    """A body of ``size`` bytes that nobody has to hold."""
    for _chunk in range(size >> 20):
        yield b" " * (1 << 20)


async def test_a_body_of_200_megabytes_is_refused_before_it_is_read(door: Door) -> None:
    headers = await door.headers()

    declared = await door.http.post("/fhir", content=b"", headers=headers | {"Content-Length": str(200 << 20)})
    counted = await door.http.post("/fhir", content=endless(200 << 20), headers=headers)

    for answer in (declared, counted):
        assert answer.status_code == 413
        assert "at most" in issue_of(answer)["diagnostics"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/fhir/Patient?identifier=urn:oid:2.16.156.10011.1.3|{number}"),
        ("GET", "/fhir/Patient/{number}"),
        ("GET", "/fhir/Observation?subject=Patient/{number}"),
        ("PUT", "/fhir/Patient/{number}"),
    ],
)
async def test_a_national_id_in_a_url_is_refused_and_not_repeated(door: Door, method: str, path: str) -> None:
    number = national_id(1)

    answer = await door.send(method, path.format(number=number), patient(number, identity=None))

    assert answer.status_code == 400
    assert number not in answer.text
    assert not [name for name, value in answer.headers.items() if number in value]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"aud": "https://elsewhere.example/oauth/token"}, 401),
        ({"iss": "nobody"}, 401),
        ({"sub": "somebody-else"}, 401),
        ({"jti": None}, 401),
        ({"exp": None}, 401),
        ({"exp": 1}, 401),
        ({"exp": 1 << 40}, 401),
        ({"exp": "soon"}, 401),
    ],
)
async def test_an_assertion_with_wrong_claims_gets_no_token(door: Door, change: dict[str, object], status: int) -> None:
    answer = await door.ask_token(door.assertion(**change))

    assert answer.status_code == status
    assert answer.json()["error"] == "invalid_client"


async def test_an_assertion_is_good_once(door: Door) -> None:
    assertion = door.assertion()

    assert (await door.ask_token(assertion)).status_code == 200
    again = await door.ask_token(assertion)
    assert again.status_code == 401
    assert "jti" in again.json()["error_description"]


async def test_a_clients_clock_an_hour_off_is_told(door: Door) -> None:
    hour = 3600
    now = int(door.network.clock.now().timestamp())

    behind = await door.ask_token(door.assertion(exp=now - hour + 240))
    ahead = await door.ask_token(door.assertion(exp=now + hour + 240))

    for answer in (behind, ahead):
        assert answer.status_code == 401
        assert "clock" in answer.json()["error_description"]


async def test_a_token_expires(door: Door) -> None:
    headers = await door.headers()
    # A token that was good is remembered; that it has expired is looked at each time.
    assert (await door.http.get("/fhir/Patient", headers=headers)).status_code == 200
    door.advance(minutes=6)

    answer = await door.http.get("/fhir/Patient", headers=headers)

    assert answer.status_code == 401
    assert "expired" in issue_of(answer)["diagnostics"]


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer x.y.z", "Basic aG9zcGl0YWw6"])
async def test_without_a_token_of_ours_nothing_is_told(door: Door, authorization: str) -> None:
    answer = await door.http.get("/fhir/Patient", headers={"Authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_of_another_node_is_worth_nothing(door: Door, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Door(tmp_path / "other", "cn/51/5100")

    answer = await door.http.get("/fhir/Patient", headers=await other.headers())

    assert (answer.status_code in {401, 200} and other.base == door.base) or answer.status_code == 401


async def test_another_media_type_is_refused(door: Door) -> None:
    headers = await door.headers() | {"Content-Type": "application/fhir+xml"}

    answer = await door.http.post("/fhir/Patient", content=b"<Patient/>", headers=headers)

    assert answer.status_code == 415
    assert FHIR in issue_of(answer)["diagnostics"]


async def test_a_request_id_serves_one_request(door: Door) -> None:
    bundle = transaction(patient("p1", identity=national_id(1)))
    first = await door.send("POST", "/fhir", bundle, X_Request_Id="r1")
    again = await door.send("POST", "/fhir", bundle, X_Request_Id="r1")
    other = await door.send("POST", "/fhir", transaction(patient("p2", identity=None)), X_Request_Id="r1")

    assert first.json() == again.json()
    assert other.status_code == 409
    assert door.rows()["resources"] == 1


async def test_a_full_disk_is_told_and_nothing_is_half_written(door: Door) -> None:
    await door.send("POST", "/fhir", transaction(patient("p0", identity=None)))
    before, engine = door.rows(), door.node.parts.store._database.engine
    headers = await door.headers()

    @event.listens_for(engine, "begin")
    def _fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    many = transaction(patient("p1", identity=None), *(observation(f"o{n}", "p1") for n in range(400)))
    full = await door.http.post("/fhir", content=many, headers=headers)
    ready = await door.http.get("/health/ready")
    event.remove(engine, "begin", _fill)

    assert full.status_code == ready.status_code == 503
    assert "Retry-After" in full.headers
    assert ready.json()["missing"][0] == {
        "code": "database-takes-nothing",
        "detail": "the database does not answer: SQLITE_FULL",
        "since": None,
        "blocks": True,
    }
    assert door.rows() == before
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert (await door.http.post("/fhir", content=many, headers=headers)).status_code == 200
    assert "database-takes-nothing" not in (await door.http.get("/health/ready")).text


@pytest.mark.parametrize(
    "path", ["/fhir/Patient?_text=x", "/fhir/Patient?_id:above=x", "/fhir/Observation?date=someday"]
)
async def test_a_search_that_is_not_offered_is_refused_and_never_ignored(door: Door, path: str) -> None:
    answer = await door.send("GET", path)

    assert answer.status_code in {400, 501}
    assert issue_of(answer)["severity"] == "error"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Patient/p1?gender=male", "gender"),
        ("Patient/p1?_summary=count", "_summary"),
        ("Patient/p1/_history/1?x=y", "x"),
        ("Patient/p1/$meta?x=", "x"),
        ("Patient/p1/$everything?purpose=TREAT", "purpose"),
        ("metadata?x=y", "x"),
        ("metadata?mode=terminology", "mode"),
    ],
)
async def test_a_parameter_that_nobody_reads_is_refused_by_name(door: Door, path: str, name: str) -> None:
    await door.send("POST", "/fhir", transaction(patient("p1", identity=None)))

    answer = await door.send("GET", f"/fhir/{path}")
    plain = await door.send("GET", f"/fhir/{path.partition('?')[0]}?_format=json")

    assert (answer.status_code, plain.status_code) == (400, 200)
    assert issue_of(answer)["details"]["coding"][0]["code"] == "unknown-parameter"
    assert issue_of(answer)["diagnostics"].startswith(f"{name} is not offered")


async def test_a_bundle_with_a_parameter_that_nobody_reads_is_refused_by_name_and_not_carried_out(door: Door) -> None:
    answer = await door.send("POST", "/fhir?x=1", transaction(patient("p1", identity=None)))
    before = door.rows()
    plain = await door.send("POST", "/fhir?_format=json", transaction(patient("p1", identity=None)))

    assert (answer.status_code, plain.status_code) == (400, 200)
    assert issue_of(answer)["diagnostics"].startswith("x is not offered")
    assert before["resources"] == 0


@pytest.mark.parametrize("path", ["/fhir/Nothing/1", "/fhir/Patient/none", "/nowhere", "/fhir/Patient/none/_history/1"])
async def test_what_is_not_there_is_a_404_with_an_outcome(door: Door, path: str) -> None:
    answer = await door.send("GET", path)

    assert answer.status_code in {400, 404}
    assert issue_of(answer)["severity"] == "error"


@pytest.mark.parametrize("version", ["\u0661", "\u0661" * 25, "\u00b2", "x", "9" * 17 + "1" * 2])
async def test_a_version_that_is_no_number_of_ours_is_refused(door: Door, version: str) -> None:
    answer = await door.send("GET", f"/fhir/Patient/p1/_history/{version}")

    assert answer.status_code == 400
    assert issue_of(answer)["severity"] == "error"

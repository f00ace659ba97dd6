"""What an operator can follow from node to node by their logs, and what no line carries."""

from pathlib import Path
from typing import Any

import pytest
from tests.api.door import Door
from tests.federation.network import Network
from tests.federation.operators import at_nodes, lines_of
from tests.federation.records import national_id, observation, patient, transaction

from health_exchange.model.addresses import NodeAddress
from health_exchange.telemetry.trace import bound

COUNTY, HOSPITALS_OF_51 = "cn/33/3305/330521", "cn/51/5100"


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


async def test_one_envelopes_lines_lead_from_its_origin_to_the_nation_and_back(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()

    lines = lines_of(capsys.readouterr().err)
    sealed = next(line for line in lines if line["event"] == "envelope-sealed")
    its = [line for line in lines if (line.get("stream"), line.get("sequence")) == (sealed["stream"], 1)]
    assert sealed["node"] == COUNTY
    assert at_nodes(its, event="hop", route="/exchange/v1/envelopes") == ["cn/33/3305", "cn/33", "cn"]
    assert at_nodes(its, event="envelope-delivered", outcome="accepted") == [COUNTY, "cn/33/3305", "cn/33"]
    signed = {line["peer"] for line in its if line["event"] == "receipt" and line["node"] == COUNTY}
    assert signed >= {"cn/33", "cn"}
    # Both ends of a hop name it alike.
    for line in its:
        if line["event"] == "hop":
            sent = [each for each in its if each["event"] == "envelope-delivered" and each["peer"] == line["node"]]
            assert {each["request_id"] for each in sent} == {line["request_id"]}


async def test_one_look_ups_lines_lead_from_the_door_to_everyone_who_was_asked(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.settle()
    door = Door(tmp_path, HOSPITALS_OF_51, network)
    capsys.readouterr()

    answer = await door.send("POST", "/fhir/Patient/$everything", asked(1), who="dr-wang", X_Request_Id="ward-7.42")

    assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, "ward-7.42")
    lines = [line for line in lines_of(capsys.readouterr().err) if line.get("request_id") == "ward-7.42"]
    by_route: dict[str, set[str]] = {}
    for line in lines:
        by_route.setdefault(line["route"], set()).add(line["node"])
    tickets = by_route["/exchange/v1/tickets"]
    assert len(tickets) == 2
    assert tickets <= {"cn", "cn/33", "cn/51"}
    assert by_route["/exchange/v1/locators"] == {"cn"}
    assert by_route["/exchange/v1/lookup"] == {COUNTY}
    assert by_route["/fhir/Patient/$everything"] == {HOSPITALS_OF_51}
    # The name that the logs of all nodes have for it stands in each line, so that lines lead to entries.
    assert {line["ticket"] for line in lines} == {result_name(answer.json())}


async def test_a_request_without_a_usable_name_gets_one_that_every_line_and_the_answer_carry(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = Door(tmp_path, COUNTY, network)
    capsys.readouterr()

    for given in (national_id(1), "a b", "x" * 65):
        answer = await door.send("GET", "/fhir/Patient/nobody", X_Request_Id=given)
        name = answer.headers["X-Request-Id"]
        written = capsys.readouterr().err
        assert given not in written
        assert [line["status"] for line in lines_of(written) if line["request_id"] == name] == [404]


async def test_lines_hold_routes_and_never_paths_methods_as_sent_or_bodies(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = Door(tmp_path, COUNTY, network)
    await door.send("POST", "/fhir", transaction(patient("p1", identity=national_id(1))))
    await door.send("GET", "/fhir/Patient/secret-id?name=secret-name")
    await door.http.request("SECRET", "/fhir/Patient/secret-id")
    await door.http.get("/no/such/secret-path")
    await network.settle()

    written = capsys.readouterr().err
    assert "secret" not in written.lower()
    assert national_id(1) not in written
    assert "测试" not in written
    told = [(line["method"], line["route"], line["status"]) for line in lines_of(written) if line["event"] == "request"]
    assert ("POST", "/fhir", 200) in told
    assert ("GET", "/fhir/{type}/{id}", 400) in told
    assert ("other", "/fhir/{type}/{id}", 405) in told


async def test_what_machines_ask_every_few_seconds_is_not_told_unless_it_fails(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = Door(tmp_path, COUNTY, network)
    assert (await door.http.get("/health/ready")).status_code == 503  # nobody has taken a turn yet
    await network.settle()
    told = [line for line in lines_of(capsys.readouterr().err) if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in told] == [("/health/ready", 503)]

    for path in ("/health/live", "/health/ready", "/metrics", "/status"):
        assert (await door.http.get(path)).status_code == 200
    assert lines_of(capsys.readouterr().err) == []


def asked(number: int) -> dict[str, Any]:
    """A look-up's parameters."""
    person = {"resourceType": "Patient", "identifier": [{"system": NATIONAL_ID, "value": national_id(number)}]}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": person}, {"name": "purpose", "valueCode": "TREAT"}],
    }


NATIONAL_ID = "urn:oid:2.16.156.10011.1.3"


def result_name(bundle: dict[str, Any]) -> str:
    """What the logs call the look-up."""
    name: str = bundle["identifier"]["value"]
    return name


async def test_a_request_that_meets_a_defect_is_told_under_its_id_too(
    network: Network, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_raw: bytes) -> None:
        raise ZeroDivisionError

    await network.admit(COUNTY, transaction(patient("p1", identity=national_id(1)), observation("o1", "p1")), "r1")
    await network.round()
    monkeypatch.setattr("health_exchange.node.reception.read_envelope", broken)
    with pytest.raises(ZeroDivisionError), bound(request_id="by-hand"):
        await network[COUNTY].parts.transport.send(
            NodeAddress.parse("cn/33/3305"), "POST", "/exchange/v1/envelopes", b"an envelope"
        )

    told = [line for line in lines_of(capsys.readouterr().err) if line.get("request_id") == "by-hand"]
    assert [(line["event"], line["status"], line["code"]) for line in told] == [("hop", 500, "fault")]

"""A node that stands alone: what its first start makes, what further ones find, what is refused, and what it serves."""

import stat
from pathlib import Path
from typing import Any

import pytest
from tests.databases import NewDatabase
from tests.federation.records import national_id, observation, patient, transaction
from tests.wiring.alone import PORT, Alone, alone

from health_exchange.api.clients import BadRegistryError, read_registry
from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.verification import verify_folder
from health_exchange.model.errors import ExchangeError
from health_exchange.node.readiness import readiness
from health_exchange.node.status import status_of
from health_exchange.pseudonym.identities import PASSPORT_SYSTEM_PREFIX
from health_exchange.store.database import DatabaseTakenError
from health_exchange.wiring.directory_files import read_directory_files
from health_exchange.wiring.inspection import export_log, read_entries
from health_exchange.wiring.settings import BadSettingsError, read_settings, read_tree_settings
from health_exchange.wiring.standalone import FolderTakenError, Wish, starting

pytestmark = pytest.mark.enable_socket

EVERYWHERE = "0.0.0.0"  # noqa: S104  # what is to be refused
NATIONAL_ID = "urn:oid:2.16.156.10011.1.3"


def entries(node: Alone) -> list[AuditEntry]:
    """The node's log, opened."""
    return [decode_entry(raw) for raw in read_entries(node.settings)]


def test_the_first_start_makes_what_it_needs_for_its_owner_only_and_the_next_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "standalone"
    with starting(Wish(folder=folder, port=PORT)) as first:
        made = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with starting(Wish(folder=folder)) as second:
        pass

    assert (first.is_first, second.is_first) == (True, False)
    assert first.settings == second.settings
    assert first.url == second.url == f"http://127.0.0.1:{PORT}"
    assert {path: path.read_bytes() for path in made} == made
    secret = {"keys.json", "share.json", "client.key", "clients.json", "node.toml", "directory.json"}
    assert secret <= {path.name for path in made}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in made if path.name in secret)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        ({"host": EVERYWHERE}, "without a certificate the node speaks plain HTTP"),
        ({"host": EVERYWHERE, "is_open": True}, "loopback only"),
        ({"host": EVERYWHERE, "url": "https://fhir.example"}, "loopback only"),
        ({"host": "localhost"}, "host: it is an IP address"),
        ({"is_open": True, "url": "https://fhir.example"}, "--open is for this machine alone"),
        ({"url": "fhir.example"}, "--url is https://name:port"),
        ({"database": "postgresql://me:word@127.0.0.1/node"}, "--database-password"),
        ({"database": "nonsense"}, "--database-url is postgresql://"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, wishes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadSettingsError, match=problem) as refusal, starting(Wish(folder=tmp_path / "n", **wishes)):
        pass

    assert not (tmp_path / "n").exists()
    assert "word@" not in refusal.value.detail


def test_a_second_process_in_the_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with starting(Wish(folder=tmp_path, port=PORT)) as first:
        directory = Path(first.settings.directory).read_bytes()
        with pytest.raises(DatabaseTakenError), starting(Wish(folder=tmp_path, port=PORT + 1)):
            pass

        assert Path(first.settings.directory).read_bytes() == directory


def test_a_start_that_was_broken_off_says_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "share.json").write_bytes(b"somebody else's")

    with pytest.raises(FolderTakenError, match=r"share\.json"), starting(Wish(folder=tmp_path, port=PORT)):
        pass

    assert (tmp_path / "share.json").read_bytes() == b"somebody else's"


def test_a_node_keeps_its_database_and_is_told_so(tmp_path: Path) -> None:
    with starting(Wish(folder=tmp_path, port=PORT)):
        pass
    with starting(Wish(folder=tmp_path, port=PORT, database="sqlite:///node.sqlite")):
        pass

    other = Wish(folder=tmp_path, database="postgresql://node@127.0.0.1/node")
    with pytest.raises(BadSettingsError, match="another database"), starting(other):
        pass


def test_another_port_or_name_is_taken_and_signed_into_the_next_directory(tmp_path: Path) -> None:
    serials = []
    for wish in (
        Wish(folder=tmp_path, port=PORT),
        Wish(folder=tmp_path, port=PORT + 1),
        Wish(folder=tmp_path, url="https://fhir.example/fhir"),
    ):
        with starting(wish) as start:
            signed = read_directory_files(start.settings)
        serials.append((signed.serial, next(iter(signed.directory.nodes.values())).fhir_url))

    assert serials == [
        (1, f"http://127.0.0.1:{PORT}"),
        (2, f"http://127.0.0.1:{PORT + 1}"),
        (3, "https://fhir.example"),
    ]


def test_open_is_for_one_start_and_stands_in_no_file(tmp_path: Path) -> None:
    with starting(Wish(folder=tmp_path, port=PORT, is_open=True)) as start:
        assert start.settings.open_to_anyone

    assert not read_settings(tmp_path / "node.toml").open_to_anyone


def test_nobody_is_registered_as_a_guest() -> None:
    entry = b'[{"client_id":"%s","kind":"%s","organization":"","name":"","purpose":"TREAT","jwks":{}}]'

    for client_id, kind in ((b"guest", b"facility"), (b"hospital", b"Guest")):
        with pytest.raises(BadRegistryError, match="nobody is registered as guest"):
            read_registry(entry % (client_id, kind))


def test_settings_that_forget_the_exchange_door_of_a_tree_are_refused(tmp_path: Path) -> None:
    text = 'exchange_port = 1\naddress = "cn"\nfhir_port = 1\nnation_key = ""\n' + "".join(
        f'{name} = "x"\n' for name in ("database", "directory", "directory_signature", "keys", "clients")
    )
    (tmp_path / "node.toml").write_text(text)

    with pytest.raises(BadSettingsError, match="exchange_port: peers speak mutual TLS"):
        read_settings(tmp_path / "node.toml")


async def test_who_has_no_token_is_refused_and_who_has_one_writes_reads_and_deletes(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    async with alone(tmp_path / "node", database=new_database()) as node:
        assert (await node.http.get("/fhir/Patient/p1")).status_code == 401
        created = await node.send("POST", "/fhir/Patient", patient("p1", identity=national_id(1)))
        assert created.status_code == 201, created.text
        place = created.headers["Location"].removeprefix(str(node.http.base_url)).split("/_history")[0]
        assert (await node.send("GET", place)).json()["name"] == [{"text": "测试a"}]
        assert (await node.send("DELETE", place)).status_code == 204
        assert (await node.send("GET", place)).status_code == 410
        written = {(entry.principal, entry.principal_kind) for entry in entries(node) if entry.kind == "write"}

    assert written == {("first-client", "facility")}


async def test_an_open_node_lets_guests_in_and_the_log_calls_them_so(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        assert (await node.send("PUT", "/fhir/Patient/p1", patient("p1", identity=None))).status_code == 201
        token = await node.client.token()
        assert (await node.send("GET", "/fhir/Patient/p1", Authorization=f"Bearer {token}")).status_code == 200
        assert (await node.send("GET", "/fhir/Patient/p1", Authorization="Bearer stolen")).status_code == 401
        assert (await node.send("GET", "/fhir/Patient/p1", Host="evil.example")).status_code == 403
        assert (await node.send("DELETE", "/fhir/Patient/p1", Origin="https://evil.example")).status_code == 403
        assert (await node.send("GET", "/fhir/Patient/p1", Host="[::1]:8080", Origin="http://localhost")).is_success
        linked = [await node.send("GET", "/fhir/Patient/p1", Sec_Fetch_Site=site) for site in ("cross-site", "none")]
        by_page = await node.send("GET", "/fhir/Patient/p1", Origin="http://localhost", Sec_Fetch_Site="cross-site")
        assert [answer.status_code for answer in (*linked, by_page)] == [403, 200, 200]
        who = [(entry.kind, entry.principal, entry.principal_kind) for entry in entries(node)]

    assert ("write", "guest", "guest") in who
    assert ("read", "first-client", "facility") in who


async def test_its_pseudonyms_are_made_by_its_own_share_which_its_log_tells(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    async with alone(tmp_path / "node", database=new_database(), is_open=True) as node:
        who = patient("p1", identity=national_id(1))
        answer = await node.send("POST", "/fhir", raw=transaction(who, observation("o1", "p1")))
        assert answer.status_code == 200, answer.text
        assert not any("outcome" in entry["response"] for entry in answer.json()["entry"])
        form = {"identifier": f"{NATIONAL_ID}|{national_id(1)}"}
        found = await node.http.post("/fhir/Patient/_search", data=form)
        assert found.json()["total"] == 1
        told = entries(node)

    [evaluated] = [entry for entry in told if entry.kind == "evaluate"]
    assert (evaluated.principal, evaluated.count) == ("zz", 1)
    [pseudonym] = {subject for entry in told for subject in entry.subjects}
    assert len(pseudonym) == 26


async def test_it_is_ready_and_settled_with_nobody_above_and_its_log_verifies(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    async with alone(tmp_path / "node", database=new_database(), is_open=True) as node:
        for number in range(3):
            body = patient(f"p{number}", identity=None)
            answer = await node.send("PUT", f"/fhir/Patient/p{number}", body)
            assert (answer.status_code, answer.headers.get("x-held")) == (201, None)
        await node.send("GET", "/fhir/Patient?_count=2")
        await node.take_turns()
        status = await status_of(node.assembled.node.parts)
        ready = await readiness(node.assembled.node.parts)
        report = verify_folder(export_log(node.settings))

    assert (ready.status, ready.missing) == ("ready", [])
    assert (status.condition, status.troubles, status.held, status.is_settled) == ("ok", [], {}, True)
    assert status.resources == 3
    assert report.failures == []
    assert report.entries == len(["start", "write", "write", "write", "read"])


async def test_what_a_tree_refuses_is_welcome_identities_in_urls_are_not(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        note: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
        note["subject"] = {"reference": "Patient/nobody-here"}
        note["performer"] = [{"reference": "urn:uuid:6b7f5ad5-6a3c-4c7b-8f5e-000000000000"}]
        assert (await node.send("PUT", "/fhir/Observation/o1", {**note, "id": "o1"})).status_code == 201
        for named in (f"Patient/{national_id(1)}", f"Patient/{national_id(1)}/_history/1"):
            dangling = await node.send("POST", "/fhir/Observation", {**note, "subject": {"reference": named}})
            assert (dangling.status_code, "identity-as-id" in dangling.text) == (400, True)
            assert national_id(1) not in dangling.text
        event = {
            "resourceType": "AuditEvent",
            "id": "e1",
            "type": {"code": "rest"},
            "recorded": "2026-01-01T00:00:00Z",
            "agent": [{"requestor": True}],
            "source": {"observer": {"display": "x"}},
        }
        assert (await node.send("PUT", "/fhir/AuditEvent/e1", event)).status_code == 201
        assert (await node.send("GET", "/fhir/AuditEvent/e1")).json()["agent"] == [{"requestor": True}]
        who = {**patient("p1", identity=None), "identifier": [{"system": "http://hospital.example", "value": "7"}]}
        await node.send("PUT", "/fhir/Patient/p1", who)
        by_number = await node.send("GET", "/fhir/Patient?identifier=http://hospital.example|7")
        assert by_number.json()["total"] == 1
        refused = [
            await node.send("GET", f"/fhir/Patient?identifier={value}")
            for value in (f"{NATIONAL_ID}|x", f"{PASSPORT_SYSTEM_PREFIX}DEU|C01X00T47", national_id(1))
        ]

    assert [answer.status_code for answer in refused] == [400, 400, 400]
    assert all("POST _search" in answer.text for answer in refused)


async def test_it_offers_no_look_up_of_a_country_it_is_not_in(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        said = (await node.http.get("/fhir/metadata")).json()
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "resource", "resource": patient("x", identity=None)}],
        }
        looked = await node.send("POST", "/fhir/Patient/$match", body)

    resource = {each["type"]: each for each in said["rest"][0]["resource"]}
    on_meta = {"meta", "meta-add", "meta-delete"}
    assert {each["name"] for each in resource["Patient"]["operation"]} == {"validate", "everything", *on_meta}
    assert {each["code"] for each in resource["AuditEvent"]["interaction"]} >= {"create", "update"}
    assert "enforced" not in resource["Observation"]["referencePolicy"]
    assert not looked.is_success


async def test_an_erasure_is_done_at_once_where_nobody_has_to_be_told(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        who = patient("p1", identity=national_id(1))
        await node.send("PUT", "/fhir/Patient/p1", who)
        await node.take_turns()
        parts = node.assembled.node.parts
        before = await status_of(parts)
        body = {"identifier": {"system": NATIONAL_ID, "value": national_id(1)}, "case": "case-1"}
        done = await node.send("POST", "/operator/v1/person/erasure", body)
        await node.take_turns()
        report = await node.send("GET", "/operator/v1/person/erasure/case-1")
        gone = await node.send("GET", "/fhir/Patient/p1")

    assert (before.persons, gone.status_code) == (1, 404)
    assert done.is_success, done.text
    assert report.json()["above"]["complete"] is True


async def test_taken_from_its_folder_it_goes_on_where_it_was(tmp_path: Path) -> None:
    async with alone(tmp_path, is_open=True) as node:
        await node.send("PUT", "/fhir/Patient/p1", patient("p1", identity=national_id(1)))
    async with alone(tmp_path, url="http://localhost:1") as node:
        await node.take_turns()
        answer = await node.send("GET", "/fhir/Patient/p1")
        links = await node.send("PUT", "/fhir/Patient/p2", patient("p2", identity=None))

    assert answer.status_code == 200
    assert links.headers["Location"].startswith("http://localhost:1/fhir/Patient/p2/")


def test_what_takes_a_tree_is_refused_by_name(tmp_path: Path) -> None:
    with starting(Wish(folder=tmp_path, port=PORT)):
        pass

    with pytest.raises(BadSettingsError, match="stands alone"):
        read_tree_settings(tmp_path / "node.toml")


@pytest.mark.parametrize("name", ["keys.json", "network/directory.sig"])
def test_a_folder_that_lacks_a_file_says_so(tmp_path: Path, name: str) -> None:
    with starting(Wish(folder=tmp_path, port=PORT)):
        pass
    (tmp_path / name).unlink()

    with pytest.raises(ExchangeError, match=Path(name).name), starting(Wish(folder=tmp_path, port=PORT + 1)):
        pass

"""An evidence folder proves itself offline; with any byte of any file changed, it does not."""

from pathlib import Path

import msgspec
import pytest
from tests.federation.auditors import Auditor
from tests.federation.network import Network
from tests.federation.prepared import prepared
from tests.federation.records import NATIONAL_ID, national_id, observation, patient, transaction

from health_exchange.audit.entries import AuditEntry
from health_exchange.audit.evidence_verification import render_evidence, verify_evidence
from health_exchange.audit.proof_verification import verify_proof
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ForbiddenError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.journal import log
from health_exchange.store import audit_log
from health_exchange.store.engine import Transaction
from health_exchange.wiring.inspection import write_files

COUNTY = "cn/33/3305/330521"
SOMEBODY = national_id(1)
PERSON = Pseudonym("p" * 26)
Folder = dict[str, bytes]


async def two_encounters(network: Network) -> None:
    for number in (1, 2):
        bundle = transaction(patient("p1", identity=SOMEBODY), observation(f"o{number}", "p1"))
        await network.admit(COUNTY, bundle, f"<script>alert({number})</script>")
    await network.settle()


async def gather(folder: Path, *, down: str = "") -> Folder:
    network = await prepared(folder, two_encounters)
    if down:
        network.faults.down.add(NodeAddress.parse(down))
    body = {"identity": {"system": NATIONAL_ID, "value": SOMEBODY}, "everywhere": True}
    answer = await Auditor(folder, network).door.send("POST", "/operator/v1/audit/evidence", body, who="auditor")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Folder)


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    return await gather(tmp_path)


async def test_evidence_verifies_and_says_what_it_shows(folder: Folder) -> None:
    report = verify_evidence(folder)

    assert report.failures == []
    assert report.entries == sum(path.startswith("proofs/") for path in folder) >= 5
    assert (report.answered, report.missing) == (6, [])
    assert report.cosignatures > 0
    assert "Nothing is wrong" in render_evidence(report)


@pytest.mark.parametrize("stride", [61, pytest.param(7, marks=pytest.mark.slow)])
async def test_any_changed_byte_of_any_file_is_found(folder: Folder, stride: int) -> None:
    for path, raw in folder.items():
        # Every byte of the small files, every so many of the others, each with another bit.
        for position in range(0, len(raw), 1 if len(raw) < 400 and stride < 10 else stride):
            changed = raw[:position] + bytes((raw[position] ^ (1 << position % 8),)) + raw[position + 1 :]
            assert verify_evidence({**folder, path: changed}).failures, f"byte {position} of {path}"


async def test_each_proof_alone_finds_every_changed_byte(folder: Folder) -> None:
    path = next(path for path in folder if path.startswith("proofs/"))
    raw = folder[path]
    assert verify_proof(raw).problem == ""
    for position in range(len(raw)):
        changed = raw[:position] + bytes((raw[position] ^ (1 << position % 8),)) + raw[position + 1 :]
        assert verify_proof(changed).problem, f"byte {position}"


async def test_a_file_taken_out_added_or_renamed_is_found(folder: Folder) -> None:
    for path in folder:
        assert verify_evidence({name: raw for name, raw in folder.items() if name != path}).failures, path
    assert verify_evidence({**folder, "proofs/cn/000000999.json": b"{}\n"}).failures
    assert verify_evidence({**folder, "note.txt": b""}).failures


async def test_a_node_that_was_away_stands_in_the_evidence_by_name(tmp_path: Path) -> None:
    folder = await gather(tmp_path, down="cn/33")
    report = verify_evidence(folder)

    assert report.failures == []
    [missing] = report.missing
    assert missing.startswith("cn/33 (away")
    assert "Incomplete" in folder["report.html"].decode()
    assert "MISSING: cn/33" in render_evidence(report)


async def test_evidence_of_many_pages_is_whole(tmp_path: Path) -> None:
    network = Network(tmp_path)
    parts = network["cn/51"].parts
    shared = {"kind": "read", "action": "read", "node": "cn/51", "outcome": "allowed"}
    entry = AuditEntry(at=network.clock.now().isoformat(), subjects=(PERSON,), **shared)  # type: ignore[arg-type]  # fields by name

    def plant(tx: Transaction) -> None:
        for _number in range(1100):
            log(tx, entry)

    parts.store.write_now(plant)
    body = {"question": {"person": PERSON}, "everywhere": True}
    answer = await Auditor(tmp_path, network).door.send("POST", "/operator/v1/audit/evidence", body, who="auditor")
    report = verify_evidence(msgspec.json.decode(answer.content, type=Folder))

    assert (report.entries, report.missing, report.failures) == (1100, [], [])


async def test_entries_past_retention_are_counted_and_not_passed_over(tmp_path: Path) -> None:
    network = Network(tmp_path)
    await network.admit(COUNTY, transaction(patient("p1", identity=SOMEBODY)), "r1")
    await network.settle()
    auditor = Auditor(tmp_path, network)
    person = (await auditor.about(SOMEBODY)).person
    network.clock.advance(days=40)
    network["cn"].parts.store.write_now(lambda tx: audit_log.destroy_period(tx, "2026-11"))
    [nation, *_others] = (await auditor.ask(question={"person": person}, everywhere=True)).replies

    assert (nation.node, nation.entries) == ("cn", [])
    assert nation.withheld == 2


async def test_the_page_runs_nothing_fetches_nothing_and_holds_no_identity(folder: Folder) -> None:
    page = folder["report.html"].decode()

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    for word in ("http://", "https://", "src=", "href=", "url(", "@import"):
        assert word not in page
    assert not [path for path, raw in folder.items() if SOMEBODY.encode() in raw]


@pytest.mark.parametrize("who", ["hospital", "viewer", "researcher"])
async def test_evidence_is_for_auditors(tmp_path: Path, who: str) -> None:
    auditor = Auditor(tmp_path, Network(tmp_path))

    answer = await auditor.door.send("POST", "/operator/v1/audit/evidence", {"everywhere": True}, who=who)

    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["../elsewhere", "/etc/elsewhere", "proofs/../../elsewhere"])
def test_no_file_of_an_export_is_written_outside_its_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(ForbiddenError):
        write_files(tmp_path / "evidence", {"report.html": b"", path: b"mine"})
    assert not (tmp_path / "elsewhere").exists()


async def test_a_manifest_that_names_another_kind_of_file_is_a_finding(folder: Folder) -> None:
    manifest = folder["manifest.json"].replace(b'"report.html"', b'"../report.html"')
    changed = {name: raw for name, raw in folder.items() if name != "report.html"}
    report = verify_evidence({**changed, "../report.html": folder["report.html"], "manifest.json": manifest})

    assert any("no evidence has" in finding.what for finding in report.failures)

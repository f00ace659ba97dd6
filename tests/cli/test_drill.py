"""The drill's judgement, on books made by hand: whatever is lost, doubled, late or unexplained is found."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from health_exchange.audit.entries import AuditEntry
from health_exchange.audit.verification import Finding, VerificationReport
from health_exchange.cli.drill import command
from health_exchange.cli.drill.checks import Books, all_findings
from health_exchange.cli.drill.disks import BoundedFiles
from health_exchange.cli.drill.load import Acknowledged
from health_exchange.cli.drill.rates import FINDS_WAY_S, Arrival, arrivals, catch_ups
from health_exchange.cli.drill.relay import Relay
from health_exchange.cli.drill.scenarios import SCENARIOS, Scenario
from health_exchange.cli.main import main
from health_exchange.model.addresses import NodeAddress
from health_exchange.store.holdings import Holdings, Place
from health_exchange.wiring.counting import Account

COUNTY, NATION = NodeAddress.parse("cn/33/330521"), NodeAddress.parse("cn")
PATIENT, ABOVE = ("Patient", "p1"), ("Patient", "x1")
TOLD = (Acknowledged(request_id="r1", at=0.0, versions=((*PATIENT, 1), (*PATIENT, 2))),)


def entry(  # what these books need of one
    kind: str,
    *,
    node: str = str(COUNTY),
    at: str = "2026-11-25T08:00:00+00:00",
    request_id: str = "",
    summary: str = "",
    reason: str = "",
) -> AuditEntry:
    return AuditEntry(
        kind=kind,
        at=at,
        node=node,
        action=kind,
        outcome="allowed",
        request_id=request_id,
        summary=summary,
        reason=reason,
    )


def account(
    address: NodeAddress,
    *entries: AuditEntry,
    current: dict[Place, tuple[str, int]],
    versions: list[tuple[str, str, int]] | None = None,
    shared: dict[NodeAddress, frozenset[Place]] | None = None,
) -> Account:
    return Account(
        address=address,
        holdings=Holdings(
            current=current,
            versions=[(*place, version) for place, (_origin, version) in current.items()]
            if versions is None
            else versions,
            shared=shared or {},
            held=frozenset(),
        ),
        above={PATIENT: ABOVE},
        entries=list(entries),
        log=VerificationReport(),
    )


def books() -> dict[NodeAddress, Account]:
    """One patient in two versions, sent to the nation: everything holds."""
    return {
        COUNTY: account(
            COUNTY,
            entry("write", request_id="r1"),
            current={PATIENT: (str(COUNTY), 2)},
            versions=[(*PATIENT, 1), (*PATIENT, 2)],
            shared={NATION: frozenset({PATIENT})},
        ),
        NATION: account(NATION, entry("receive", summary="s/1: 1 entries opened"), current={ABOVE: (str(COUNTY), 2)}),
    }


def findings(found: Books, told: tuple[Acknowledged, ...] = TOLD, *, alarms: tuple[str, ...] = ()) -> list[str]:
    return all_findings(found, {COUNTY: told}, alarms=alarms, may_alarm=("explained",))


def test_books_in_order_give_no_findings() -> None:
    assert findings(books()) == []


def changed(address: NodeAddress, **holdings: object) -> Books:
    found = books()
    found[address] = replace(found[address], holdings=replace(found[address].holdings, **holdings))  # type: ignore[arg-type]  # whatever is changed
    return found


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (changed(COUNTY, versions=[(*PATIENT, 2)]), "acknowledged and lost: Patient/p1/1"),
        (changed(COUNTY, versions=[(*PATIENT, 1), (*PATIENT, 2), (*PATIENT, 3)]), "kept and never acknowledged"),
        (changed(COUNTY, versions=[(*PATIENT, 1), (*PATIENT, 2), (*PATIENT, 2)]), "kept twice"),
        (changed(COUNTY, shared={}), "neither sent nor held back"),
        (changed(NATION, current={}), "granted and not kept: Patient/x1"),
        (changed(NATION, current={ABOVE: (str(COUNTY), 1)}), "kept in another version"),
        (
            changed(NATION, current={ABOVE: (str(COUNTY), 2), ("Patient", "x2"): (str(COUNTY), 1)}),
            "kept and not granted: Patient/x2",
        ),
    ],
)
def test_what_is_lost_doubled_or_different_is_found(found: Books, said: str) -> None:
    assert any(said in each for each in findings(found))


@pytest.mark.parametrize(
    ("address", "more", "said"),
    [
        (COUNTY, entry("write", request_id="r1"), "requests not carried out exactly once: r1"),
        (NATION, entry("receive", summary="s/1: 1 entries opened"), "envelopes taken twice: s/1"),
        (NATION, entry("alarm", reason="stream-fork"), "an alarm that nothing here explains, 1 times: cn: stream-fork"),
    ],
)
def test_what_stands_in_a_log_and_should_not_is_found(address: NodeAddress, more: AuditEntry, said: str) -> None:
    found = books()
    found[address].entries.append(more)
    assert any(said in each for each in findings(found))


def test_an_alarm_that_should_have_been_raised_is_missed_and_an_explained_one_is_not_held_against_anybody() -> None:
    found = books()
    found[NATION].entries.append(entry("alarm", reason="explained by the clock"))
    assert findings(found, alarms=("stream-fork",)) == ["nobody raised the alarm stream-fork"]


def test_a_log_that_does_not_verify_is_found() -> None:
    found = books()
    found[NATION].log.failures.append(Finding(where="checkpoint 3", what="the root differs"))
    assert findings(found) == ["cn: the log does not verify: checkpoint 3: the root differs"]


def test_catching_up_is_read_from_both_logs_and_has_its_limit() -> None:
    shares = [
        entry("share", summary=f"s/{number}: 50 entries", at=f"2026-11-25T08:00:{number * 10:02d}+00:00")
        for number in (1, 2, 3)
    ]
    taken = [
        entry("receive", node="cn", summary=f"s/{number}: 50 entries opened", at=f"2026-11-25T08:00:{at}+00:00")
        for number, at in ((1, "11"), (2, "40"), (3, "42"))
    ]
    came = arrivals([shares], taken)
    healed_at = came[2].shared_at + 5
    [caught] = catch_ups(came, loaded_s=15.0, healed_at=healed_at)

    assert (caught.live_per_s, caught.piled_up, caught.level_after_s, caught.per_s) == (10.0, 100, 7.0, 25.0)
    assert caught.allowed_s == FINDS_WAY_S + 2.0


def test_nothing_piled_up_is_level_at_once() -> None:
    [caught] = catch_ups([Arrival(origin="cn/33", shared_at=1, taken_at=2, records=5)], loaded_s=5, healed_at=10)
    assert (caught.piled_up, caught.level_after_s, caught.allowed_s) == (0, 0.0, FINDS_WAY_S)


@pytest.mark.parametrize("row", SCENARIOS.values(), ids=lambda row: row.name)
def test_a_scenario_says_what_happens_and_lasts(row: Scenario) -> None:
    assert row.told
    assert 0 < row.fault_s <= row.long_s
    assert SCENARIOS[row.name] is row


@pytest.mark.enable_socket
async def test_a_relay_that_is_cut_is_silent_and_delivers_late() -> None:
    arrived = asyncio.Queue[bytes]()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while heard := await reader.read(100):
            arrived.put_nowait(heard)
        writer.close()

    door = await asyncio.start_server(hear, "127.0.0.1", 0)
    relay = await Relay.open(f"https://127.0.0.1:{door.sockets[0].getsockname()[1]}")
    _reader, writer = await asyncio.open_connection("127.0.0.1", int(relay.url.rpartition(":")[2]))
    writer.write(b"before")
    assert await asyncio.wait_for(arrived.get(), 5) == b"before"
    relay.cut()
    writer.write(b"meanwhile")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(arrived.get(), 0.2)
    relay.join()
    assert await asyncio.wait_for(arrived.get(), 5) == b"meanwhile"
    relay.delay_s = 0.2
    began = asyncio.get_running_loop().time()
    writer.write(b"slowly")
    assert await asyncio.wait_for(arrived.get(), 5) == b"slowly"
    assert asyncio.get_running_loop().time() - began >= 0.2
    writer.close()
    await relay.close()
    door.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-thing"], "no such scenario: no-such-thing; there are kill-nodes"),
        (["partition", "--rate", "0"], "--rate is a number above 0"),
        (["partition", "--dir", "."], "was not made by this command"),
    ],
)
def test_a_drill_that_cannot_be_is_refused_with_its_reason(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drill", *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_a_drill_made_is_made_anew(tmp_path: Path) -> None:
    command._clear(tmp_path / "drill")
    (tmp_path / "drill" / "old").touch()
    command._clear(tmp_path / "drill")
    assert not (tmp_path / "drill" / "old").exists()


_WRITER = """
import sys
for _line in sys.stdin:
    try:
        with open(sys.argv[1], "ab", 0) as file:
            file.write(b"x" * 4096)
        print("kept", flush=True)
    except OSError:
        print("full", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="bounds of other processes' files are Linux's")
def test_bounded_files_do_not_grow_until_they_are_freed(tmp_path: Path) -> None:
    disks = BoundedFiles({COUNTY: tmp_path})
    with subprocess.Popen(  # noqa: S603  # our own few lines
        [sys.executable, "-c", _WRITER, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        said = []
        for act in (None, disks.fill, disks.free):
            if act is not None:
                act(COUNTY, [writer.pid])
            writer.stdin.write("\n")
            said.append(writer.stdout.readline().strip())

    assert said == ["kept", "full", "kept"]

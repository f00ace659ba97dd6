"""``health-exchange demo``: make a network, run it, replay the samples, report, and stay for a look around."""

import argparse
import asyncio
import shutil
import ssl
import sys
import time
from pathlib import Path

import httpx
import msgspec
from rich.console import Console

from health_exchange.cli.demo import printing
from health_exchange.cli.demo.accesses import find_person, try_refused
from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.live import watch
from health_exchange.cli.demo.network import demo_plan
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.report import Report, audit_report, disagreements, granted, node_reports, relay_report
from health_exchange.cli.demo.samples import read_samples
from health_exchange.cli.demo.setting import AUDITOR, NATION, RESEARCHER, STRANGER, VIEWER, make_setting
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.demo.way_back import WayBack
from health_exchange.cli.demo.way_back_report import shortcomings
from health_exchange.model.powers import Tier
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.inspection import RelayInspector, verify_logs
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.settings import read_settings

MARK = ".health-exchange-demo"
CONNECTIONS = 32


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("demo", help="a national network on this machine, and what it does")
    parser.add_argument("--dir", type=Path, default=Path("demo"), help="working folder, made anew (default: demo)")
    parser.add_argument("--samples", type=Path, help="folder of sample records (default: those that ship)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report for machines")
    staying = parser.add_mutually_exclusive_group()
    staying.add_argument("--once", action="store_true", help="leave when the report is done")
    staying.add_argument("--stay", action="store_true", help="stay until Ctrl-C, also without a terminal")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 only if all counts that must agree do."""
    console = Console()
    clear(arguments.dir)
    stay = arguments.stay or (sys.stdin.isatty() and not arguments.once)
    report = asyncio.run(_run(arguments, console, stay=stay))
    return 1 if report.disagreements or report.audit.failures else 0


def clear(folder: Path) -> None:
    """Make way for a new network; a folder that no demo made is left alone.

    Raises:
        SystemExit: ``folder`` exists and is not a demo's.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise SystemExit(f"{folder} is not empty and was not made by this demo; choose another --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


async def _run(arguments: argparse.Namespace, console: Console, *, stay: bool) -> Report:
    """The whole demo."""
    plan, samples = demo_plan(), read_samples(arguments.samples)
    root = arguments.dir.resolve()
    keys = make_setting(root, plan, samples)
    supervisor = Supervisor(root, plan.nodes)
    supervisor.start_all()
    started = time.monotonic()
    trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
    limits = httpx.Limits(max_connections=CONNECTIONS)
    try:
        async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=30.0, limits=limits) as http:
            with console.status("starting ten nodes"):
                await supervisor.wait_until_healthy(http)
            console.print(f"ten nodes are ready after {time.monotonic() - started:.1f} s")
            replay = Replay(plan=plan, samples=samples, keys=keys, http=http)
            relays = _inspectors(plan, root)
            try:
                status = await watch(replay, http, _url(plan), console, relays)
            finally:
                for relay in relays:
                    relay.close()
            report, patient_id = await _report(plan, root, replay, status, relays, supervisor, started)
            printing.print_report(console, report)
            if arguments.json is not None:
                arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
            if stay:
                await _stay(console, plan, root, replay, patient_id)
    finally:
        supervisor.stop_all()
    return report


async def _report(
    plan: NetworkPlan,
    root: Path,
    replay: Replay,
    status: NetworkStatus,
    relays: list[RelayInspector],
    supervisor: Supervisor,
    started: float,
) -> tuple[Report, str]:
    """The report, and the id of the person it shows."""
    viewer, auditor, researcher, stranger = (
        FacilityClient(client_id=name, private_key_pem=replay.keys[name], base_url=_url(plan), http=replay.http)
        for name in (VIEWER, AUDITOR, RESEARCHER, STRANGER)
    )
    patient_id, person = await find_person(viewer)
    refused = await try_refused(auditor=auditor, researcher=researcher, stranger=stranger, patient_id=patient_id)
    nation = next(node for node in status.nodes if node.address == str(NATION))
    back = await WayBack(root=root, replay=replay, supervisor=supervisor, http=replay.http).act()
    logs = await asyncio.to_thread(verify_logs, root)
    report = Report(
        nodes=node_reports(status),
        records_in=replay.records_in,
        records_at_nation=nation.resources,
        records_granted=granted(status, str(NATION)),
        persons=nation.persons,
        persons_across_provinces=nation.persons_across_provinces,
        person=person,
        relays=[relay_report(relay) for relay in relays],
        refused=refused,
        audit=audit_report(logs),
        lookup=back.lookup,
        lookup_with_one_away=back.lookup_with_one_away,
        consent=back.consent,
        break_glass=back.break_glass,
        seen=back.seen,
        edited_log=back.edited_log,
        disagreements=[*disagreements(status, replay.failures), *shortcomings(back)],
        elapsed_s=round(time.monotonic() - started, 1),
    )
    return report, patient_id


async def _stay(console: Console, plan: NetworkPlan, root: Path, replay: Replay, patient_id: str) -> None:
    """Print what can be tried by hand, and wait for Ctrl-C."""
    viewer = FacilityClient(
        client_id=VIEWER, private_key_pem=replay.keys[VIEWER], base_url=_url(plan), http=replay.http
    )
    researcher = FacilityClient(
        client_id=RESEARCHER, private_key_pem=replay.keys[RESEARCHER], base_url=_url(plan), http=replay.http
    )
    printing.print_invitation(
        console,
        url=_url(plan),
        authority=root / "network" / "authority.pem",
        allowed_token=await viewer.token(),
        refused_token=await researcher.token(),
        patient_id=patient_id,
    )
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("stopping")


def _url(plan: NetworkPlan) -> str:
    """The nation's FHIR door."""
    return next(node.fhir_url for node in plan.nodes if node.address == NATION)


def _inspectors(plan: NetworkPlan, root: Path) -> list[RelayInspector]:
    """One for every city: what it carries for others, looked at with its own keys."""
    return [
        RelayInspector(read_settings(node_folder(root, node.address) / "node.toml"))
        for node in plan.nodes
        if node.tier is Tier.CITY
    ]

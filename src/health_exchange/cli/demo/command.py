"""``health-exchange demo``: make a network, run it, replay the samples, report, and stay for a look around."""

import argparse
import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from health_exchange.cli.demo import printing
from health_exchange.cli.demo.network import demo_plan
from health_exchange.cli.demo.report import Report
from health_exchange.cli.demo.samples import read_samples
from health_exchange.cli.demo.setting import RESEARCHER, VIEWER, make_setting
from health_exchange.cli.demo.story import Story, trusting
from health_exchange.cli.demo.supervision import Supervisor

MARK = ".health-exchange-demo"
ENDED = 143
"""Exit code of whoever was ended by SIGTERM before the report."""


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
    try:
        report = asyncio.run(_run(arguments, console, stay=stay))
    except asyncio.CancelledError:
        return ENDED
    return 0 if report.is_well else 1


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
    """The whole demo; whoever ends it by SIGTERM finds no node left running, as after Ctrl-C."""
    running = asyncio.current_task()
    if running is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    plan, samples = demo_plan(), read_samples(arguments.samples)
    root = arguments.dir.resolve()
    keys = make_setting(root, plan, samples)
    supervisor = Supervisor(root, plan.nodes)
    supervisor.start_all()
    started = time.monotonic()
    try:
        async with trusting(root) as http:
            with console.status("starting ten nodes"):
                await supervisor.wait_until_healthy(http)
            console.print(f"ten nodes are ready after {time.monotonic() - started:.1f} s")
            story = Story(
                root=root, plan=plan, samples=samples, keys=keys, http=http, console=console, supervisor=supervisor
            )
            report, patient_id = await story.tell()
            printing.publish(console, report, arguments.json)
            if stay:
                await _stay(story, patient_id)
    finally:
        supervisor.stop_all()
    return report


async def _stay(story: Story, patient_id: str) -> None:
    """Print what can be tried by hand, and wait for Ctrl-C."""
    printing.print_invitation(
        story.console,
        url=story.nation_url,
        authority=story.root / "network" / "authority.pem",
        allowed_token=await story.client(VIEWER).token(),
        refused_token=await story.client(RESEARCHER).token(),
        patient_id=patient_id,
    )
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        story.console.print("stopping")

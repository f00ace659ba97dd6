"""``health-exchange drill``: do something to a network of real processes, and show that it keeps its promises."""

import argparse
import asyncio
import shutil
import signal
from pathlib import Path

import msgspec
from rich.console import Console

from health_exchange.cli.client import BadRequestError
from health_exchange.cli.drill.means import DATABASES, STAGES, Means
from health_exchange.cli.drill.report import DrillReport, ScenarioReport, print_scenario, print_summary
from health_exchange.cli.drill.running import Settings, run_scenario
from health_exchange.cli.drill.scenarios import SCENARIOS

MARK = ".health-exchange-drill"
SEED = 20260630
BUNDLES_PER_S = 4.0
ENDED = 143
"""Exit code of whoever was ended by SIGTERM."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("drill", help="break a network on this machine, and see that it keeps its promises")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="which (default: all; --list names them)")
    parser.add_argument("--list", action="store_true", help="name the scenarios and leave")
    parser.add_argument("--seed", type=int, default=SEED, help="same seed, same victims, order and records")
    parser.add_argument("--stage", choices=sorted(STAGES), default="processes", help="where the nodes run")
    parser.add_argument("--database", choices=sorted(DATABASES), default="sqlite", help="what they keep records in")
    parser.add_argument("--rate", type=float, default=BUNDLES_PER_S, help="Bundles a second that facilities hand in")
    parser.add_argument("--long", action="store_true", help="as long as in earnest: ten minutes of partition")
    parser.add_argument("--dir", type=Path, default=Path("drill"), help="working folder, made anew (default: drill)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the drills; 0 only if every promise was kept in all that were run, and one was."""
    console = Console()
    if arguments.list:
        for row in SCENARIOS.values():
            console.print(f"{row.name:<18} {row.told}", highlight=False)
        return 0
    unknown = [name for name in arguments.scenarios if name not in SCENARIOS]
    if unknown:
        raise BadRequestError(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    if arguments.rate <= 0:
        raise BadRequestError("--rate is a number above 0")
    _clear(arguments.dir)
    settings = Settings(
        folder=arguments.dir.resolve(),
        seed=arguments.seed,
        per_s=arguments.rate,
        long=arguments.long,
        means=Means(stage_name=arguments.stage, database_name=arguments.database),
    )
    try:
        done = asyncio.run(_run_all(arguments.scenarios or list(SCENARIOS), settings, console))
    except asyncio.CancelledError:
        return ENDED
    report = DrillReport(seed=arguments.seed, scenarios=done)
    print_summary(console, report)
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return 0 if report.holds else 1


async def _run_all(names: list[str], settings: Settings, console: Console) -> list[ScenarioReport]:
    """One after another, each told when it is done; whoever ends us finds nothing left running."""
    running = asyncio.current_task()
    if running is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    reports = []
    for name in names:
        reports.append(await run_scenario(SCENARIOS[name], settings))
        print_scenario(console, reports[-1])
    return reports


def _clear(folder: Path) -> None:
    """Make way for new networks; a folder that no drill made is left alone.

    Raises:
        BadRequestError: It is not empty and was not made by a drill.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise BadRequestError(f"{folder} is not empty and was not made by this command; choose another --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()

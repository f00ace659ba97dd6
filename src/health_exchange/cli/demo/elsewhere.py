"""``health-exchange replay``: the demo's story on a network that runs already, in containers for one."""

import argparse
import asyncio
from pathlib import Path

from rich.console import Console

from health_exchange.cli.client import BadRequestError
from health_exchange.cli.demo.printing import publish
from health_exchange.cli.demo.readiness import until_ready
from health_exchange.cli.demo.report import Report
from health_exchange.cli.demo.samples import read_samples
from health_exchange.cli.demo.setting import read_clients
from health_exchange.cli.demo.story import Story, trusting
from health_exchange.model.errors import NotFoundError
from health_exchange.wiring.network_folder import read_network
from health_exchange.wiring.plan import plan_behind

READY_WITHIN_S = 300.0
"""Ten databases and ten nodes that start at once on a small machine take their time."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("replay", help="replay the sample records through a network that runs, and report")
    parser.add_argument("--dir", type=Path, required=True, help="the network's folder, as network create made it")
    parser.add_argument("--samples", type=Path, help="folder of sample records (default: those that ship)")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="Bundles a second (default: as fast as they are answered)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay and report; 0 only if all counts that must agree do."""
    console = Console()
    report = asyncio.run(_replay(arguments, console))
    publish(console, report, arguments.json)
    return 0 if report.is_well else 1


async def _replay(arguments: argparse.Namespace, console: Console) -> Report:
    """The story on the network of the folder.

    Raises:
        BadRequestError: The rate is none.
        NotFoundError: There is none.
    """
    if not arguments.rate >= 0:
        raise BadRequestError("--rate is at least 0")
    directory = read_network(arguments.dir)
    if directory is None:
        raise NotFoundError(f"{arguments.dir} holds no network; health-exchange network create makes one")
    plan = plan_behind(directory)
    samples = read_samples(arguments.samples).at(directory.nodes)
    async with trusting(arguments.dir) as http:
        with console.status(f"waiting for {len(plan.nodes)} nodes"):
            await until_ready(http, {node.address: node for node in plan.nodes}, within_s=READY_WITHIN_S)
        story = Story(
            root=arguments.dir,
            plan=plan,
            samples=samples,
            keys=read_clients(arguments.dir),
            http=http,
            console=console,
            supervisor=None,
            per_s=arguments.rate,
        )
        report, _patient_id = await story.tell()
    return report

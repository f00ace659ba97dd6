"""``health-exchange node``: run one node from its settings file until told to stop, or ask how one is doing."""

import argparse
from pathlib import Path

from health_exchange.cli import status
from health_exchange.wiring.settings import read_settings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("node", help="run a node, or ask how one is doing")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    run_parser = commands.add_parser("run", help="run one node until SIGTERM")
    run_parser.add_argument("--settings", type=Path, required=True, help="the node's TOML file")
    run_parser.set_defaults(run=run)
    status.add_node_status(commands)


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    import uvloop

    from health_exchange.wiring.running import run_node

    uvloop.run(run_node(read_settings(arguments.settings)))
    return 0

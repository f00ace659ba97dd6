"""``health-exchange network``: the tree of nodes as one of them sees it."""

from typing import TYPE_CHECKING

from health_exchange.cli import status

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("network", help="the tree of nodes: who is behind, why, since when")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    status.add_network_status(commands)

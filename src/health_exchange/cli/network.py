"""``health-exchange network``: the tree of nodes, as it is made and as one of them sees it."""

from typing import TYPE_CHECKING

from health_exchange.cli import network_creation, status

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands' words."""
    parser = subparsers.add_parser("network", help="the tree of nodes: make one; who is behind, why, since when")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    network_creation.add_parser(commands)
    status.add_network_status(commands)

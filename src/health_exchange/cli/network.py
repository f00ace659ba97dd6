"""``health-exchange network``: the tree of nodes as one of them sees it, and letting nodes in."""

from typing import TYPE_CHECKING

from health_exchange.cli import enrolment, status

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("network", help="the tree of nodes: who is behind, and why; letting a node in")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    status.add_network_status(commands)
    enrolment.add_parsers(commands)

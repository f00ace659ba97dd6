"""``health-exchange network``: the tree of nodes: made, as one of them sees it, and letting nodes in."""

from typing import TYPE_CHECKING

from health_exchange.cli import enrolment, network_creation, status

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands' words."""
    parser = subparsers.add_parser(
        "network", help="the tree of nodes: making one; who is behind, and why; letting a node in"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    network_creation.add_parser(commands)
    status.add_network_status(commands)
    enrolment.add_parsers(commands)

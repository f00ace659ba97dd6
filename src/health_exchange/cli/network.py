"""``health-exchange network``: a network as a whole."""

from typing import TYPE_CHECKING

from health_exchange.cli import network_creation

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands' words."""
    parser = subparsers.add_parser("network", help="a network as a whole: make one")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    network_creation.add_parser(commands)

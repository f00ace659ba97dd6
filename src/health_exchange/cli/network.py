"""``health-exchange network``: the network as a whole."""

from typing import TYPE_CHECKING

from health_exchange.cli import enrolment

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands' words."""
    parser = subparsers.add_parser("network", help="the network as a whole: let a node in, or let it change its keys")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    enrolment.add_parsers(commands)

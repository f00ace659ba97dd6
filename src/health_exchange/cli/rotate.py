"""``health-exchange rotate``: a node changes its keys while it serves; docs/operators/rotation.md says what to do when."""

import argparse
from pathlib import Path

from health_exchange.cli.client import BadRequestError
from health_exchange.wiring.rotation_at_rest import rotate_at_rest
from health_exchange.wiring.settings import read_settings

STEP = 500
REST_MS = 20.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("rotate", help="replace a node's keys while it serves")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    at_rest_parser = commands.add_parser(
        "at-rest",
        help="the key that wraps all keys in the database",
        description="Wrap every key in the node's database anew, in small steps, while the node serves. Ended at any "
        "point, even by kill -9, the same command goes on.",
    )
    _add_settings(at_rest_parser)
    at_rest_parser.add_argument("--step", type=int, default=STEP, help=f"keys wrapped in one transaction ({STEP})")
    at_rest_parser.add_argument(
        "--rest-ms", type=float, default=REST_MS, help=f"how long to leave the database between two ({REST_MS:g})"
    )
    at_rest_parser.set_defaults(run=at_rest)


def _say(text: str) -> None:
    """Tell how it goes, at once."""
    print(text, flush=True)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="the node's TOML file")


def at_rest(arguments: argparse.Namespace) -> int:
    """Replace the key at rest."""
    if arguments.step < 1 or arguments.rest_ms < 0:
        raise BadRequestError("--step is at least 1 and --rest-ms at least 0")
    changed = rotate_at_rest(
        read_settings(arguments.settings), step=arguments.step, rest_s=arguments.rest_ms / 1000, tell=_say
    )
    print(f"{changed} keys wrapped anew.")
    return 0

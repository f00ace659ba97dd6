"""``health-exchange rotate``: a node changes its keys while it serves; docs/operators/rotation.md tells when."""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from health_exchange.cli.client import BadRequestError
from health_exchange.cli.enrolment import OVERLAP_HOURS
from health_exchange.model.clock import SystemClock
from health_exchange.wiring.renewal import ask_for_certificate, ask_for_keys, forget_keys, install_certificate
from health_exchange.wiring.rotation_at_rest import rotate_at_rest
from health_exchange.wiring.rotation_shares import rotate_shares
from health_exchange.wiring.settings import read_settings, read_tree_settings

_NAMES = {"signing": ("signing", "log_seed"), "sealing": ("box",)}
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
    _add_certificate(commands)
    shares_parser = commands.add_parser(
        "shares",
        help="at the nation: the holders' shares of the pseudonym key",
        description="Have all key holders renew their shares. The key and all pseudonyms stay; the present shares are "
        "of no use beside the new ones, and are destroyed once their time is over. All holders must be there.",
    )
    _add_settings(shares_parser)
    shares_parser.add_argument(
        "--overlap-hours",
        type=float,
        default=OVERLAP_HOURS,
        help=f"how long all go on asking by the present shares ({OVERLAP_HOURS:g})",
    )
    shares_parser.set_defaults(run=shares)
    forget_parser = commands.add_parser(
        "forget",
        help="destroy former private keys that nothing needs any more",
        description="Destroy former signing and sealing keys whose time is over, and say why any is kept (exit 1). A "
        "sealing key is kept until every origin below has sealed something to the one that follows it.",
    )
    _add_settings(forget_parser)
    forget_parser.set_defaults(run=forget)
    for name, what in (("signing", "the keys that sign for the node"), ("sealing", "the key that others seal to")):
        parser = commands.add_parser(
            name,
            help=what,
            description=f"Make {what} anew, beside the present ones, and ask the nation to put them in the directory. "
            "The node uses them when the directory says so; the present ones stay until `rotate forget`.",
        )
        _add_settings(parser)
        _add_request(parser)
        parser.set_defaults(run=partial(keys, names=_NAMES[name]))


def _add_certificate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "certificate",
        help="the node's certificate",
        description="Without --answer, make a new private key and ask the nation for its certificate; with it, put the "
        "two in place. The running node takes them within seconds; the listeners change without a request that fails.",
    )
    _add_settings(parser)
    _add_request(parser)
    parser.add_argument("--answer", type=Path, help="folder that the nation's `network admit` has written")
    parser.set_defaults(run=certificate)


def _say(text: str) -> None:
    """Tell how it goes, at once."""
    print(text, flush=True)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True, help="the node's TOML file")


def _add_request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--request", type=Path, help="where to write the request (request.json beside the settings)")


def certificate(arguments: argparse.Namespace) -> int:
    """Ask for a certificate, or put it in place."""
    settings = read_tree_settings(arguments.settings)
    if arguments.answer is None:
        request = _request(arguments)
        ask_for_certificate(settings, request=request, clock=SystemClock())
        print(f"Send {request} to the nation; install its answer with --answer.")
    else:
        until = install_certificate(settings, answer=arguments.answer, now=datetime.now(UTC))
        print(f"The new certificate is in place; it is valid until {until:%Y-%m-%d}.")
    return 0


def keys(arguments: argparse.Namespace, names: Sequence[str]) -> int:
    """Make new keys and ask for a card with them."""
    request = _request(arguments)
    if not ask_for_keys(read_tree_settings(arguments.settings), names, request=request, clock=SystemClock()):
        print("Keys wait for the nation already; this is the request for those.")
    print(f"Send {request} to the nation; once it has admitted it, the node changes its keys by itself.")
    return 0


def shares(arguments: argparse.Namespace) -> int:
    """Have shares renewed."""
    if arguments.overlap_hours < 0:
        raise BadRequestError("--overlap-hours is at least 0")
    overlap = timedelta(hours=arguments.overlap_hours)
    signed = asyncio.run(rotate_shares(read_tree_settings(arguments.settings), overlap=overlap))
    former = signed.directory.former_key
    print(f"Directory {signed.serial} names shares of version {signed.directory.key.share_version}.")
    if former is not None:
        print(f"They are in use from {former.until:%Y-%m-%d %H:%M:%S} UTC; all nodes change by themselves.")
    return 0


def forget(arguments: argparse.Namespace) -> int:
    """Destroy what nothing needs."""
    forgotten = forget_keys(read_settings(arguments.settings), clock=SystemClock())
    print(f"{forgotten.destroyed} former keys destroyed.")
    for why in forgotten.kept:
        print(f"Kept: {why}.")
    return 1 if forgotten.kept else 0


def _request(arguments: argparse.Namespace) -> Path:
    """Where the request goes."""
    chosen: Path | None = arguments.request
    return chosen or arguments.settings.parent / "request.json"


def at_rest(arguments: argparse.Namespace) -> int:
    """Replace the key at rest."""
    if arguments.step < 1 or arguments.rest_ms < 0:
        raise BadRequestError("--step is at least 1 and --rest-ms at least 0")
    changed = rotate_at_rest(
        read_settings(arguments.settings), step=arguments.step, rest_s=arguments.rest_ms / 1000, tell=_say
    )
    print(f"{changed} keys wrapped anew.")
    return 0

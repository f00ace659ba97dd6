"""The ``health-exchange`` command: every subcommand's words, and how failures leave.

Exit codes: 0 done, 1 it ran and found something wrong, 2 the request was wrong, 3 something needed is away.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from health_exchange.cli import audit, database, lookup, network, node, person, policy, rotate
from health_exchange.cli.demo import command as demo
from health_exchange.cli.demo import elsewhere as replay
from health_exchange.cli.drill import command as drill
from health_exchange.cli.samples import command as samples
from health_exchange.model.errors import Category, ExchangeError

EXIT_CODES: Mapping[Category, int] = MappingProxyType(
    dict.fromkeys(Category, 2) | {Category.BUSY: 3, Category.UNAVAILABLE: 3, Category.FAULT: 1, Category.CONFLICT: 1}
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(
        prog="health-exchange",
        description="A national health-information exchange: demo, drills, nodes, databases, look-ups, audit, rights.",
    )
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (demo, drill, replay, node, database, network, rotate, lookup, audit, person, policy, samples):
        command.add_parser(subparsers)
    arguments = parser.parse_args(argv)
    try:
        sys.exit(arguments.run(arguments))
    except ExchangeError as error:
        where = f" ({error.where})" if error.where else ""
        print(f"health-exchange: {error.detail}{where} [{error.code}]", file=sys.stderr)
        sys.exit(EXIT_CODES[error.category])
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)

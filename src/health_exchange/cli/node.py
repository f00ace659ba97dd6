"""``health-exchange node``: run one node until told to stop, or ask how one is doing.

A node of a tree runs from its settings file; one that stands alone makes what it needs when it is first started.
"""

import argparse
from pathlib import Path

from health_exchange.cli import status
from health_exchange.cli.client import BadRequestError
from health_exchange.wiring.settings import read_settings

FOLDER = Path("standalone")
_WISHES = ("dir", "host", "port", "url", "database_url", "database_password", "open")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("node", help="run a node, or ask how one is doing")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    token_parser = commands.add_parser(
        "token",
        help="print an access token for a standalone node that runs",
        description="Print an access token, good for some minutes, as the client that was registered when the node was "
        'made: curl -H "Authorization: Bearer $(health-exchange node token)" http://127.0.0.1:8080/fhir/Patient',
    )
    token_parser.add_argument("--dir", type=Path, default=FOLDER, help=f"the node's folder ({FOLDER})")
    token_parser.add_argument("--ca", type=Path, help="certificate authority, PEM, where the system knows it not")
    token_parser.set_defaults(run=token)
    status.add_node_status(commands)


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="run one node until SIGTERM or Ctrl-C",
        description="Run one node until SIGTERM or Ctrl-C: of a tree, from its settings file; or one that stands "
        "alone, a plain FHIR R4 server that makes its folder at the first start.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--settings", type=Path, help="the node's TOML file")
    which.add_argument("--standalone", action="store_true", help="a node of its own: no tree, no key holders elsewhere")
    alone = parser.add_argument_group("with --standalone")
    alone.add_argument("--dir", type=Path, help=f"the node's folder ({FOLDER})")
    alone.add_argument("--host", help="address to listen on (127.0.0.1); others need a certificate in node.toml")
    alone.add_argument("--port", type=int, help="port to listen on (8080)")
    alone.add_argument("--url", help="what clients call the node, where that is not http://HOST:PORT")
    alone.add_argument("--database-url", help="at the first start: postgresql://role@host:port/name (SQLite in DIR)")
    alone.add_argument("--database-password", type=Path, metavar="FILE", help="at the first start: the role's password")
    alone.add_argument("--open", action="store_true", help="anyone on this machine may do everything, without a token")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until stopped."""
    if arguments.standalone:
        from health_exchange.cli.standalone import run_standalone

        return run_standalone(arguments, arguments.dir or FOLDER)
    stray = [name for name in _WISHES if getattr(arguments, name)]
    if stray:
        raise BadRequestError(f"--{stray[0].replace('_', '-')} goes with --standalone")
    import uvloop

    from health_exchange.wiring.running import run_node

    uvloop.run(run_node(read_settings(arguments.settings)))
    return 0


def token(arguments: argparse.Namespace) -> int:
    """Print a token of the client that was registered first."""
    from health_exchange.cli.standalone import print_token

    return print_token(arguments.dir, arguments.ca)

"""``health-exchange network create``: certificates, keys, shares and settings of every node of a plan, once.

For a network whose folders one machine makes, as containers on one host are. In production every node makes its own
keys, and only what is public or sealed travels.
"""

import argparse
from pathlib import Path

from health_exchange.cli.demo.samples import read_samples
from health_exchange.cli.demo.setting import make_setting
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.wiring.network_folder import read_network
from health_exchange.wiring.plan import NetworkPlan
from health_exchange.wiring.plan_file import read_plan


class FolderTakenError(ExchangeError):
    """The folder holds something else than the network that is asked for."""

    category = Category.CONFLICT
    code = "folder-taken"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's words."""
    parser = subparsers.add_parser("create", help="make certificates, keys, shares and settings of a plan, once")
    parser.add_argument("--plan", type=Path, required=True, help="TOML file of the nodes to be")
    parser.add_argument("--dir", type=Path, required=True, help="where to; what is there already is left as it is")
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="FOLDER",
        help="sample records whose facilities are registered (default: those that ship)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the network, unless it is there."""
    plan = read_plan(arguments.plan)
    if is_made(arguments.dir, plan):
        print(f"{arguments.dir} holds this network already")
        return 0
    try:
        make_setting(arguments.dir, plan, read_samples(arguments.samples), apart=True)
    except FileExistsError:
        raise FolderTakenError(
            f"making a network in {arguments.dir} was begun once and not finished; take away what is there"
        ) from None
    print(f"{arguments.dir} holds a network of {len(plan.nodes)} nodes now")
    return 0


def is_made(root: Path, plan: NetworkPlan) -> bool:
    """Whether ``root`` holds the network that ``plan`` asks for.

    Raises:
        FolderTakenError: It holds another one.
    """
    made = read_network(root)
    if made is None:
        return False
    wanted = {(node.address, node.fhir_url, node.exchange_url) for node in plan.nodes}
    if {(card.address, card.fhir_url, card.exchange_url) for card in made.nodes.values()} != wanted:
        raise FolderTakenError(f"{root} holds another network, of {len(made.nodes)} nodes; take it away first")
    return True

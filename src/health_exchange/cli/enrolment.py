"""``health-exchange network request`` and ``admit``: a node let into a running tree, one command on each side."""

import argparse
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from health_exchange.cli.client import BadRequestError
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.powers import Tier
from health_exchange.protocol.enrolment import DEPTHS
from health_exchange.wiring.enrolment import admit_node, prepare_node, write_public
from health_exchange.wiring.network_folder import CERTIFICATE_DAYS
from health_exchange.wiring.plan import EMBEDDED
from health_exchange.wiring.settings import read_named, read_tree_settings

OVERLAP_HOURS = 24.0


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands' words."""
    _add_request(commands)
    _add_admit(commands)
    parser = commands.add_parser(
        "directory",
        help="write the newest directory a node knows, for newcomers and restored folders",
        description="Write the network's public folder: the newest directory this node knows with the nation's "
        "signature, the certificate authority and the nation's key.",
    )
    parser.add_argument("folder", type=Path, help="folder to write")
    parser.add_argument("--settings", type=Path, required=True, help="the node's node.toml")
    parser.set_defaults(run=directory)


def _add_request(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """A new node's side."""
    parser = commands.add_parser(
        "request",
        help="on a new node's machine: make its keys and ask to be let in",
        description="Make a new node's folder. request.json in it goes to the nation; private keys never leave.",
    )
    parser.add_argument("folder", type=Path, help="the node's folder to be")
    parser.add_argument("--network", type=Path, required=True, help="the network's public folder, with nation.key")
    parser.add_argument("--address", required=True, help="its place, cn/33/3305/330522")
    parser.add_argument("--tier", required=True, choices=[tier.value for tier in DEPTHS])
    parser.add_argument("--name", required=True, help="what people call it")
    parser.add_argument("--exchange-url", required=True, help="where peers will find it, https://host:port")
    parser.add_argument("--fhir-url", required=True, help="where facilities and readers will find it")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (all)")  # noqa: S104  # a server's usual wish
    parser.add_argument("--database", default=EMBEDDED, help=f"its database ({EMBEDDED})")
    parser.set_defaults(run=request)


def _add_admit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The nation's side."""
    parser = commands.add_parser(
        "admit",
        help="at the nation: grant a node's request",
        description="Grant a request: sign the next directory, which all nodes take by themselves, and write the "
        "answer. Its files are copied into the node's folder as they lie.",
    )
    parser.add_argument("request", type=Path, help="request.json as it came")
    parser.add_argument("--settings", type=Path, required=True, help="the nation's node.toml")
    parser.add_argument("--fingerprint", default="", help="as the new node's people tell it; a known node needs none")
    parser.add_argument("--authority-key", type=Path, required=True, help="private key of the certificate authority")
    parser.add_argument("--answer", type=Path, required=True, help="folder to write, for the node")
    parser.add_argument("--days", type=int, default=CERTIFICATE_DAYS, help="how long its certificate is valid")
    parser.add_argument(
        "--overlap-hours",
        type=float,
        default=OVERLAP_HOURS,
        help="how long a known node goes on with its present keys, until all know the new ones",
    )
    parser.set_defaults(run=admit)


def request(arguments: argparse.Namespace) -> int:
    """Make a node's folder and its request."""
    try:
        address = NodeAddress.parse(arguments.address)
    except ValueError as error:
        raise BadRequestError(f"--address: {error}") from None
    card = NodeCard(
        address=address,
        tier=Tier(arguments.tier),
        name=arguments.name,
        verifying_key=b"",
        box_key=b"",
        log_key=b"",
        exchange_url=arguments.exchange_url.rstrip("/"),
        fhir_url=arguments.fhir_url.rstrip("/"),
    )
    fingerprint, nation = prepare_node(
        card,
        network=arguments.network,
        folder=arguments.folder,
        host=arguments.host,
        database=arguments.database,
        randomness=os.urandom,
    )
    print(f"Send {arguments.folder / 'request.json'} to the nation, and tell it this fingerprint by another way:")
    print(f"  {fingerprint}")
    print(f"Ask the nation for the fingerprint of its key; {arguments.folder / 'node.toml'} trusts")
    print(f"  {nation}")
    return 0


def directory(arguments: argparse.Namespace) -> int:
    """Write the public folder."""
    signed = write_public(read_tree_settings(arguments.settings), arguments.folder)
    print(f"Directory {signed.serial}, {len(signed.directory.nodes)} nodes, in {arguments.folder}.")
    return 0


def admit(arguments: argparse.Namespace) -> int:
    """Grant a request."""
    if arguments.days < 1 or arguments.overlap_hours < 0:
        raise BadRequestError("--days is at least 1 and --overlap-hours at least 0")
    admitted = admit_node(
        read_tree_settings(arguments.settings),
        read_named(str(arguments.request)),
        fingerprint=arguments.fingerprint,
        authority_key=arguments.authority_key,
        answer=arguments.answer,
        now=datetime.now(UTC),
        overlap=timedelta(hours=arguments.overlap_hours),
        days=arguments.days,
    )
    card = admitted.card
    if admitted.is_new:
        print(f"Directory {admitted.serial}: {card.address} ({card.tier}), reporting to {card.address.parent},")
        print(f"its log cosigned by {', '.join(map(str, card.witnesses))}. The tree learns of it by itself.")
    else:
        print(f"Directory {admitted.serial} holds this already; nothing was signed anew.")
    print(f"Doors: {card.exchange_url} and {card.fhir_url}.")
    print(f"A new node: copy what {arguments.answer} holds into its folder. One that renews its certificate:")
    print(f"  health-exchange rotate certificate --settings node.toml --answer {arguments.answer}")
    return 0

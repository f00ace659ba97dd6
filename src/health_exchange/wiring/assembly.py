"""Putting a node together: the only place that knows which implementation of a port runs.

A tier without a power gets ``None`` where its means would be: a node that does not admit facilities has no admission
and no client of key holders, one that keeps no share cannot evaluate.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from health_exchange.api.audit_door import AuditDoor
from health_exchange.api.clients import GUEST, Client, read_registry
from health_exchange.api.datacenter_door import DatacenterDoor
from health_exchange.api.event_door import EventDoor
from health_exchange.api.exchange_door import ExchangeDoor, exchange_routes
from health_exchange.api.fhir_door import FhirDoor
from health_exchange.api.lookup_door import LookupDoor
from health_exchange.api.nearness import NearOnly
from health_exchange.api.operator_door import OperatorDoor
from health_exchange.api.person_door import PersonDoor
from health_exchange.api.policy_door import PolicyDoor
from health_exchange.api.problems import NoMethodError, problem_response
from health_exchange.api.request_log import RequestLog
from health_exchange.api.routing import Routes
from health_exchange.api.tokens import TokenIssuer
from health_exchange.api.urls import SoundUrls
from health_exchange.console.status_page import status_page_routes
from health_exchange.crypto.signatures import VerifyingKeys
from health_exchange.fhir.limits import Limits as FhirLimits
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import SystemClock
from health_exchange.model.errors import ExchangeError, FaultError, NotFoundError
from health_exchange.model.powers import Power
from health_exchange.node.admission import Admission
from health_exchange.node.contacts import Contacts
from health_exchange.node.desks import Desks
from health_exchange.node.directory_updates import DirectoryFile, no_file
from health_exchange.node.erasures import Erasures
from health_exchange.node.holders import Holders
from health_exchange.node.lookups import LookUps
from health_exchange.node.membership import Membership
from health_exchange.node.oversight import Oversight
from health_exchange.node.parts import Limits, NodeParts
from health_exchange.node.premises import Premises
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.refusals import Refusals
from health_exchange.node.searching import Searching
from health_exchange.node.starting import note_start
from health_exchange.node.statistics import Statistics
from health_exchange.node.turns import Turn, turns_of
from health_exchange.peers.https import HttpsTransport
from health_exchange.peers.in_process import Door, InProcessTransport
from health_exchange.store import incarnations, node_state
from health_exchange.store.engine import Store
from health_exchange.telemetry.events import log_event
from health_exchange.wiring.currency import Currency
from health_exchange.wiring.directory_files import DirectoryFiles, newest_directory
from health_exchange.wiring.key_file import KeyFile
from health_exchange.wiring.policy_folder import policy_folder, read_policies
from health_exchange.wiring.processes import Processes
from health_exchange.wiring.settings import SQLITE, BadSettingsError, Settings, database_password, read_named
from health_exchange.wiring.share_file import ShareFile
from health_exchange.wiring.transports import peer_context, transport_of

BACKGROUND_NICENESS = 10
"""Of work nobody waits for at a door: what travels up gives way to what is being admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node put together, not yet at work.

    Attributes:
        parts: What its use cases work with.
        holders: The key holders as it sees them.
        pseudonyms: Its client of key holders, where it sees national IDs.
        admission: Its admission, where it admits facilities.
        reading: Reads and searches.
        lookups: Looks persons up across the country, where it has the power.
        exchange: Its door for peers.
        turns: Its recurring work.
    """

    parts: NodeParts
    holders: Holders
    pseudonyms: PseudonymClient | None
    admission: Admission | None
    reading: Searching
    lookups: LookUps | None
    exchange: ExchangeDoor
    turns: tuple[Turn, ...]


def make_node(parts: NodeParts, directory_file: DirectoryFile = no_file) -> Node:
    """A node of ``parts``, whatever carries its messages; ``directory_file`` is the directory beside it."""
    contacts = Contacts(parts.transport, parts.clock, parts.store.meters)
    parts = replace(parts, transport=contacts)
    holders = Holders(parts)
    pseudonyms = PseudonymClient(parts, holders) if parts.card.may(Power.SEES_NATIONAL_IDS) else None
    reading = Searching(parts, pseudonyms)
    admits, asks = parts.card.may(Power.ADMITS_FACILITIES), parts.card.may(Power.LOOKS_UP)
    return Node(
        parts=parts,
        holders=holders,
        pseudonyms=pseudonyms,
        admission=Admission(parts, pseudonyms) if admits and pseudonyms else None,
        reading=reading,
        lookups=LookUps(parts, holders, pseudonyms, reading) if asks and pseudonyms else None,
        exchange=ExchangeDoor(parts, pseudonyms),
        turns=turns_of(parts, pseudonyms, contacts, directory_file),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledNode:
    """A node with its servers' applications, from settings.

    Attributes:
        node: The node.
        run: Names its claim on its database, for its further processes.
        fhir_app: What the TLS listener serves.
        exchange_app: What the mutual-TLS listener serves.
        transport: To be closed at the end, as are its processes.
        currency: Keeps this process at what files and database say now.
        workers: Processes that compute what somebody waits for.
        background: A process that computes what may wait.
    """

    node: Node
    run: str
    fhir_app: RequestLog
    exchange_app: Starlette
    transport: HttpsTransport | InProcessTransport
    currency: Currency
    workers: Processes
    background: Processes

    async def close(self) -> None:
        """Let go of peers and database."""
        await self.transport.close()
        for workers in (self.workers, self.background):
            workers.close()
        self.node.parts.store.close()


def assemble(settings: Settings, run: str = "", *, starts: bool = True) -> AssembledNode:
    """The node that ``settings`` describe, over HTTPS and its database.

    Args:
        settings: The node's.
        run: Of the node that claims the database already and has this process serve its doors; empty to be the node.
        starts: Whether it starts now, which its log says; not for what is done to a node before it may start.

    Raises:
        ExchangeError: A file is missing or does not fit the others.
    """
    directory_files, key_file = DirectoryFiles(settings), KeyFile(settings.keys)
    share_file = ShareFile(settings.share) if settings.share else None
    joined = bool(run)
    store = _open_store(settings, key_file, upgrades=not joined)
    membership = _membership(settings, key_file, share_file, store)
    doors: dict[NodeAddress, Door] = {}
    try:
        context = peer_context(settings) if settings.exchange_port else None
        transport = transport_of(settings, membership, context, doors)
    except ExchangeError:
        store.close()
        raise
    if joined:
        store.join(run)
    else:
        run = _claim(store, membership.address)
    workers, background = Processes(_worker_count(settings.processes)), Processes(1, niceness=BACKGROUND_NICENESS)
    parts = NodeParts(
        membership=membership,
        stream=store.write_now(node_state.own_stream),
        incarnation=store.read_now(incarnations.current),
        policies=read_policies(policy_folder(settings, membership.card.tier)),
        store=store,
        transport=transport,
        clock=membership.clock,
        randomness=os.urandom,
        workers=workers,
        background=background,
        limits=Limits(evaluations_per_day=settings.evaluations_per_day),
        premises=_premises(settings),
    )
    if starts and not joined:
        note_start(parts)
    node = make_node(parts, directory_files.changed)
    doors[membership.address] = node.exchange.answer
    return AssembledNode(
        node=node,
        run=run,
        fhir_app=fhir_app(node, read_registry(read_named(settings.clients)), is_open=settings.open_to_anyone),
        exchange_app=Starlette(routes=exchange_routes(node.exchange), exception_handlers=_HANDLERS),
        transport=transport,
        currency=Currency(settings, parts, key_file, share_file, context),
        workers=workers,
        background=background,
    )


def _membership(settings: Settings, key_file: KeyFile, share_file: ShareFile | None, store: Store) -> Membership:
    """What the node is by the newer of the directories that lie beside it and in its database.

    Raises:
        ExchangeError: It cannot be in this network as these files say; the store is closed.
    """
    try:
        return Membership(
            address=NodeAddress.parse(settings.address),
            nation=VerifyingKeys.from_bytes(settings.nation_key),
            signed=store.read_now(lambda tx: newest_directory(settings, tx)),
            keys=key_file.now(),
            clock=SystemClock(),
            shares=share_file.now() if share_file is not None else (),
            keep_share=share_file.add if share_file is not None else None,
        )
    except ExchangeError:
        store.close()
        raise


def _premises(settings: Settings) -> Premises:
    """What the node stands on; a database that is a server has its own operators."""
    is_here = settings.database.startswith(SQLITE)
    return Premises(
        certificates={
            name: Path(path)
            for name, path in (("node", settings.certificate), ("authority", settings.authority))
            if path
        },
        database=Path(settings.database.removeprefix(SQLITE)) if is_here else None,
    )


def _open_store(settings: Settings, key_file: KeyFile, *, upgrades: bool) -> Store:
    return Store.open(
        settings.database,
        key_file.store_keys,
        SystemClock(),
        os.urandom,
        password=database_password(settings),
        upgrades=upgrades,
    )


def _claim(store: Store, address: NodeAddress) -> str:
    """Make this process the database's node; the name of its run.

    Raises:
        DatabaseTakenError: Another process is.
        BadSettingsError: The database is another node's.
    """
    run = os.urandom(16).hex()
    try:
        store.claim(run)
        owner = store.write_now(lambda tx: node_state.owner(tx, address))
        if owner != address:
            raise BadSettingsError(f"the database is that of {owner}, not of {address}")
    except ExchangeError:
        store.close()
        raise
    return run


def _worker_count(processes: int) -> int:
    """How many of its workers each of a node's processes has: half the cores for all, and two at least.

    Reading and drafting are more than half of what a Bundle takes; the rest of the cores is for all else.
    """
    return max(1, max(2, (os.cpu_count() or 1) // 2) // processes)


def fhir_app(node: Node, clients: Mapping[str, Client], *, is_open: bool = False) -> RequestLog:
    """The FHIR door, the operator door and the status page on one listener.

    Args:
        node: The node.
        clients: Who may have tokens.
        is_open: Whether who shows no token is :data:`GUEST`.
    """
    parts = node.parts
    issuer = TokenIssuer(
        base_url=parts.card.fhir_url,
        clients=clients,
        seed=parts.keys.access_tokens,
        store=parts.store,
        clock=parts.clock,
        tokenless=GUEST if is_open else None,
    )
    door = FhirDoor(parts=parts, issuer=issuer, reading=node.reading, admission=node.admission, limits=FhirLimits())
    lookups = LookupDoor(door=door, lookups=node.lookups)
    datacenter = DatacenterDoor(door=door, statistics=Statistics(parts))
    oversight = Oversight(parts, node.pseudonyms)
    routes = [
        *lookups.routes(),
        *AuditDoor(door=door, oversight=oversight).routes(),
        *([] if parts.card.may(Power.TAKES_ANYTHING) else EventDoor(door=door, oversight=oversight).routes()),
        *door.routes(),
        *datacenter.routes(),
        *_person_routes(node, door),
        *OperatorDoor(parts).routes(),
        *PolicyDoor(door=door, refusals=Refusals(parts)).routes(),
        *status_page_routes(parts),
    ]
    sound = SoundUrls(Routes(routes, _HANDLERS))
    return RequestLog(NearOnly(sound) if is_open else sound, routes, parts.address, parts.store.meters)


def _person_routes(node: Node, door: FhirDoor) -> list[Route]:
    """The door for persons, where the node sees who they are and admits their records."""
    if node.pseudonyms is None or node.admission is None:
        return []
    desks = Desks(node.parts, node.pseudonyms, Oversight(node.parts, node.pseudonyms).elsewhere)
    return PersonDoor(door=door, desks=desks, erasures=Erasures(node.parts, desks)).routes()


async def _fault(_request: Request, error: Exception) -> Response:
    """Our defect: its kind goes to the log, its text to nobody."""
    log_event("fault", code=type(error).__name__)
    return problem_response(FaultError("the node has failed to carry out the request; an operator can see why"))


async def _no_route(_request: Request, _error: Exception) -> Response:
    """A path that the door does not have."""
    return problem_response(NotFoundError("no such path"))


async def _no_method(request: Request, _error: Exception) -> Response:
    """A method that the path does not have; the routes of one path are several, each with a method of its own."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    at_path = [route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    response = problem_response(NoMethodError("the path does not have this method"))
    response.headers["Allow"] = ", ".join(sorted(set().union(*at_path)))
    return response


_HANDLERS: Mapping[int | type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    404: _no_route,
    405: _no_method,
    Exception: _fault,
}

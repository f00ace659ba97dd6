"""A whole network in one process, on the real ports: stories drive it turn by turn under a manual clock."""

import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from copy import copy, deepcopy
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from sqlalchemy import make_url, select
from tests.databases import NODE_ROLE, PostgresqlServer
from tests.federation.faults import CrashError, Faults, FaultyWire, StoryStore
from tests.statements import compile_once

from health_exchange.audit.export import export_folder
from health_exchange.audit.verification import Finding, verify_folder
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym, RequestId
from health_exchange.model.powers import Power, Tier
from health_exchange.model.purposes import Purpose
from health_exchange.node.admission import BundleOutcome
from health_exchange.node.callers import Caller
from health_exchange.node.directory_updates import FACT
from health_exchange.node.membership import Membership
from health_exchange.node.parts import Limits, NodeParts
from health_exchange.node.starting import note_start
from health_exchange.node.status import status_of
from health_exchange.peers.in_process import InProcessTransport
from health_exchange.policy.decisions import Principal
from health_exchange.policy.engine import PolicySet
from health_exchange.protocol.directories import SignedDirectory, unpack_directory
from health_exchange.protocol.transport import PeerAnswer
from health_exchange.pseudonym.threshold import KeyShare
from health_exchange.store import exports, incarnations, node_state
from health_exchange.store.engine import StoreKeys, Transaction
from health_exchange.store.resources import CURRENT, opened
from health_exchange.store.schema import locators
from health_exchange.wiring.assembly import Node, make_node
from health_exchange.wiring.ceremony import Ceremony, hold_ceremony
from health_exchange.wiring.inspection import log_content
from health_exchange.wiring.locations import shipped
from health_exchange.wiring.plan import NetworkPlan, PlannedNode
from health_exchange.wiring.policy_folder import read_policies

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ROUNDS_MAX = 400
HOSPITAL = Principal(kind="facility", id="hospital", organization="121000001000791901")

_TIERS = {1: Tier.NATION, 2: Tier.PROVINCE, 3: Tier.CITY, 4: Tier.COUNTY}


class ManualClock:
    """Stands still until a story moves it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def advance(self, **kwargs: float) -> None:
        self.at += timedelta(**kwargs)


def plan_of(addresses: Iterable[str], holders: Sequence[str], threshold: int = 2) -> NetworkPlan:
    """A plan whose tiers follow from depth; a leaf is a county, or attached where its code ends in 00."""
    parsed = [NodeAddress.parse(address) for address in addresses]
    parents = {address.parent for address in parsed}

    def tier(address: NodeAddress) -> Tier:
        if address in parents or len(address.segments) < 3:
            return _TIERS[len(address.segments)]
        return Tier.ATTACHED if address.segments[-1].endswith("00") else Tier.COUNTY

    return NetworkPlan(
        nodes=tuple(
            PlannedNode(
                address=address,
                tier=tier(address),
                name=str(address),
                exchange_url="https://127.0.0.1:1",
                fhir_url="https://127.0.0.1:2",
            )
            for address in parsed
        ),
        holders=tuple(map(NodeAddress.parse, holders)),
        threshold=threshold,
    )


SMALL = plan_of(
    ["cn", "cn/33", "cn/51", "cn/33/3305", "cn/33/3305/330521", "cn/51/5100"], holders=["cn", "cn/33", "cn/51"]
)
"""Six nodes: every tier, two provinces, and an admitting node straight under its province."""


@lru_cache(maxsize=4)
def ceremony_of(plan: NetworkPlan) -> Ceremony:
    """Keys for a plan, made once: stories differ in what happens, not in who is there."""
    return hold_ceremony(plan, randomness=random.Random(7).randbytes)


@lru_cache(maxsize=1)
def policies() -> PolicySet:
    """The base set."""
    return read_policies(shipped("policies"))


@lru_cache(maxsize=1)
def empty_database() -> Path:
    """A migrated, empty database to copy."""
    path = Path(mkdtemp(prefix="health-exchange-")) / "empty.sqlite"
    clock = ManualClock()
    keys = next(iter(ceremony_of(SMALL).keys.values()))
    StoryStore.open(
        f"sqlite:///{path}",
        StoreKeys(at_rest=keys.at_rest, tokens=keys.tokens),
        clock,
        random.Random(1).randbytes,
        inline=True,
        durable=False,
    ).close()
    return path


OPEN: list["Network"] = []
"""Networks of the running test, closed at its end."""
SERVER: ContextVar[PostgresqlServer | None] = ContextVar("server", default=None)
"""Where databases are, for a test that runs on PostgreSQL; ``None`` for files."""


class Network:
    """Nodes of a plan, each on its own database: in ``folder``, or on the server of the test."""

    def __init__(
        self, folder: Path, plan: NetworkPlan = SMALL, faults: Faults | None = None, limits: Limits | None = None
    ) -> None:
        self.folder, self.plan, self.limits = folder, plan, limits or Limits()
        OPEN.append(self)
        self.faults = faults or Faults(0, rate=0, crash_rate=0)
        self.ceremony = ceremony_of(plan)
        self.clock = ManualClock()
        self.wire = FaultyWire(self.faults)
        self.dice = random.Random(self.faults.dice.random())
        self.crashes = 0
        self.meddle: Callable[[NodeAddress, NodeAddress, PeerAnswer], PeerAnswer] | None = None
        self.nodes: dict[NodeAddress, Node] = {}
        self.twins: list[Node] = []
        self.keys = dict(self.ceremony.keys)
        self.shares: dict[NodeAddress, tuple[KeyShare, ...]] = {
            address: (share,) for address, share in self.ceremony.shares.items()
        }
        self.beside: dict[NodeAddress, tuple[bytes, bytes]] = {}
        self._urls = {each.address: self._new_database(_file(each.address)) for each in plan.nodes}
        for each in plan.nodes:
            self.start(each.address)

    def __getitem__(self, address: str) -> Node:
        return self.nodes[NodeAddress.parse(address)]

    def _new_database(self, name: str, like: str = "") -> str:
        """The URL of an empty database, or of a copy of one that nobody has open."""
        server, template = SERVER.get(), make_url(like).database if like else None
        if server is not None:
            return server.url(server.new_database(template or "node_template"), NODE_ROLE)
        path = self.folder / f"{name}.sqlite"
        shutil.copy(template or empty_database(), path)
        return f"sqlite:///{path}"

    def rest(self) -> "Network":
        """Let go of everything, to be copied; the databases outlive the running test."""
        self.close()
        OPEN.remove(self)
        server = SERVER.get()
        if server is not None:
            kept = {make_url(url).database for url in self._urls.values()}
            server.made[:] = [name for name in server.made if name not in kept]
        return self

    def copied(self, folder: Path) -> "Network":
        """A network that goes on where this one rests, in which no fault was called for and no node met with any."""
        other = copy(self)
        OPEN.append(other)
        other.folder, other.clock, other.dice = folder, ManualClock(), deepcopy(self.dice)
        other.clock.at, other.faults = self.clock.at, deepcopy(self.faults)
        other.wire, other.nodes, other.twins, other.beside = FaultyWire(other.faults), {}, [], {}
        other.keys, other.shares = dict(self.keys), dict(self.shares)
        other._urls = {address: other._new_database(_file(address), like=url) for address, url in self._urls.items()}
        for address in self._urls:
            other.put_together(address)
            other._expose(other.nodes[address])
        return other

    def lose_database(self, address: NodeAddress) -> None:
        """A node's database is gone; it starts with an empty one."""
        self.empty(address)
        self.start(address)

    def disk_of(self, address: NodeAddress) -> bytes:
        """Everything a thief of the node's disk has: tables, indexes, and the database's own log."""
        server = SERVER.get()
        if server is not None:
            return server.disk_of(make_url(self._urls[address]).database or "")
        return b"".join(path.read_bytes() for path in self.folder.glob(f"{_file(address)}.*"))

    def close(self) -> None:
        """Let go of all databases."""
        for node in [*self.nodes.values(), *self.twins]:
            node.parts.store.close()

    def url(self, address: NodeAddress) -> str:
        """Where a node's database is."""
        return self._urls[address]

    def empty(self, address: NodeAddress) -> None:
        """A node's database is gone, and an empty one is in its place; the node does not start."""
        self.nodes[address].parts.store.close()
        if SERVER.get() is None:
            for file in self.folder.glob(f"{_file(address)}.sqlite*"):
                file.unlink()
        self._urls[address] = self._new_database(_file(address))

    def start(self, address: NodeAddress) -> None:
        """Start a node on whatever its database holds."""
        self.put_together(address)
        try:
            self._start(self.nodes[address])
        except ExchangeError:
            self.nodes.pop(address).parts.store.close()
            raise

    def twin(self, address: NodeAddress) -> Node:
        """A second process of a node's identity, on a copy of its database as of now; its turns are the story's."""
        self.nodes[address].parts.store.close()
        url = self._new_database(f"twin-{len(self.twins)}", like=self._urls[address])
        self.start(address)
        self.twins.append(self._node(address, url))
        self._start(self.twins[-1])
        return self.twins[-1]

    def _start(self, node: Node) -> None:
        note_start(node.parts)
        self._expose(node)

    def _expose(self, node: Node) -> None:
        """From now on faults happen to it."""
        store = node.parts.store
        assert isinstance(store, StoryStore)
        store.faults, store.address = self.faults, node.parts.address

    def open_store(self, address: NodeAddress, url: str = "") -> StoryStore:
        """A node's database with its keys, or a copy of it."""
        keys = self.keys[address]
        store = StoryStore.open(
            url or self._urls[address],
            StoreKeys(at_rest=keys.at_rest, tokens=keys.tokens),
            self.clock,
            self.dice.randbytes,
            upgrades=False,
            inline=True,
            durable=False,
        )
        compile_once(store._database.engine)
        return store

    def put_together(self, address: NodeAddress) -> None:
        """A node on whatever its database holds, not started."""
        self.nodes[address] = self._node(address, self._urls[address])

    def _node(self, address: NodeAddress, url: str) -> Node:
        """A node on what a database holds, not started."""
        keys, store = self.keys[address], self.open_store(address, url)
        membership = Membership(
            address=address,
            nation=self.ceremony.nation,
            signed=store.read_now(partial(_directory, ceremony=self.ceremony)),
            keys=keys,
            clock=self.clock,
            shares=self.shares.get(address, ()),
            keep_share=partial(self._keep_share, address),
        )
        parts = NodeParts(
            membership=membership,
            stream=store.write_now(node_state.own_stream),
            incarnation=store.read_now(incarnations.current),
            policies=policies(),
            store=store,
            transport=InProcessTransport(
                address=address,
                seed=lambda: membership.keys.log_seed,
                clock=self.clock,
                randomness=self.dice.randbytes,
                doors=_Doors(self, address),
            ),
            clock=self.clock,
            randomness=self.dice.randbytes,
            limits=self.limits,
        )
        return make_node(parts, lambda: self.beside.pop(address, None))

    def _keep_share(self, address: NodeAddress, share: KeyShare) -> None:
        """As a holder's file keeps shares."""
        others = [each for each in self.shares.get(address, ()) if each.version != share.version]
        self.shares[address] = (share, *others)

    def put_beside(self, address: str, signed: SignedDirectory) -> None:
        """Put a directory's files in place of those beside a node."""
        self.beside[NodeAddress.parse(address)] = (signed.raw, signed.signature)

    def restart(self, address: NodeAddress) -> None:
        """What a crash leaves is started again."""
        self.crashes += 1
        self.nodes[address].parts.store.close()
        self.start(address)

    async def admit(self, address: str, bundle: bytes, request_id: str) -> BundleOutcome:
        """A facility sends a Bundle until it is answered, as facilities do."""
        node_address = NodeAddress.parse(address)
        caller = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId(request_id))
        while True:
            admission = self.nodes[node_address].admission
            assert admission is not None
            try:
                return await admission.admit_bundle(bundle, caller)
            except CrashError as crash:
                self.restart(crash.address)

    async def round(self) -> bool:
        """Every node takes each of its turns once, in an order of the dice; whether anything was done."""
        self.clock.advance(seconds=1)
        for address, node in self.nodes.items():
            node.parts.membership.settle(self.keys[address])
        turns = [(address, turn) for address in self.nodes for turn in range(len(self.nodes[address].turns))]
        self.dice.shuffle(turns)
        late, self.wire.late = self.wire.late, []
        for arrive in late:
            await self._attempt(arrive)
        results = [await self._attempt(partial(self._take, address, turn)) for address, turn in turns]
        return any(results)

    async def _take(self, address: NodeAddress, turn: int) -> bool:
        return await self.nodes[address].turns[turn].take()

    async def _attempt(self, take: Callable[[], Any]) -> bool:
        try:
            return bool(await take())
        except CrashError as crash:
            self.restart(crash.address)
            return True
        except ExchangeError:
            return False

    async def settle(self) -> None:
        """Take rounds until nothing is under way anywhere."""
        for _round in range(ROUNDS_MAX):
            busy = await self.round()
            if not busy and not self.wire.late and await self._is_settled():
                return
        raise AssertionError("the network does not come to rest")

    async def _is_settled(self) -> bool:
        statuses = [await status_of(node.parts) for node in self.nodes.values()]
        return all(status.is_settled for status in statuses)

    def kept(self, address: str) -> dict[tuple[str, str], tuple[str, int, Pseudonym | None, bytes]]:
        """What a node above the origins keeps: by type and id its origin, version, person and body."""
        return self[address].parts.store.read_now(_kept)

    def located(self, address: str) -> dict[str, set[Pseudonym]]:
        """By holder, the persons of whom ``address`` knows that something is held there."""
        found: dict[str, set[Pseudonym]] = {}
        for row in self[address].parts.store.read_now(lambda tx: list(tx.execute(select(locators)))):
            found.setdefault(row.node, set()).add(row.pseudonym)
        return found

    def granted(self, address: str) -> set[tuple[str, str]]:
        """What the origins say ``address`` has of them: type and exchange id."""
        wanted = NodeAddress.parse(address)
        found: set[tuple[str, str]] = set()
        for node in self.nodes.values():
            if node.parts.card.may(Power.ADMITS_FACILITIES) and wanted.contains(node.parts.address):
                found |= node.parts.store.read_now(partial(_granted, parts=node.parts, wanted=wanted))
        return found

    def log_failures(self) -> list[Finding]:
        """Everything wrong with any log."""
        failures: list[Finding] = []
        for address, node in self.nodes.items():
            content = node.parts.store.read_now(
                partial(log_content, directory=self["cn"].parts.directory, address=address)
            )
            failures += verify_folder(export_folder(content)).failures
        return failures


class _Doors:
    """The doors as one node finds them, through wires with faults."""

    def __init__(self, network: Network, sender: NodeAddress) -> None:
        self._network, self._sender = network, sender

    def get(self, address: NodeAddress) -> Callable[..., Any]:
        network = self._network

        async def door(*arguments: object) -> PeerAnswer:
            async def arrive(*given: object) -> PeerAnswer:
                if address not in network.nodes:
                    return PeerAnswer(status=503, body=b"")
                try:
                    answer = await network.nodes[address].exchange.answer(*given)  # type: ignore[arg-type]  # as the transport gave them
                except CrashError as crash:
                    if crash.address == self._sender:
                        raise
                    network.restart(crash.address)
                    return PeerAnswer(status=503, body=b"")
                return network.meddle(self._sender, address, answer) if network.meddle else answer

            return await network.wire.carry(self._sender, address, arrive, arguments)

        return door


def _file(address: NodeAddress) -> str:
    return str(address).replace("/", "-")


def _directory(tx: Transaction, ceremony: Ceremony) -> SignedDirectory:
    """What the node's database keeps, or the first one."""
    packed = node_state.get(tx, FACT)
    return ceremony.signed if packed is None else unpack_directory(packed, nation=ceremony.nation)


def _kept(tx: Transaction) -> dict[tuple[str, str], tuple[str, int, Pseudonym | None, bytes]]:
    from health_exchange.store.subjects import by_sids

    resources = [opened(tx, row) for row in tx.execute(CURRENT)]
    owners = by_sids(tx, [resource.sid for resource in resources])
    return {
        (resource.type, resource.id): (
            resource.origin,
            resource.version,
            owners[resource.sid].pseudonym if resource.sid in owners else None,
            resource.body or b"",
        )
        for resource in resources
        if not resource.deleted
    }


def _granted(tx: Transaction, parts: NodeParts, wanted: NodeAddress) -> set[tuple[str, str]]:
    from health_exchange.protocol.exchange_ids import exchange_id

    resources = {row.rid: opened(tx, row) for row in tx.execute(CURRENT)}
    return {
        (resources[rid].type, exchange_id(parts.keys.exchange_ids, resources[rid].type, resources[rid].id))
        for rid, standing in exports.standings(tx, resources).items()
        if wanted in standing.recipients
    }

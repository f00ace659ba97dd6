"""One drill from beginning to end: a new network, load, what the scenario does, rest, and the check of everything."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.drill.checks import all_findings, raised_alarms
from health_exchange.cli.drill.load import Load
from health_exchange.cli.drill.means import Means
from health_exchange.cli.drill.network import DrillNetwork
from health_exchange.cli.drill.rates import AIM, CatchUp, arrivals, catch_ups
from health_exchange.cli.drill.report import CatchUpReport, ScenarioReport
from health_exchange.cli.drill.scenarios import Scenario
from health_exchange.cli.drill.tree import COUNTY, HOSPITALS, NATION, drill_plan, write_tree
from health_exchange.cli.samples.dice import Dice
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.counting import Account, account_of
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.settings import read_settings

CALM_S = 4.0
"""Load before, so that there is something under way, and after: new records must still come through."""
LOOK_EVERY_S = 0.5
SETTLED_LOOKS = 2
BUSY = 4
"""Processes that want each core, beyond which the machine has other things to do and rates say nothing of ours."""
SETTLE_WITHIN_S = 120.0
"""And as long as the fault lasted: what piled up meanwhile takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How drills are run.

    Attributes:
        folder: Where; each scenario gets a folder in it.
        seed: Of everything that is drawn.
        per_s: Bundles a second.
        long: Whether things last as long as in earnest.
        means: Where nodes and databases run.
    """

    folder: Path
    seed: int
    per_s: float
    long: bool
    means: Means


async def run_scenario(scenario: Scenario, settings: Settings) -> ScenarioReport:
    """Run one; its report."""
    means = settings.means
    report = ScenarioReport(
        name=scenario.name,
        told=scenario.told,
        seed=settings.seed,
        stage=means.stage_name,
        database=means.database_name,
        skipped=means.lacks(scenario.needs),
    )
    if report.skipped:
        return report
    began = time.monotonic()
    async with _running(scenario, settings) as network:
        times, findings = await _act(scenario, network)
        if not await _has_settled(network):
            findings.append(f"the network does not come to rest within {_patience_s(network):g} s")
        books = await asyncio.to_thread(_books, network)
    findings += all_findings(books, network.load.acknowledged, alarms=scenario.alarms, may_alarm=scenario.may_alarm)
    findings += [f"{name} was refused: {why}" for name, why in network.load.refused]
    caught = _catch_ups(books, times)
    is_busy = times.load > BUSY * (os.cpu_count() or 1)
    late = [each for each in caught if each.level_after_s > each.allowed_s]
    findings += [
        f"{each.origin} is level after {each.level_after_s:.1f} s, not {each.allowed_s:.1f} s: catching up is less "
        f"than {AIM:g} times as fast as live"
        for each in late
        if not is_busy
    ]
    told = [each for acknowledged in network.load.acknowledged.values() for each in acknowledged]
    return msgspec.structs.replace(
        report,
        story=network.story,
        bundles=len(told),
        versions=len({version for each in told for version in each.versions}),
        at_nation=len(books[NATION].holdings.current),
        log_entries=sum(account.log.entries for account in books.values()),
        alarms=dict(raised_alarms(books)),
        is_busy=is_busy,
        catch_ups=[
            CatchUpReport(
                origin=each.origin,
                live_per_s=round(each.live_per_s, 1),
                piled_up=each.piled_up,
                level_after_s=round(each.level_after_s, 2),
                allowed_s=round(each.allowed_s, 2),
                per_s=round(each.per_s, 1),
            )
            for each in caught
        ],
        findings=findings,
        elapsed_s=round(time.monotonic() - began, 1),
    )


@asynccontextmanager
async def _running(scenario: Scenario, settings: Settings) -> AsyncIterator[DrillNetwork]:
    """A new network of the scenario's, ready; gone afterwards but for its folder."""
    root, means = settings.folder / scenario.name, settings.means
    async with means.prepared(root, scenario.needs, drill_plan()) as place:
        keys = write_tree(
            root,
            place.plan,
            door=place.stage.door,
            databases={node.address: place.databases.lines(node.address) for node in place.plan.nodes},
        )
        await asyncio.to_thread(place.furnish)
        supervisor = Supervisor(root, place.plan.nodes, place.words)
        trust = ssl.create_default_context(cafile=str(root / "network" / "authority.pem"))
        try:
            supervisor.start_all()
            async with httpx.AsyncClient(verify=trust, trust_env=False, timeout=10.0) as http:
                await supervisor.wait_until_healthy(http)
                load = Load(
                    seed=settings.seed,
                    folder=root / "load",
                    urls={node.address: node.fhir_url for node in place.plan.nodes},
                    keys=keys,
                    http=http,
                    per_s=settings.per_s,
                )
                yield DrillNetwork(
                    root=root,
                    plan=place.plan,
                    dice=Dice(settings.seed, "drill", scenario.name),
                    fault_s=scenario.long_s if settings.long else scenario.fault_s,
                    stage=place.stage,
                    supervisor=supervisor,
                    databases=place.databases,
                    disks=place.disks,
                    clocks=place.clocks,
                    load=load,
                    http=http,
                )
        finally:
            await asyncio.to_thread(supervisor.stop_all)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long there was load, when all was well again, in seconds since 1970, and what the machine had to do then."""

    loaded_s: float
    healed_at: float
    load: float


async def _act(scenario: Scenario, network: DrillNetwork) -> tuple[Times, list[str]]:
    """Load, the scenario's doing, and load again; when, and what went wrong in doing it."""
    stop, findings = asyncio.Event(), list[str]()
    loading = asyncio.create_task(network.load.run(stop))
    began_at = time.time()
    try:
        await asyncio.sleep(CALM_S)
        try:
            await scenario.act(network)
        except ExchangeError as error:
            findings.append(error.detail)
        healed_at = time.time()
        await asyncio.sleep(CALM_S)
        stop.set()
        loaded_s = time.time() - began_at
        await asyncio.wait([loading], timeout=_patience_s(network))
        if loading.done():
            await loading
            network.tell("all load is acknowledged")
        else:
            findings.append(f"facilities still wait for an answer after {_patience_s(network):g} s")
    finally:
        loading.cancel()
    return Times(loaded_s=loaded_s, healed_at=healed_at, load=os.getloadavg()[0]), findings


def _patience_s(network: DrillNetwork) -> float:
    """How long things may take once all is well again."""
    return SETTLE_WITHIN_S + network.fault_s


async def _has_settled(network: DrillNetwork) -> bool:
    """Whether nothing is under way any more, anywhere, in time."""
    url = network.node(NATION).fhir_url
    looks, deadline = 0, time.monotonic() + _patience_s(network)
    while looks < SETTLED_LOOKS and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            answer = await network.http.get(f"{url}/operator/v1/network")
            status = msgspec.json.decode(answer.content, type=NetworkStatus)
        except (httpx.HTTPError, msgspec.MsgspecError):
            looks = 0
            continue
        at_rest = not status.away and all(node.is_settled and not node.waiting_for_pseudonym for node in status.nodes)
        looks = looks + 1 if at_rest else 0
    network.tell("everything has come to rest" if looks == SETTLED_LOOKS else "something is still under way")
    return looks == SETTLED_LOOKS


def _books(network: DrillNetwork) -> dict[NodeAddress, Account]:
    """Every node's, from its folder."""
    return {
        address: account_of(read_settings(node_folder(network.root, address) / "node.toml"))
        for address in network.addresses
    }


def _catch_ups(books: dict[NodeAddress, Account], times: Times) -> list[CatchUp]:
    """How each origin caught up at the nation."""
    origins: Sequence[NodeAddress] = (COUNTY, HOSPITALS)
    now = time.time()
    came = arrivals([books[origin].entries for origin in origins], books[NATION].entries)
    # What lies ahead of us was written under a clock that did.
    came = [each for each in came if max(each.shared_at, each.taken_at) <= now]
    return catch_ups(came, loaded_s=times.loaded_s, healed_at=times.healed_at)

"""Seeded faults: whatever links and processes do, what was acknowledged arrives, once, and every log verifies.

Practitioners look people up meanwhile: no answer is ever wrong about its completeness.

A seed decides everything: which messages are dropped, delayed, duplicated or overtaken, which wires are cut for a
while, and between which two steps a process ends. A failing seed stands in the test's name: run it alone with
``pytest tests/federation/test_faults.py -k 'seed-17'``.
"""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from tests.conftest import FAST_SEEDS
from tests.federation.consents import deny, permit, purposes
from tests.federation.faults import CrashError, Faults
from tests.federation.network import HOSPITAL, SMALL, Network
from tests.federation.practitioners import look_up
from tests.federation.records import (
    condition,
    consent,
    immunization,
    national_id,
    objection,
    observation,
    patient,
    transaction,
)

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.admission import BundleOutcome, Result
from health_exchange.node.callers import Caller
from health_exchange.node.erasing import CorrectionUnderwayError, erase_person
from health_exchange.node.writes import WriteResult
from health_exchange.policy.consent_rules import as_copied
from health_exchange.store.schema import locators, subjects

ORIGINS = ("cn/33/3305/330521", "cn/51/5100")
NATION = NodeAddress.parse("cn")
ABOVE = ("cn", "cn/33", "cn/51", "cn/33/3305")
EVENTS = 10
CHUNK = 25
LIVING = select(subjects).where(subjects.c.key_wrapped.is_not(None))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "first_seed" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("--seeds")
        metafunc.parametrize("first_seed", range(FAST_SEEDS, FAST_SEEDS + seeds, CHUNK))


@pytest.mark.parametrize("seed", range(FAST_SEEDS), ids=lambda seed: f"seed-{seed}")
async def test_everything_acknowledged_arrives_once(seed: int, tmp_path: Path) -> None:
    await run_story(seed, tmp_path)


@pytest.mark.slow
async def test_everything_acknowledged_arrives_once_over_many_seeds(first_seed: int, tmp_path: Path) -> None:
    for seed in range(first_seed, first_seed + CHUNK):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            await run_story(seed, folder)
        except BaseException as error:
            error.add_note(f"failing seed: {seed}")
            raise


class Story:
    """One seed's story: facilities act while everything fails, then all heals and everything is compared."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.dice = random.Random(seed)
        self.network = Network(folder, SMALL, Faults(seed))
        self.versions: dict[tuple[str, str, str], int] = {}
        """Acknowledged: by origin, type and id the version, 0 for deleted."""
        self.erased: set[tuple[str, str]] = set()
        self.requests = 0

    async def submit(self, origin: str, bundle: bytes) -> None:
        """A facility insists until it is answered, and notes what it was told."""
        self.requests += 1
        outcome = await self._insist(origin, bundle, f"request-{self.requests}")
        for result in outcome.results:
            assert isinstance(result, WriteResult)
            key = (origin, result.type, result.id)
            self.erased.discard((origin, result.id))
            self.versions[key] = 0 if result.status == 204 else result.version

    async def _insist(self, origin: str, bundle: bytes, request_id: str) -> BundleOutcome:
        for _attempt in range(50):
            try:
                outcome = await self.network.admit(origin, bundle, request_id)
            except ExchangeError:
                await self.network.round()
                continue
            if self.dice.random() < 0.1:
                # The answer got lost on its way: the facility asks again and must hear the same.
                again = await self.network.admit(origin, bundle, request_id)
                assert [_as_at_first(each) for each in again.results] == outcome.results
            return outcome
        raise AssertionError("the facility was never answered")

    async def act(self) -> None:
        """One event at one origin."""
        origin = self.dice.choice(ORIGINS)
        person = self.dice.randrange(4)
        local = f"p{person}"
        if (origin, local) in self.erased and self.dice.random() < 0.5:
            return
        known = (origin, "Patient", local) in self.versions
        number = national_id(person)
        choice = self.dice.randrange(11)
        if not known or choice == 0:
            identity = None if self.dice.random() < 0.2 else number
            name = f"{self.dice.randrange(100)}"
            await self.submit(origin, transaction(patient(local, identity=identity, version_note=name)))
        elif choice == 1:
            await self.submit(origin, transaction(patient(local, identity=national_id(person + 10))))
        elif choice == 2:
            await self._delete(origin, local)
        elif choice == 3:
            code = self.dice.choice(["J18.9", "B20", "F32.9", "I10"])
            await self.submit(origin, transaction(condition(f"c-{local}", local, code)))
        elif choice == 4 and self.dice.random() < 0.3:
            await self._erase(origin, local)
        elif choice == 5:
            await self.submit(origin, transaction(self._consent(f"n-{local}", local)))
        elif choice == 6:
            await self.look_up(number)
        else:
            value = f"{self.dice.randrange(1, 9)}.{self.dice.randrange(10)}0"
            suffix = self.dice.randrange(3)
            await self.submit(
                origin,
                transaction(observation(f"o{suffix}-{local}", local, value), immunization(f"i{suffix}-{local}", local)),
            )

    def _consent(self, name: str, local: str) -> dict[str, Any]:
        """An objection, taken back or not, to everything, for one purpose, or for a while that the story passes."""
        status = self.dice.choice(["active", "inactive"])
        purpose = permit(provision=[deny(purpose=purposes("PUBHLTH"))])
        period = deny(period={"start": "2026-11-24T08:00:10Z", "end": "2026-11-24T08:00:25Z"})
        return self.dice.choice(
            [
                objection(name, local, status=status),
                consent(name, local, purpose, status=status),
                consent(name, local, period),
            ]
        )

    async def look_up(self, number: str, *, insist: bool = False) -> None:
        """Somebody looks a person up; whatever fails, the result is right about what it has and has not."""
        at = self.dice.choice(ORIGINS)
        for _attempt in range(50):
            try:
                result = await look_up(self.network, number, at=at)
            except CrashError as crash:
                self.network.restart(crash.address)
                continue
            except ExchangeError:
                if not insist:
                    return
                continue
            break
        else:
            raise AssertionError("the look-up was never answered")
        for outcome in result.outcomes:
            if outcome.position is None:
                assert outcome.refusal or outcome.problem, "a holder that gave nothing is passed over in silence"
                assert not result.is_whole
                continue
            expected, objects = self.due(str(outcome.node), number)
            if NATION not in result.directions_by:
                # Nobody knows all that the person objects to, so nothing sensitive is given, and the asker hears it.
                assert not result.is_whole
                expected -= self.coded(str(outcome.node), "F32.9")
            given = {(each["resourceType"], each["id"]) for each in map(msgspec.json.decode, outcome.resources)}
            if outcome.refusal or objects:
                assert not given
            elif not outcome.waiting:
                assert given == expected, f"{outcome.node} pretends to be complete"
        if insist:
            assert result.is_whole or any(outcome.refusal for outcome in result.outcomes)
            asked = {str(outcome.node) for outcome in result.outcomes}
            for origin in ORIGINS:
                expected, objects = self.due(origin, number)
                assert not expected or objects or origin in asked, f"{origin} was not asked"

    def due(self, origin: str, number: str) -> tuple[set[tuple[str, str]], bool]:
        """What a practitioner gets of a person at one origin, by what is kept there; and whether the person objects."""
        kept = {name: msgspec.json.decode(body) for name, (_o, _v, _p, body) in self.network.kept(origin).items()}
        patients = {
            f"Patient/{local}"
            for (kind, local), body in kept.items()
            if kind == "Patient" and any(each["value"] == number for each in body.get("identifier", ()))
        }
        theirs = {
            name: body
            for name, body in kept.items()
            if f"{name[0]}/{name[1]}" in patients
            or (body.get("subject") or body.get("patient") or {}).get("reference") in patients
        }
        objects = any(kind == "Consent" and self._objects_to_care(body) for (kind, _id), body in theirs.items())
        return theirs.keys() - self.coded(origin, "B20"), objects

    def coded(self, origin: str, code: str) -> set[tuple[str, str]]:
        """What is kept at one origin under a code."""
        kept = {name: msgspec.json.decode(body) for name, (_o, _v, _p, body) in self.network.kept(origin).items()}
        return {name for name, body in kept.items() if code.encode() in msgspec.json.encode(body.get("code"))}

    def _objects_to_care(self, body: dict[str, Any]) -> bool:
        """Whether a Consent of :meth:`_consent` objects to a look-up for treatment now."""
        if body["status"] != "active":
            return False
        period = body.get("provision", {}).get("period")
        if period is None:
            return "policyRule" in body
        # Both its ends name whole seconds, in the form in which the clock's instants are compared.
        now = self.network.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return bool(period["start"] <= now <= period["end"])

    async def _delete(self, origin: str, local: str) -> None:
        living = [
            (kind, name)
            for (at, kind, name), version in self.versions.items()
            if at == origin and kind != "Patient" and name.endswith(local) and version
        ]
        if living:
            kind, name = self.dice.choice(sorted(living))
            await self.submit(origin, transaction(delete=(f"{kind}/{name}",)))

    async def _erase(self, origin: str, local: str) -> None:
        from health_exchange.store import subjects as people

        node = self.network[origin]
        subject = node.parts.store.read_now(lambda tx: people.by_anchor(tx, f"Patient/{local}"))
        if subject is None or subject.pseudonym is None:
            return
        caller = Caller(principal=HOSPITAL, purpose=Purpose.TREATMENT, request_id=RequestId("erasure"))
        while True:
            try:
                await erase_person(self.network[origin].parts, subject.pseudonym, caller)
                break
            except CorrectionUnderwayError:
                await self.network.round()
            except CrashError as crash:
                self.network.restart(crash.address)
        self.erased.add((origin, local))
        # One person may be several Patients here: all of them are gone.
        self.versions = {
            key: version for key, version in self.versions.items() if key[0] != origin or not self._is_gone(origin, key)
        }

    def _is_gone(self, origin: str, key: tuple[str, str, str]) -> bool:
        from health_exchange.store import resources

        _origin, kind, name = key
        gone = self.network[origin].parts.store.read_now(lambda tx: resources.current(tx, kind, name)) is None
        if gone and kind == "Patient":
            self.erased.add((origin, name))
        return gone

    def disturb(self) -> None:
        """Cut or mend a wire."""
        addresses = [node.address for node in SMALL.nodes]
        if self.dice.random() < 0.2:
            child = self.dice.choice([address for address in addresses if address.parent])
            self.network.faults.cut.add(frozenset((child, child.parent or child)))
        if self.dice.random() < 0.3:
            self.network.faults.cut.clear()


async def run_story(seed: int, folder: Path) -> None:
    """Play the seed's story and check its end."""
    story = Story(seed, folder)
    network = story.network
    for _event in range(EVENTS):
        await story.act()
        story.disturb()
        for _round in range(story.dice.randrange(3)):
            await network.round()
    network.faults.stop()
    await network.settle()
    for _survey in range(2):
        network.clock.advance(minutes=1)
        await network.settle()
    for person in range(4):
        await story.look_up(national_id(person), insist=True)
    check_end(story)


def check_end(story: Story) -> None:
    """What must hold whatever happened."""
    network = story.network
    for origin in ORIGINS:
        kept = {(kind, name): version for (kind, name), (_o, version, _p, _b) in network.kept(origin).items()}
        told = {(kind, name): v for (at, kind, name), v in story.versions.items() if at == origin and v}
        assert kept == told, f"what {origin} acknowledged and what it keeps differ"
    for address in ABOVE:
        kept_above = network.kept(address)
        assert set(kept_above) == network.granted(address), f"{address} keeps other resources than it is granted"
        located = network.located(address)
        for origin in ORIGINS:
            if address in ("cn", "cn/33/3305") and NodeAddress.parse(address).contains(NodeAddress.parse(origin)):
                assert located.get(origin, set()) == network.located(origin).get(origin, set())
        for origin, version, _person, body in kept_above.values():
            assert NodeAddress.parse(address).contains(NodeAddress.parse(origin))
            assert f'"versionId":"{version}"'.encode() in body
    _check_versions(network)
    _check_consents(network)
    assert network.log_failures() == []
    for node in network.nodes.values():
        node.parts.store.close()


def _check_consents(network: Network) -> None:
    """Whoever keeps or finds something of a person knows what the person has said at its origin."""
    for origin in ORIGINS:
        owners = network[origin].parts.store.read_now(lambda tx: list(tx.execute(LIVING)))
        said = {owner.pseudonym: owner.consent for owner in owners if owner.pseudonym is not None}
        for person, consent_text in told_by(network, origin).items():
            assert consent_text == said[person]
        for address in ABOVE:
            holders = {(kept[0], kept[2]) for kept in network.kept(address).values()}
            found = network[address].parts.store.read_now(lambda tx: list(tx.execute(LIVING)))
            for subject in found:
                is_part = subject.anchor == f"{origin}|{subject.pseudonym}"
                if is_part and (origin, subject.pseudonym) in holders:
                    assert subject.consent == as_copied(said[subject.pseudonym])


def told_by(network: Network, origin: str) -> dict[str, str]:
    """What the nation attaches to look-ups, by person, of what one holder told."""
    rows = network["cn"].parts.store.read_now(lambda tx: list(tx.execute(select(locators))))
    return {row.pseudonym: row.consent for row in rows if row.node == origin}


def _as_at_first(result: Result) -> Result:
    """What a repeat says, but for that it is one."""
    return msgspec.structs.replace(result, is_repeat=False) if isinstance(result, WriteResult) else result


def _check_versions(network: Network) -> None:
    """The nation's versions and persons are the origins'."""
    from health_exchange.protocol.exchange_ids import exchange_id

    nation = network.kept("cn")
    for origin in ORIGINS:
        keys = network[origin].parts.keys.exchange_ids
        for (kind, name), (_origin, version, person, _body) in network.kept(origin).items():
            there = nation.get((kind, exchange_id(keys, kind, name)))
            if there is not None:
                assert (there[0], there[1], there[2]) == (origin, version, person)

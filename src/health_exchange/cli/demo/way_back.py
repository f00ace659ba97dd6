"""The way back, acted out on the running network: a look-up, one holder away, an objection, broken glass, its traces.

Every number comes out of answers at doors and entries in logs; nothing here knows what should come.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.audit.verification import verify_folder
from health_exchange.audit.wording import line
from health_exchange.cli.auditor import AuditorClient, entries_of
from health_exchange.cli.client import RegisteredClient
from health_exchange.cli.demo.facility import FacilityClient
from health_exchange.cli.demo.people import SamplePerson, sample_people
from health_exchange.cli.demo.replay import Replay
from health_exchange.cli.demo.samples import Samples
from health_exchange.cli.demo.setting import auditor_at, clinician_at
from health_exchange.cli.demo.supervision import Supervisor
from health_exchange.cli.demo.way_back_report import (
    BreakGlassReport,
    ConsentReport,
    EditedLogReport,
    LookupReport,
    SeenReport,
    WayBackReport,
)
from health_exchange.cli.lookup import issues_of, look_up, lookup_parameters
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import UnavailableError
from health_exchange.node.network import NetworkStatus
from health_exchange.pseudonym.identities import NATIONAL_ID_SYSTEMS
from health_exchange.wiring.inspection import export_log, read_entries
from health_exchange.wiring.network_folder import node_folder
from health_exchange.wiring.settings import read_settings

ASKING = NodeAddress.parse("cn/51/5101/510121")
"""Where the demo's practitioner works, if there is somebody to look up who has not been there."""
REASON = "unconscious after a road accident, nobody to ask"
SETTLED_WITHIN_S = 60.0
ENTRIES = 200
SEEN = frozenset({"read", "search", "look-up", "answer"})
"""Kinds of entries that say that somebody saw something of a person."""
_SOURCE = "urn:health-exchange:"
_OPT_OUT = {
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
    "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
}


def asking_node(samples: Samples) -> NodeAddress:
    """Where somebody can be asked about who has never been there; ``ASKING`` if possible.

    Raises:
        LookupError: Everybody has been everywhere.
    """
    people = sample_people(samples)
    for address in sorted(samples.bundles, key=lambda address: (address != ASKING, address)):
        if any(address not in person.patients for person in people):
            return address
    raise LookupError("the sample records have nobody to look up from elsewhere")


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """The running demo, as the way back needs it."""

    root: Path
    replay: Replay
    supervisor: Supervisor | None
    http: httpx.AsyncClient
    asking: NodeAddress = ASKING

    async def act(self) -> WayBackReport:
        """Act everything out, on three different people."""
        people = sample_people(self.replay.samples)
        traveller = next(each for each in people if self.asking not in each.patients and not each.is_restricted)
        restricted = next((each for each in people if each.is_restricted and self.asking not in each.patients), None)
        await self._look_up(traveller)  # the first one pays for what every process loads once
        report = await self._look_up(traveller)
        return WayBackReport(
            lookup=report,
            consent=await self._consent(traveller),
            break_glass=await self._break_glass(restricted) if restricted else None,
            lookup_with_one_away=await self._with_one_away(traveller, self.supervisor) if self.supervisor else None,
            seen=await self._seen(restricted or traveller),
            edited_log=await asyncio.to_thread(self._edited_log),
        )

    async def _ask(self, person: SamplePerson, purpose: str, reason: str = "") -> tuple[dict[str, Any], float]:
        """The Bundle of a look-up, and the seconds it took at the door."""
        client_id = clinician_at(self.asking)
        client = RegisteredClient(
            client_id=client_id,
            private_key_pem=self.replay.keys[client_id],
            base_url=self._url(self.asking),
            http=self.http,
        )
        await client.token()
        parameters = lookup_parameters(
            person.identity, system=min(NATIONAL_ID_SYSTEMS), purpose=purpose, reason=reason, types=[]
        )
        began = time.perf_counter()
        raw = await look_up(client, parameters)
        return msgspec.json.decode(raw), time.perf_counter() - began

    async def _look_up(self, person: SamplePerson, purpose: str = "TREAT", reason: str = "") -> LookupReport:
        """One look-up with its traces."""
        bundle, elapsed_s = await self._ask(person, purpose, reason)
        entries = await asyncio.to_thread(self._entries, bundle["identifier"]["value"])
        found = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
        by_reason: dict[str, list[str]] = {"refused": [], "not-answered": []}
        for issue in issues_of(bundle):
            told = by_reason.get(issue["details"]["coding"][0]["code"])
            if told is not None:
                told.append(issue["diagnostics"])
        return LookupReport(
            asked_at=str(self.asking),
            purpose=purpose,
            places=len(person.patients),
            elapsed_s=round(elapsed_s, 3),
            resources=len(found),
            sources=sorted({resource["meta"]["source"].removeprefix(_SOURCE) for resource in found}),
            refused=by_reason["refused"],
            unreachable=by_reason["not-answered"],
            ticket_holders=sorted(entry.node for entry in entries if entry.kind == "evaluate"),
            log_lines=[_line(entry) for entry in entries],
        )

    async def _with_one_away(self, person: SamplePerson, supervisor: Supervisor) -> LookupReport:
        """A look-up while one of the person's holders is gone."""
        away = min(person.patients, key=str)
        supervisor.kill(away)
        try:
            return await self._look_up(person)
        finally:
            supervisor.start(away)
            await supervisor.wait_until_healthy(self.http)

    async def _consent(self, person: SamplePerson) -> ConsentReport:
        """An objection at every node the person has been to, and its withdrawal."""
        before, nation_before = await self._standing(person)
        await self._object(person, "active")
        await self.settled(lambda status: _at_nation(status) < nation_before)
        meanwhile, nation_meanwhile = await self._standing(person)
        await self._object(person, "inactive")
        await self.settled(lambda status: _at_nation(status) >= nation_before)
        after, nation_after = await self._standing(person)
        return ConsentReport(
            looked_up_before=before,
            looked_up_meanwhile=meanwhile,
            looked_up_after=after,
            nation_before=nation_before,
            nation_meanwhile=nation_meanwhile,
            nation_after=nation_after,
        )

    async def _standing(self, person: SamplePerson) -> tuple[int, int]:
        """How many records a look-up gives, Consents aside, and how many the nation keeps of everybody."""
        bundle, _elapsed = await self._ask(person, "TREAT")
        found = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
        kept = _at_nation(await self.settled())
        return sum(resource["resourceType"] != "Consent" for resource in found), kept

    async def _object(self, person: SamplePerson, status: str) -> None:
        """Write the person's Consent where they have been."""
        for address, (patient, bundle) in person.patients.items():
            consent = {
                "resourceType": "Consent",
                "id": f"demo-{patient}",
                "status": status,
                **_OPT_OUT,
                "patient": {"reference": f"Patient/{patient}"},
            }
            facility = FacilityClient(
                client_id=bundle.facility.client_id,
                private_key_pem=self.replay.keys[bundle.facility.client_id],
                base_url=self._url(address),
                http=self.http,
            )
            request = {"method": "PUT", "url": f"Consent/demo-{patient}"}
            written = {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [{"resource": consent, "request": request}],
            }
            answer = await facility.submit(msgspec.json.encode(written), request_id=str(uuid4()))
            answer.raise_for_status()

    async def _break_glass(self, person: SamplePerson) -> BreakGlassReport:
        """The same person for care, and with the glass broken."""
        bundle, _elapsed = await self._ask(person, "TREAT")
        broken = await self._look_up(person, "BTG", REASON)
        return BreakGlassReport(
            for_care=sum(entry["search"]["mode"] == "match" for entry in bundle["entry"]),
            broken=broken.resources,
            reason=REASON,
            trace=broken.log_lines,
        )

    async def _seen(self, person: SamplePerson) -> SeenReport:
        """What an auditor hears who asks every node, by the person's identity."""
        client = RegisteredClient(
            client_id=auditor_at(self.asking),
            private_key_pem=self.replay.keys[auditor_at(self.asking)],
            base_url=self._url(self.asking),
            http=self.http,
        )
        identity = {"system": min(NATIONAL_ID_SYSTEMS), "value": person.identity}
        answer = await AuditorClient(client).search({"identity": identity, "everywhere": True, "count": ENTRIES})
        found = entries_of(answer)
        told = [pair for pair in found if pair[0].kind in SEEN]
        return SeenReport(
            nodes=len(answer.replies),
            not_answered=[f"{reply.node}: {reply.outcome}" for reply in answer.incomplete],
            entries=len(found),
            lines=[line(entry, at) for entry, at in sorted(told, key=lambda pair: pair[0].at, reverse=True)],
        )

    def _edited_log(self) -> EditedLogReport:
        """One byte of an exported log changed, as with a hex editor."""
        files = export_log(read_settings(node_folder(self.root, self.asking) / "node.toml"))
        name = next(path for path in sorted(files) if path.startswith("tile/entries/"))
        changed = bytearray(files[name])
        changed[len(changed) // 2] ^= 1
        failures = verify_folder({**files, name: bytes(changed)}).failures
        return EditedLogReport(file=name, finding=f"{failures[0].where}: {failures[0].what}" if failures else "")

    async def settled(self, is_done: Callable[[NetworkStatus], bool] = lambda _status: True) -> NetworkStatus:
        """The network's status once nothing is under way and ``is_done``.

        Raises:
            UnavailableError: Not within ``SETTLED_WITHIN_S``.
        """
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while time.monotonic() < deadline:
            answer = await self.http.get(f"{self._url(NodeAddress.parse('cn'))}/operator/v1/network")
            status = msgspec.json.decode(answer.content, type=NetworkStatus)
            if not status.away and all(node.is_settled for node in status.nodes) and is_done(status):
                return status
            await asyncio.sleep(0.1)
        raise UnavailableError("the network does not come to rest")

    def _entries(self, request_id: str) -> list[AuditEntry]:
        """What every node's log says of a look-up, in order of time."""
        found = []
        for node in self.replay.plan.nodes:
            settings = read_settings(node_folder(self.root, node.address) / "node.toml")
            entries = (decode_entry(raw) for raw in read_entries(settings))
            found += [entry for entry in entries if entry.request_id == request_id]
        return sorted(found, key=lambda entry: entry.at)

    def _url(self, address: NodeAddress) -> str:
        """A node's FHIR door."""
        return next(node.fhir_url for node in self.replay.plan.nodes if node.address == address)


def _at_nation(status: NetworkStatus) -> int:
    """How many resources the nation keeps."""
    return next(node.resources for node in status.nodes if node.address == "cn")


def _line(entry: AuditEntry) -> str:
    """One entry in one line."""
    what = {"evaluate": "signed the ticket", "locate": "told where to ask", "look-up": "looked up"}
    reason = f", reason: {entry.reason}" if entry.reason else ""
    return (
        f"{entry.at[11:23]} {entry.node}: {what.get(entry.kind, entry.kind)} for {entry.principal} "
        f"({entry.purpose}{reason}): {entry.summary}"
    )

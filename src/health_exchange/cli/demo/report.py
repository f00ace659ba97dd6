"""The demo's report, for people and machines: what must agree, one person's view, what relays see, refusals, logs."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from health_exchange.audit.verification import VerificationReport
from health_exchange.cli.demo.way_back_report import (
    BreakGlassReport,
    ConsentReport,
    EditedLogReport,
    LookupReport,
    SeenReport,
)
from health_exchange.node.network import NetworkStatus
from health_exchange.wiring.inspection import RelayInspector


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node's line."""

    address: str
    tier: str
    name: str
    received: int
    forwarded: int
    opened: int
    held: dict[str, int]
    resources: int
    lag_s: float


class RefusedReport(msgspec.Struct, frozen=True, kw_only=True):
    """One refused access: who tried what, and what they were told."""

    who: str
    what: str
    reason: str
    status: int


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """All logs, verified offline from their exports."""

    entries: int = 0
    checkpoints: int = 0
    proofs: int = 0
    cosignatures: int = 0
    failures: int = 0


class PersonReport(msgspec.Struct, frozen=True, kw_only=True):
    """One person's unified view: how many of each type, from which nodes, and some lines of it."""

    sources: list[str]
    types: dict[str, int]
    lines: list[str]
    masked: int


class RelayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one relay's own database holds of what it carried."""

    address: str
    envelopes_carried: int
    envelope_bytes: int
    could_open: int
    could_not_open: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything.

    Attributes:
        records_in: Entries that facilities were told are kept.
        records_at_nation: Current resources the nation keeps.
        records_granted: Current resources that the origins' policies let the nation have.
        persons: Persons the nation keeps something of.
        persons_across_provinces: Those with records from more than one province.
        left_out: What this network could not show, in words.
        disagreements: Counts that should agree and do not, in words; empty if all is well.
    """

    nodes: list[NodeReport]
    records_in: int
    records_at_nation: int
    records_granted: int
    persons: int
    persons_across_provinces: int
    person: PersonReport
    relays: list[RelayReport]
    refused: list[RefusedReport]
    audit: AuditReport
    lookup: LookupReport
    lookup_with_one_away: LookupReport | None
    consent: ConsentReport
    break_glass: BreakGlassReport | None
    seen: SeenReport
    edited_log: EditedLogReport
    left_out: list[str]
    disagreements: list[str]
    elapsed_s: float

    @property
    def is_well(self) -> bool:
        """Whether all counts agree and all logs verify."""
        return not self.disagreements and not self.audit.failures


def node_reports(status: NetworkStatus) -> list[NodeReport]:
    """Every node's line."""
    return [
        NodeReport(
            address=node.address,
            tier=node.tier,
            name=node.name,
            received=node.received,
            forwarded=node.forwarded,
            opened=node.opened,
            held=node.held,
            resources=node.resources,
            lag_s=node.lag_s,
        )
        for node in status.nodes
    ]


def granted(status: NetworkStatus, address: str) -> int:
    """Current resources that the origins say ``address`` has of them."""
    return sum(node.shared_with.get(address, 0) for node in status.nodes)


def disagreements(status: NetworkStatus, failures: list[tuple[str, str]]) -> list[str]:
    """What should agree and does not."""
    found = [f"{name} was refused: {reason}" for name, reason in failures]
    found += [f"{address} does not answer" for address in status.away]
    kept = {node.address: node.resources for node in status.nodes}
    for node in status.nodes:
        if node.refused:
            found.append(f"{node.address} has refused {node.refused} envelopes")
        if not node.is_settled:
            found.append(f"{node.address} still has something under way")
        if node.tier in {"nation", "province", "city"} and granted(status, node.address) != kept[node.address]:
            found.append(
                f"{node.address} keeps {kept[node.address]} resources, its sources grant it "
                f"{granted(status, node.address)}"
            )
    return found


def relay_report(relay: RelayInspector) -> RelayReport:
    """What one relay's keys made of what it carried."""
    return RelayReport(
        address=str(relay.address),
        envelopes_carried=relay.envelopes,
        envelope_bytes=relay.envelope_bytes,
        could_open=relay.could_open,
        could_not_open=relay.could_not_open,
    )


def audit_report(logs: Sequence[VerificationReport]) -> AuditReport:
    """All logs together."""
    return AuditReport(
        entries=sum(log.entries for log in logs),
        checkpoints=sum(log.checkpoints for log in logs),
        proofs=sum(log.proofs for log in logs),
        cosignatures=sum(log.cosignatures for log in logs),
        failures=sum(len(log.failures) for log in logs),
    )


def summarise_person(bundle: dict[str, object]) -> PersonReport:
    """The unified view of one person from a ``$everything`` Bundle."""
    entries = bundle.get("entry")
    resources = [entry["resource"] for entry in entries] if isinstance(entries, list) else []
    types = Counter(str(resource["resourceType"]) for resource in resources)
    sources = Counter(str(resource.get("meta", {}).get("source", "")) for resource in resources)
    masked = sum("data-absent-reason" in msgspec.json.encode(resource).decode() for resource in resources)
    wanted = ("Encounter", "Condition", "Observation", "MedicationRequest")
    lines = [_line(resource) for kind in wanted for resource in resources if resource["resourceType"] == kind][:24]
    return PersonReport(
        sources=sorted(source.removeprefix("urn:health-exchange:") for source in sources if source),
        types=dict(sorted(types.items())),
        lines=lines,
        masked=masked,
    )


def _line(resource: dict[str, object]) -> str:
    """One resource in one line: type, when, code, value, source."""
    meta = resource.get("meta")
    source = str(meta.get("source", "")) if isinstance(meta, dict) else ""
    instant = next((str(resource[name])[:16] for name in _INSTANTS if isinstance(resource.get(name), str)), "")
    if not instant and isinstance(period := resource.get("period"), dict):
        instant = str(period.get("start", ""))[:16]
    concept = next((resource[name] for name in _CONCEPTS if isinstance(resource.get(name), dict)), {})
    codings = concept.get("coding") if isinstance(concept, dict) else None
    code = str(codings[0].get("code", "")) if isinstance(codings, list) and codings else "masked"
    value = resource.get("valueQuantity")
    quantity = f" = {value.get('value', '')} {value.get('code', '')}" if isinstance(value, dict) else ""
    origin = source.removeprefix("urn:health-exchange:")
    return f"{resource['resourceType']:<18} {instant:<16} {code}{quantity}  [{origin}]"


_INSTANTS = ("effectiveDateTime", "onsetDateTime", "recordedDate", "authoredOn", "performedDateTime")
_CONCEPTS = ("code", "medicationCodeableConcept", "class", "serviceType")

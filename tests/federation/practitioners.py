"""Practitioners who look persons up, and what stands in the logs afterwards."""

from dataclasses import replace
from typing import Any

import msgspec
from tests.federation.network import Network

from health_exchange.audit.entries import AuditEntry, decode_entry
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.lookup_results import LookupResult, Wanted
from health_exchange.policy.decisions import Principal
from health_exchange.pseudonym.identities import Identity, read_identity
from health_exchange.store import audit_log

COUNTY, HOSPITALS_OF_51 = "cn/33/3305/330521", "cn/51/5100"
NATIONAL_ID = "urn:oid:2.16.156.10011.1.3"


def identity(number: str) -> Identity:
    """The identity behind a national ID."""
    found = read_identity(NATIONAL_ID, number)
    assert found is not None
    return found


def practitioner(address: str, name: str = "dr-wang", kind: str = "clinician") -> Caller:
    """Somebody registered at a node."""
    principal = Principal(kind=kind, id=name, organization="121000001000791901", address=address)
    return Caller(principal=principal, purpose=Purpose.TREATMENT, request_id=RequestId("client-request"))


async def look_up(  # what a look-up has
    network: Network,
    number: str,
    *,
    at: str = HOSPITALS_OF_51,
    who: Caller | None = None,
    **wanted: Any,  # noqa: ANN401  # fields of Wanted
) -> LookupResult:
    """What a practitioner at a node gets of a person."""
    lookups = network[at].lookups
    assert lookups is not None
    asked = replace(Wanted(identity=identity(number), purpose=Purpose.TREATMENT), **wanted)
    return await lookups.look_up(asked, who or practitioner(at))


def resources_of(result: LookupResult) -> list[dict[str, Any]]:
    """Everything that was given, decoded."""
    return [msgspec.json.decode(raw) for outcome in result.outcomes for raw in outcome.resources]


def entries_at(network: Network, address: str) -> list[AuditEntry]:
    """A node's log, opened."""
    store = network[address].parts.store
    raws = store.read_now(lambda tx: audit_log.entries(tx, 0, audit_log.size(tx)))
    return [decode_entry(entry.raw[32:]) for entry in raws if entry.raw]

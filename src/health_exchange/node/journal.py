"""Audit entries as this node writes them: the fields that all share filled in once, the commitment made on the way."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from health_exchange.audit.entries import AuditEntry, Facts, commitment, encode_entry
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.parts import NodeParts
from health_exchange.store import audit_log
from health_exchange.store.engine import Transaction
from health_exchange.telemetry.families import DECISIONS
from health_exchange.telemetry.metrics import counted

SALT_BYTES = 32


class Entered(NamedTuple):
    """An entry on its way into the log.

    Attributes:
        number: By which its place will be known.
        leaf: Its commitment.
        salted: Salt and bytes, for whoever is shown the entry.
    """

    number: int
    leaf: bytes
    salted: bytes


def journal(  # noqa: PLR0913  # the fields of an entry
    parts: NodeParts,
    caller: Caller,
    *,
    kind: str,
    action: str,
    outcome: str,
    reason: str = "",
    policy: str = "",
    subjects: Iterable[Pseudonym] = (),
    summary: str = "",
    peer: str = "",
    digest: str = "",
    facts: Facts | None = None,
) -> AuditEntry:
    """An entry about what a caller did or was refused; ``facts`` are what a refusal was decided on."""
    return AuditEntry(
        kind=kind,
        at=parts.clock.now().isoformat(),
        node=str(parts.address),
        principal=caller.principal.id,
        principal_kind=caller.principal.kind,
        organization=caller.principal.organization,
        action=action,
        purpose=str(caller.purpose),
        outcome=outcome,
        reason=reason,
        policy=policy,
        subjects=tuple(sorted(set(subjects))),
        summary=summary,
        request_id=caller.request_id,
        peer=peer,
        digest=digest or msgspec.UNSET,
        facts=msgspec.UNSET if facts is None else facts,
    )


def node_journal(  # the fields of an entry
    parts: NodeParts,
    *,
    kind: str,
    action: str,
    outcome: str = "allowed",
    peer: str = "",
    reason: str = "",
    subjects: Iterable[Pseudonym] = (),
    summary: str = "",
) -> AuditEntry:
    """An entry about what nodes did between themselves, ``peer`` being the other one."""
    return AuditEntry(
        kind=kind,
        at=parts.clock.now().isoformat(),
        node=str(parts.address),
        principal=peer or str(parts.address),
        principal_kind="node",
        action=action,
        purpose=str(Purpose.TREATMENT),
        outcome=outcome,
        reason=reason,
        policy=parts.policies.digest,
        subjects=tuple(sorted(set(subjects))),
        summary=summary,
        peer=peer,
    )


def log(tx: Transaction, entry: AuditEntry) -> Entered:
    """Keep ``entry`` with its salt, sealed; its commitment becomes a leaf of the log.

    A refusal can be found again by its request id, which the refused was given as a reference.
    """
    return log_each(tx, [entry])[0]


def log_each(tx: Transaction, entries: Sequence[AuditEntry]) -> list[Entered]:
    """As :func:`log`, for several entries in this order."""
    salts = tx.randomness(SALT_BYTES * len(entries))
    new = []
    for place, entry in enumerate(entries):
        tx.counted[counted(DECISIONS, kind=entry.kind, action=entry.action, outcome=entry.outcome)] += 1
        salt = salts[SALT_BYTES * place : SALT_BYTES * (place + 1)]
        raw = encode_entry(entry)
        reference = entry.request_id if entry.outcome == "refused" else ""
        new.append(audit_log.NewEntry(salt + raw, commitment(raw, salt), entry.subjects, reference))
    numbers = audit_log.append(tx, new)
    return [Entered(number=number, leaf=each.leaf, salted=each.raw) for number, each in zip(numbers, new, strict=True)]

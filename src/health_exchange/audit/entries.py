"""Audit entries: who did what, why, with what outcome, and whose record it was.

An entry is data about people's conduct and about persons (by pseudonym), so it is kept sealed; the log holds its salted
commitment only. The encoding is canonical: one entry has one byte string.
"""

import msgspec

from health_exchange.audit.hashing import commit
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import Pseudonym


class UnreadableEntryError(ExchangeError):
    """Bytes that are no audit entry, or not in the canonical form."""

    category = Category.INCORRECT
    code = "unreadable-audit-entry"


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a decision was made on beside what every entry says; with it the decision can be made again.

    Attributes:
        address: Where the principal is registered.
        tier: Of the principal, where it is a node.
        type: FHIR type of the class asked about; empty for the log, the counts and the locators.
        sensitivity: Of the class, 1 to 5; 0 where there is none.
        category: Of the class.
        jurisdiction: Of the class: the node it comes from.
        consent: Consent class of the person, as ``policy.consents`` writes it.
        reasoned: Whether a reason for breaking the glass was given.
        policies: ``@id`` of the policies that decided.
    """

    address: str
    tier: str
    type: str
    sensitivity: int
    category: str
    jurisdiction: str
    consent: str
    reasoned: bool
    policies: tuple[str, ...]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request, and everybody whose record it touched.

    Attributes:
        kind: ``write``, ``share``, ``receive``, ``refuse``, ``evaluate``, ``read``, ``search``, ``log-read``,
            ``look-up``, ``answer``, ``directory``, ``keys``, ``alarm`` and the like.
        at: Instant, ISO 8601, UTC.
        node: Address of the node that wrote the entry.
        principal: Who, as registered here.
        principal_kind: Facility, viewer, auditor, node and so on.
        organization: Unified social credit code of the principal's organisation.
        action: What was asked for.
        purpose: PurposeOfUse code.
        outcome: ``allowed``, ``refused`` or ``failed``.
        reason: Why not, for people.
        policy: Digest of the policies that decided.
        subjects: Pseudonyms of those whose records it touched.
        summary: Types and counts; never content.
        request_id: Carried across hops.
        peer: The other node, where there is one.
        digest: SHA-256 of what was answered, in hex, where the answer has to show its entry.
        count: How many of what it is about, where auditors add up: identities of an evaluation.
        changes: Of a write, how many resources were created, updated and deleted, by these words.
        facts: What a refusal was decided on, where it was policy that refused.

    A field that came later is left out where it is unset, so that older entries keep their one byte string.
    """

    kind: str
    at: str
    node: str
    action: str
    outcome: str
    principal: str = ""
    principal_kind: str = ""
    organization: str = ""
    purpose: str = ""
    reason: str = ""
    policy: str = ""
    subjects: tuple[Pseudonym, ...] = ()
    summary: str = ""
    request_id: str = ""
    peer: str = ""
    digest: str | msgspec.UnsetType = msgspec.UNSET
    count: int | msgspec.UnsetType = msgspec.UNSET
    changes: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    facts: Facts | msgspec.UnsetType = msgspec.UNSET


_DECODER = msgspec.json.Decoder(AuditEntry)


def encode_entry(entry: AuditEntry) -> bytes:
    """The entry's canonical bytes: JSON, fields in the order of the class."""
    return msgspec.json.encode(entry)


def decode_entry(raw: bytes) -> AuditEntry:
    """The entry behind canonical bytes.

    Raises:
        UnreadableEntryError: They are none.
    """
    try:
        entry = _DECODER.decode(raw)
    except (msgspec.MsgspecError, ValueError):
        entry = None
    if entry is None or encode_entry(entry) != raw:
        raise UnreadableEntryError("not an audit entry in canonical form")
    return entry


def commitment(raw: bytes, salt: bytes) -> bytes:
    """What stands in the log for the entry ``raw``; without the salt nobody can try entries out against it."""
    return commit(salt, raw)

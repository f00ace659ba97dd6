"""Entries in words, for people who have never seen one."""

from collections.abc import Mapping
from types import MappingProxyType

from health_exchange.audit.entries import AuditEntry, Facts

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "write": "handed in records",
        "share": "sent records up the tree",
        "receive": "took in records sent from below",
        "refuse": "was refused",
        "evaluate": "asked for pseudonyms",
        "read": "read records",
        "log-read": "read this log",
        "look-up": "looked somebody up across the network",
        "locate": "was told which nodes hold something",
        "answer": "was answered with records",
        "shred": "had a person's records destroyed",
        "alarm": "raised an alarm",
        "start": "started this node",
    }
)
"""What the principal of an entry did; a kind that is not here is told by its name."""

PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "TREAT": "treatment",
        "ETREAT": "emergency treatment",
        "BTG": "breaking the glass",
        "HPAYMT": "payment",
        "HOPERAT": "operations",
        "HSYSADMIN": "system administration",
        "PUBHLTH": "public health",
        "HRESCH": "research",
        "PATRQT": "the patient's request",
        "HLEGAL": "an audit",
    }
)


def did(entry: AuditEntry) -> str:
    """What the principal did, in a few words."""
    return KINDS.get(entry.kind, entry.kind)


def line(entry: AuditEntry, position: int) -> str:
    """One entry in one line: when, where, what, who, why, with what outcome."""
    who = f"{entry.principal_kind} {entry.principal}".strip() or "-"
    outcome = entry.outcome if not entry.reason else f"{entry.outcome}: {entry.reason}"
    return printable(
        f"{entry.at[:19]}  {entry.node} #{position}  {entry.kind:<9} {who}"
        f"{f' at {entry.peer}' if entry.peer and entry.peer != entry.principal else ''}"
        f"  {entry.purpose or '-'}  {outcome}{f'  ({entry.summary})' if entry.summary else ''}"
    )


def paragraph(entry: AuditEntry, position: int) -> str:
    """One entry in words: who, what, why, when, whose, by which policy."""
    who = f"the {entry.principal_kind or 'principal'} {entry.principal or '(unnamed)'}"
    rows = [
        ("entry", f"{position} of the log of {entry.node}"),
        ("when", entry.at),
        ("who", f"{who}{f', organisation {entry.organization}' if entry.organization else ''}"),
        ("what", f"{did(entry)} (kind {entry.kind}, action {entry.action})"),
        ("details", entry.summary),
        ("other node", entry.peer),
        ("why", f"{PURPOSES.get(entry.purpose, entry.purpose)} ({entry.purpose})" if entry.purpose else ""),
        ("outcome", entry.outcome),
        ("reason", entry.reason),
        ("whose", ", ".join(entry.subjects) or "nobody's record in particular"),
        ("policy", _policy(entry)),
        ("request", entry.request_id),
    ]
    return "\n".join(printable(f"{name:<11} {text}") for name, text in rows if text)


def printable(text: str) -> str:
    """Somebody else's words without what would steer a terminal or begin another line."""
    return "".join(character if character.isprintable() else " " for character in text)


def _policy(entry: AuditEntry) -> str:
    """Which policies decided: by name where a refusal keeps them, and the digest of the set."""
    named = ", ".join(entry.facts.policies) if isinstance(entry.facts, Facts) else ""
    return " of ".join(part for part in (named, f"set {entry.policy}" if entry.policy else "") if part)

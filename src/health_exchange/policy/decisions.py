"""What policy is asked and what it answers: values only.

A refusal is no error: it is a :class:`Decision` that says why, in words that the refused may read, and what it would
take.
"""

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a principal wants to do. The names are those of ``policies/schema.cedarschema``."""

    WRITE = "write"
    READ = "read"
    SEARCH = "search"
    OPEN = "open"  # a node above the origin opens a section of an envelope
    LOCATE = "locate"  # a node learns who holds something of a person
    READ_LOG = "read-log"
    VIEW_DISCLOSURES = "view-disclosures"  # a log's entries about one person
    VIEW_STATISTICS = "view-statistics"
    VIEW_PERSON = "view-person"  # everything of one person across sources
    ERASE = "erase"  # on a lawful request
    LOOK_UP = "look-up"  # a holder answers another node on demand, with the original


class PrincipalKind(StrEnum):
    """Kinds of principals that policies know; any other is refused everything."""

    FACILITY = "facility"
    VIEWER = "viewer"  # an authorised reader of the unified view
    CLINICIAN = "clinician"
    AUDITOR = "auditor"
    RESEARCHER = "researcher"
    OPERATOR = "operator"
    DESK = "desk"  # the counter or application that acts for a person who has shown who he is
    NODE = "node"
    GUEST = "guest"  # who has not shown who he is, at a node that runs open


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks.

    Attributes:
        kind: A :class:`PrincipalKind`, or what a registry calls it: an unknown kind is refused everything.
        id: Client id, or a node's address.
        organization: Unified social credit code of its organisation.
        tier: A node's tier.
        address: The node that registered it, or a node's own address; empty where whoever asks policy is that node.
    """

    kind: str
    id: str
    organization: str = ""
    tier: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Policy's answer.

    Attributes:
        allowed: Whether it may be done.
        policies: ``@id`` of the policies that decided; empty where none applied.
        reasons: Why, a sentence each; a refusal says what it would take.
        digest: Of the policies and schema that decided, SHA-256 in hex.
    """

    allowed: bool
    policies: tuple[str, ...]
    reasons: tuple[str, ...]
    digest: str

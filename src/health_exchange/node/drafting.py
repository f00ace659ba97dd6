"""Drafting versions: each resource under its id and version, with all that deciding, finding and keeping it takes.

Pure, and heavy enough to be done by a worker.
"""

from collections.abc import Mapping

import msgspec

from health_exchange.fhir.parameters import extract, instant_of
from health_exchange.fhir.references import rewrite_references, set_identity
from health_exchange.fhir.subjects import subject_reference
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass
from health_exchange.node.persons import best_identity
from health_exchange.node.workers import Carried
from health_exchange.policy.classification import classify
from health_exchange.pseudonym.deidentify import disposition_of
from health_exchange.pseudonym.identities import Identity
from health_exchange.pseudonym.rules.rows import Disposition
from health_exchange.search.tokens import tokens_of
from health_exchange.store.bodies import pack_body


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A resource to draft a version of.

    Attributes:
        type: Its type.
        id: Its id here.
        number: The version's number.
        raw: As it arrived, validated.
        where: Its place in the request, for messages.
    """

    type: str
    id: str
    number: int
    raw: bytes
    where: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A version ready to be decided about and kept.

    Attributes:
        packed: The body as the store takes it; ``None`` for a delete.
        anchor: ``Patient/<id>`` it belongs to; ``None`` for a directory resource.
        resource_class: What policy decides by.
        instant: Clinical date, for order.
        tokens: What it is found by.
        identity: Of a Patient, the identity that decides who it is.
    """

    packed: bytes | None
    anchor: str | None
    resource_class: ResourceClass
    instant: str | None = None
    tokens: tuple[int, ...] = ()
    identity: Identity | None = None


class Drafting(Carried, frozen=True, kw_only=True):
    """The drafts of a request that are wanted, and what they share.

    Attributes:
        written: The resources.
        rewriting: What each reference text becomes.
        last_updated: Instant of the versions, as text.
        origin: Address of this node.
        key: Its token key.
    """

    written: tuple[Written, ...]
    rewriting: dict[str, str]
    last_updated: str
    origin: str
    key: Secret


class Drafts(Carried, frozen=True, kw_only=True):
    """A draft of each resource, in their order."""

    drafts: tuple[Draft, ...]


def draft_versions(drafting: Drafting) -> Drafts:
    """A draft of each.

    Raises:
        InvalidIdentityError: A Patient's identifier cannot be right.
    """
    return Drafts(drafts=tuple(_draft(each, drafting) for each in drafting.written))


def _draft(written: Written, drafting: Drafting) -> Draft:
    """One draft. What is found is read from the very bytes that are kept."""
    body = rewrite_references(written.raw, drafting.rewriting.get) if drafting.rewriting else written.raw
    body = set_identity(body, id=written.id, version=written.number, last_updated=drafting.last_updated)
    decoded = msgspec.json.decode(body, type=dict[str, object])
    return Draft(
        packed=pack_body(written.type, body),
        anchor=_anchor(written.type, written.id, decoded),
        resource_class=classify(decoded, drafting.origin, body),
        instant=instant_of(decoded),
        tokens=tuple(tokens_of(drafting.key, written.type, extract(decoded))),
        identity=best_identity(decoded, where=written.where) if written.type == "Patient" else None,
    )


def _anchor(resource_type: str, resource_id: str, decoded: Mapping[str, object]) -> str | None:
    """Whose key seals the resource: its Patient's, its own where it names none, nobody's for a directory resource."""
    if disposition_of(resource_type) is Disposition.DIRECTORY:
        return None
    reference = subject_reference(resource_type, decoded)
    # A version of a Patient is that Patient.
    person = (reference or "").partition("/_history/")[0]
    return person if person.startswith("Patient/") else f"{resource_type}/{resource_id}"

"""Drafting versions: each resource's bytes under its id and version, with what keeping and finding them takes.

Pure, and heavy enough to be done by a worker.
"""

import msgspec

from health_exchange.fhir.parameters import settle
from health_exchange.fhir.references import rewrite_references, set_identity
from health_exchange.fhir.subjects import may_be_patient
from health_exchange.model.secrecy import Secret
from health_exchange.node.findings import Findings
from health_exchange.node.workers import Carried
from health_exchange.pseudonym.deidentify import disposition_of
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
        found: What was found in it then.
    """

    type: str
    id: str
    number: int
    raw: bytes
    found: Findings


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A version ready to be kept.

    Attributes:
        packed: The body as the store takes it; ``None`` for a delete.
        anchor: ``Patient/<id>`` it belongs to; ``None`` for a directory resource.
        tokens: What it is found by.
    """

    packed: bytes | None
    anchor: str | None
    tokens: tuple[int, ...] = ()


class Drafting(Carried, frozen=True, kw_only=True):
    """The drafts of a request that are wanted, and what they share.

    Attributes:
        written: The resources.
        rewriting: What each reference text becomes.
        last_updated: Instant of the versions, as text.
        key: This node's token key.
    """

    written: tuple[Written, ...]
    rewriting: dict[str, str]
    last_updated: str
    key: Secret


class Drafts(Carried, frozen=True, kw_only=True):
    """A draft of each resource, in their order."""

    drafts: tuple[Draft, ...]


def draft_versions(drafting: Drafting) -> Drafts:
    """A draft of each."""
    return Drafts(drafts=tuple(_draft(each, drafting) for each in drafting.written))


def _draft(written: Written, drafting: Drafting) -> Draft:
    """One draft."""
    rewriting = drafting.rewriting
    body = rewrite_references(written.raw, rewriting.get) if rewriting else written.raw
    body = set_identity(body, id=written.id, version=written.number, last_updated=drafting.last_updated)
    return Draft(
        packed=pack_body(written.type, body),
        anchor=_anchor(written, rewriting),
        tokens=tuple(tokens_of(drafting.key, written.type, settle(written.found.values, rewriting))),
    )


def _anchor(written: Written, rewriting: dict[str, str]) -> str | None:
    """Whose key seals the resource: its Patient's, its own where it names none, nobody's for a directory resource."""
    if disposition_of(written.type) is Disposition.DIRECTORY:
        return None
    references = (rewriting.get(text, text) for text in written.found.subjects)
    reference = next(filter(may_be_patient, references), "")
    # A version of a Patient is that Patient.
    person = reference.partition("/_history/")[0]
    return person if person.startswith("Patient/") else f"{written.type}/{written.id}"

"""Preparing an admission: everything between the checked request and the one transaction that stores it.

``Preparation.of`` reads a snapshot, resolves references and identities, decides and splices; ``write`` runs inside the
store's transaction and raises where the snapshot no longer holds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Self

import msgspec

from health_exchange.fhir.parameters import extract, instant_of
from health_exchange.fhir.references import rewrite_references, set_identity
from health_exchange.fhir.subjects import subject_reference
from health_exchange.model.errors import Category, ExchangeError, ForbiddenError
from health_exchange.model.sensitivity import ResourceClass
from health_exchange.node import persons
from health_exchange.node.callers import Caller
from health_exchange.node.journal import journal, log
from health_exchange.node.parts import NodeParts
from health_exchange.node.persons import Claim
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.snapshots import Planned, Snapshot, look_up
from health_exchange.node.writes import WriteRequest, WriteResult
from health_exchange.policy.classification import classify
from health_exchange.policy.decisions import Action
from health_exchange.policy.engine import decide
from health_exchange.pseudonym.deidentify import disposition_of
from health_exchange.pseudonym.rules.rows import Disposition
from health_exchange.search.tokens import tokens_of
from health_exchange.store import counters, resources
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import NewVersion, StaleVersionError

HTTP_OK, HTTP_CREATED, HTTP_NO_CONTENT = 200, 201, 204


class StaleReadError(ExchangeError):
    """What the request was prepared on has changed meanwhile; it is prepared again."""

    category = Category.BUSY
    code = "stale-read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version ready to be written.

    Attributes:
        planned: What asked for it.
        number: Its version number.
        body: The bytes to keep; ``None`` for a delete.
        decoded: The same, decoded; empty for a delete.
        anchor: ``Patient/<id>`` it belongs to; ``None`` for a directory resource.
        resource_class: What policy decides by.
        instant: Clinical date, for order.
        tokens: What it is found by.
    """

    planned: Planned
    number: int
    body: bytes | None
    decoded: Mapping[str, object]
    anchor: str | None
    resource_class: ResourceClass
    instant: str | None
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A request ready for its transaction.

    Attributes:
        parts: The node's.
        caller: Who asks.
        planned: Every request with its place, in order.
        versions: What is to be written.
        claims: What each written Patient says of who it is, by anchor.
        snapshot: What all of it relies on.
        at: The instant of the versions.
        digest: Of the policies that allowed it.
    """

    parts: NodeParts
    caller: Caller
    planned: tuple[Planned, ...]
    versions: tuple[Version, ...]
    claims: Mapping[str, Claim]
    snapshot: Snapshot
    at: datetime
    digest: str

    @classmethod
    async def of(
        cls, parts: NodeParts, pseudonyms: PseudonymClient, requests: Sequence[WriteRequest], caller: Caller
    ) -> Self:
        """Prepare ``requests`` on a snapshot of now.

        Raises:
            ExchangeError: The request cannot be carried out; nothing was written but, for a refusal, its audit entry.
        """
        randomness = parts.randomness
        planned, snapshot, rewriting = await parts.store.read(lambda tx: look_up(tx, requests, randomness))
        at = parts.clock.now().astimezone(UTC)
        versions = tuple(
            _version(parts, each, snapshot, rewriting, at)
            for each in planned
            if not each.is_found and not snapshot.is_deleted_already(each)
        )
        claims = await _claims(versions, pseudonyms)
        digest = await _decide(parts, caller, versions)
        return cls(
            parts=parts,
            caller=caller,
            planned=planned,
            versions=versions,
            claims=claims,
            snapshot=snapshot,
            at=at,
            digest=digest,
        )

    def write(self, tx: Transaction) -> list[WriteResult]:
        """Store everything, inside one transaction.

        Raises:
            StaleReadError: The snapshot no longer holds.
        """
        if not self.snapshot.still_holds(tx):
            raise StaleReadError("another request was faster", retry_after_s=0.1)
        held: dict[str, str] = {}
        sids: dict[str, int] = {}
        for anchor in dict.fromkeys(version.anchor for version in self.versions if version.anchor):
            subject = persons.settle(tx, self.parts, anchor, self.claims.get(anchor))
            sids[anchor], held[anchor] = subject.sid, persons.why_held(subject)
        stale = False
        try:
            resources.put_many(tx, [self._new(version, sids) for version in self.versions])
        except StaleVersionError:
            stale = True
        if stale:
            raise StaleReadError("another request was faster", retry_after_s=0.1)
        counters.add(tx, "received", ALL_DAYS, len(self.versions))
        for version in self.versions:
            if version.planned.place.type == "Consent" and version.anchor:
                persons.apply_consents(tx, sids[version.anchor])
        self._log(tx, sids)
        written = {version.planned.place: version for version in self.versions}
        return [self._result(each, written.get(each.place), held) for each in self.planned]

    def _new(self, version: Version, sids: Mapping[str, int]) -> NewVersion:
        """The version as the store keeps it."""
        place = version.planned.place
        return NewVersion(
            type=place.type,
            id=place.id,
            sid=sids[version.anchor] if version.anchor else None,
            origin=str(self.parts.address),
            version=version.number,
            resource_class=version.resource_class,
            changed_at=self.at.isoformat(timespec="milliseconds"),
            instant=version.instant,
            tokens=version.tokens,
            body=version.body,
            expected=version.number - 1,
        )

    def _log(self, tx: Transaction, sids: Mapping[str, int]) -> None:
        """One audit entry for the whole request, with a row for each person it is about."""
        counts = Counter(version.planned.place.type for version in self.versions)
        log(
            tx,
            journal(
                self.parts,
                self.caller,
                kind="write",
                action="write",
                outcome="allowed",
                policy=self.digest,
                subjects=persons.pseudonyms_of(tx, sids.values()),
                summary=", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing new",
            ),
        )

    def _result(self, planned: Planned, version: Version | None, held: Mapping[str, str]) -> WriteResult:
        """What became of one request."""
        standing = self.snapshot.standing.get(planned.place)
        if version is None:
            return WriteResult(
                status=HTTP_NO_CONTENT if planned.request.method == "DELETE" else HTTP_OK,
                type=planned.place.type,
                id=planned.place.id,
                version=standing.version if standing else 1,
                changed_at=None,
            )
        status = HTTP_CREATED if standing is None or standing.deleted else HTTP_OK
        return WriteResult(
            status=HTTP_NO_CONTENT if version.body is None else status,
            type=planned.place.type,
            id=planned.place.id,
            version=version.number,
            changed_at=self.at,
            held=held.get(version.anchor or "", ""),
        )


def _version(
    parts: NodeParts, planned: Planned, snapshot: Snapshot, rewriting: Mapping[str, str], at: datetime
) -> Version:
    """The version that one request makes."""
    place, view = planned.place, planned.request.view
    standing = snapshot.standing.get(place)
    number = standing.version + 1 if standing else 1
    if view is None:
        return Version(
            planned=planned,
            number=number,
            body=None,
            decoded={},
            anchor=snapshot.anchors.get(place),
            resource_class=snapshot.classes[place],
            instant=None,
            tokens=(),
        )
    body = rewrite_references(view.raw, rewriting.get) if rewriting else view.raw
    last_updated = at.isoformat(timespec="milliseconds")
    body = set_identity(body, id=place.id, version=number, last_updated=last_updated)
    decoded = msgspec.json.decode(body, type=dict[str, object])
    return Version(
        planned=planned,
        number=number,
        body=body,
        decoded=decoded,
        anchor=_anchor(place.type, place.id, decoded),
        resource_class=classify(decoded, str(parts.address)),
        instant=instant_of(decoded),
        tokens=tuple(tokens_of(parts.keys.tokens, place.type, extract(decoded))),
    )


def _anchor(resource_type: str, resource_id: str, decoded: Mapping[str, object]) -> str | None:
    """Whose key seals the resource: its Patient's, its own where it names none, nobody's for a directory resource."""
    if disposition_of(resource_type) is Disposition.DIRECTORY:
        return None
    reference = subject_reference(resource_type, decoded)
    return reference if reference and reference.startswith("Patient/") else f"{resource_type}/{resource_id}"


async def _claims(versions: Sequence[Version], pseudonyms: PseudonymClient) -> dict[str, Claim]:
    """What the written Patients say of who they are, resolved as far as key holders answer."""
    identities = {
        version.anchor: persons.best_identity(version.decoded, where=version.planned.where)
        for version in versions
        if version.planned.place.type == "Patient" and version.anchor and version.body is not None
    }
    known = await pseudonyms.resolve([identity for identity in identities.values() if identity is not None])
    return {
        anchor: Claim(identity=identity, pseudonym=known.get(identity) if identity else None)
        for anchor, identity in identities.items()
    }


async def _decide(parts: NodeParts, caller: Caller, versions: Sequence[Version]) -> str:
    """Policy's word on every class that is to be written; the policies' digest.

    Raises:
        ForbiddenError: One class is refused; the refusal is in the log before the caller hears of it.
    """
    digest = ""
    for resource_class in {version.resource_class for version in versions}:
        decision = decide(parts.policies, caller.principal, Action.WRITE, resource_class, purpose=caller.purpose)
        digest = decision.digest
        if not decision.allowed:
            reasons = "; ".join(decision.reasons)
            entry = journal(
                parts, caller, kind="refuse", action="write", outcome="refused", policy=digest, reason=reasons
            )
            await parts.store.write(partial(log, entry=entry))
            raise ForbiddenError(reasons or "no policy allows this")
    return digest

"""Preparing an admission: everything between the checked request and the one transaction that stores it.

``Preparation.of`` reads a snapshot, resolves references and identities, decides and splices; ``write`` runs inside the
store's transaction and raises where the snapshot no longer holds.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import msgspec

from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.powers import Power
from health_exchange.model.sensitivity import ResourceClass, class_of
from health_exchange.node import persons
from health_exchange.node.callers import Caller
from health_exchange.node.conditions import Finder
from health_exchange.node.drafting import Draft, Drafting, Written, draft_versions
from health_exchange.node.journal import journal, log
from health_exchange.node.looking import hidden_among, look, searched, sieve_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.persons import Claim
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.refusals import permit
from health_exchange.node.resolution import Place
from health_exchange.node.rights import most_open, question_of
from health_exchange.node.snapshots import Planned, Snapshot, StaleReadError, look_up
from health_exchange.node.writes import WriteRequest, WriteResult, refuse_log_writes
from health_exchange.policy.decisions import Action
from health_exchange.store import counters, resources, subjects
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import NewVersion, StaleVersionError
from health_exchange.store.subjects import Subject

HTTP_OK, HTTP_CREATED, HTTP_NO_CONTENT = 200, 201, 204


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version ready to be written: what asked for it, its number, its draft, and what policy decides by."""

    planned: Planned
    number: int
    draft: Draft
    resource_class: ResourceClass


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
        hidden: Places of what was found or is written over, and the caller may not read.
        at: The instant of the versions.
        digest: Of the policies that allowed it.
    """

    parts: NodeParts
    caller: Caller
    planned: tuple[Planned, ...]
    versions: tuple[Version, ...]
    claims: Mapping[str, Claim]
    snapshot: Snapshot
    hidden: frozenset[Place]
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
        await _refuse_early(parts, caller, requests)
        refuse_log_writes(parts.card, requests)
        randomness, loose = parts.randomness, parts.card.may(Power.TAKES_ANYTHING)
        finder = Finder(sieve_of(parts, caller))
        base = f"{parts.card.fhir_url}/fhir"
        planned, snapshot, rewriting = await look(
            parts,
            caller,
            requests,
            lambda tx: look_up(tx, requests, randomness, finder, base=base, loose=loose),
            whose=finder.whose,
        )
        hidden = await hidden_among(parts, caller, planned, snapshot)
        at = parts.clock.now().astimezone(UTC)
        versions = await _versions(parts, planned, snapshot, rewriting, _text(at))
        claims = await _claims(versions, pseudonyms)
        digest = await _decide(parts, caller, planned, versions, snapshot)
        return cls(
            parts=parts,
            caller=caller,
            planned=planned,
            versions=versions,
            claims=claims,
            snapshot=snapshot,
            hidden=hidden,
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
        owners: dict[str, Subject] = {}
        left = set()
        for anchor in dict.fromkeys(version.draft.anchor for version in self.versions if version.draft.anchor):
            was = subjects.by_anchor(tx, anchor)
            subject = persons.settle(tx, self.parts, anchor, self.claims.get(anchor), was)
            if was is not None and was.pseudonym and (was.pseudonym, was.state) != (subject.pseudonym, subject.state):
                left.add(was.pseudonym)
            owners[anchor] = subject
        sids = {anchor: subject.sid for anchor, subject in owners.items()}
        stale = False
        try:
            known = resources.heads(tx, self._named())
            resources.put_many(tx, list(self._new(sids)), known)
        except StaleVersionError:
            stale = True
        if stale:
            raise StaleReadError("another request was faster", retry_after_s=0.1)
        counters.add(tx, "received", ALL_DAYS, len(self.versions))
        # A Patient may turn out to be somebody who has objected elsewhere at this node.
        consents = [version for version in self.versions if version.planned.place.type == "Consent"]
        for anchor in dict.fromkeys([*(version.draft.anchor or "" for version in consents), *self.claims]):
            persons.apply_consents(tx, sids[anchor])
        # Whoever is left behind by a corrected identity, or by a Consent that was another's, has said less now.
        for sid in {self.snapshot.standing[each.planned.place].sid for each in consents if self._is_kept(each)}:
            persons.apply_consents(tx, sid)
        for pseudonym in left:
            persons.apply_consents_of(tx, pseudonym)
        self._log(tx, owners.values())
        held = {anchor: persons.why_held(self.parts, subject) for anchor, subject in owners.items()}
        written = {version.planned.place: version for version in self.versions}
        return [self._result(each, written.get(each.place), held) for each in self.planned]

    def _named(self) -> list[tuple[str, str]]:
        """Places that others may know of."""
        return [
            (version.planned.place.type, version.planned.place.id)
            for version in self.versions
            if version.planned.may_be_known
        ]

    def _is_kept(self, version: Version) -> bool:
        """Whether there was a version of it before."""
        return version.planned.place in self.snapshot.standing

    def _new(self, sids: Mapping[str, int]) -> Iterator[NewVersion]:
        """The versions as the store keeps them."""
        origin, changed_at = str(self.parts.address), _text(self.at)
        for version in self.versions:
            place, draft, found = version.planned.place, version.draft, version.planned.request.found
            yield NewVersion(
                type=place.type,
                id=place.id,
                sid=sids[draft.anchor] if draft.anchor else None,
                origin=origin,
                version=version.number,
                resource_class=version.resource_class,
                changed_at=changed_at,
                instant=found.instant if found is not None else None,
                tokens=draft.tokens,
                packed=draft.packed,
                expected=self.snapshot.version_of(place),
            )

    def _log(self, tx: Transaction, owners: Collection[Subject]) -> None:
        """One audit entry for the whole request, with a row for each person it is about."""
        counts = Counter(version.planned.place.type for version in self.versions)
        changes = Counter(_change(version) for version in self.versions)
        log(
            tx,
            msgspec.structs.replace(
                journal(
                    self.parts,
                    self.caller,
                    kind="write",
                    action="write",
                    outcome="allowed",
                    policy=self.digest,
                    subjects={pseudonym for owner in owners if (pseudonym := owner.pseudonym) is not None}
                    | {*persons.pseudonyms_of(tx, self._found() - {owner.sid for owner in owners})},
                    summary=", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing new",
                ),
                changes=dict(sorted(changes.items())),
            ),
        )

    def _found(self) -> set[int]:
        """Subjects of what stands at the places of the request, and of what its conditions have found: it was told."""
        return {standing.sid for standing in self.snapshot.standing.values()} | self.snapshot.found

    def _result(self, planned: Planned, version: Version | None, held: Mapping[str, str]) -> WriteResult:
        """What became of one request."""
        standing = self.snapshot.standing.get(planned.place)
        is_untold = planned.is_absent or planned.place in self.hidden
        if version is None:
            return WriteResult(
                status=HTTP_NO_CONTENT if planned.request.method == "DELETE" else HTTP_OK,
                type=planned.place.type,
                id="" if is_untold else planned.place.id,
                version=0 if is_untold else standing.version if standing else 1,
                changed_at=None,
            )
        status = HTTP_CREATED if standing is None or standing.deleted else HTTP_OK
        return WriteResult(
            status=HTTP_NO_CONTENT if version.draft.packed is None else status,
            type=planned.place.type,
            id="" if is_untold else planned.place.id,
            version=0 if is_untold else version.number,
            changed_at=self.at,
            held=held.get(version.draft.anchor or "", ""),
        )


def _next_version(parts: NodeParts, snapshot: Snapshot, planned: Planned) -> int:
    """Above the current one, and above any that a lost incarnation may have given: those above know it."""
    return max(snapshot.version_of(planned.place), parts.incarnation) + 1


async def _versions(
    parts: NodeParts, planned: Sequence[Planned], snapshot: Snapshot, rewriting: dict[str, str], last_updated: str
) -> tuple[Version, ...]:
    """The versions that the requests make, in their order."""
    wanted = [each for each in planned if each.writes and not snapshot.is_deleted_already(each)]
    written = tuple(
        Written(
            type=each.place.type,
            id=each.place.id,
            number=_next_version(parts, snapshot, each),
            raw=each.request.raw,
            found=each.request.found,
        )
        for each in wanted
        if each.request.raw is not None and each.request.found is not None
    )
    drafting = Drafting(
        written=written,
        rewriting=rewriting,
        last_updated=last_updated,
        key=parts.keys.tokens,
    )
    work_bytes, own = sum(len(each.raw) for each in written), str(parts.address)
    drafts = iter((await parts.workers.run(draft_versions, drafting, work_bytes=work_bytes)).drafts)
    return tuple(
        Version(
            planned=each,
            number=_next_version(parts, snapshot, each),
            draft=next(drafts) if found is not None else Draft(packed=None, anchor=owner.anchor if owner else None),
            resource_class=class_of(each.place.type, found.sensitivity, found.category, own)
            if found is not None
            else snapshot.standing[each.place].resource_class,
        )
        for each in wanted
        for found, owner in [(each.request.found, snapshot.owner_of(each.place))]
    )


def _text(at: datetime) -> str:
    """An instant as versions carry it."""
    return at.isoformat(timespec="milliseconds")


async def _claims(versions: Sequence[Version], pseudonyms: PseudonymClient) -> dict[str, Claim]:
    """What the written Patients say of who they are, resolved as far as key holders answer."""
    identities = {
        version.draft.anchor: found.identity
        for version in versions
        for found in [version.planned.request.found]
        if version.planned.place.type == "Patient" and version.draft.anchor and found is not None
    }
    known = await pseudonyms.resolve([identity for identity in identities.values() if identity is not None])
    return {
        anchor: Claim(identity=identity, pseudonym=known.get(identity) if identity else None)
        for anchor, identity in identities.items()
    }


async def _refuse_early(parts: NodeParts, caller: Caller, requests: Sequence[WriteRequest]) -> None:
    """Refuse who may not write or search the types at all, before anything of what is kept could show.

    Raises:
        ForbiddenError: As :func:`_decide`.
    """
    asked = {(Action.WRITE, request.type) for request in requests}
    asked |= {(Action.SEARCH, resource_type) for resource_type in searched(requests)}
    for action, resource_type in sorted(asked):
        await permit(parts, caller, question_of(caller, action, most_open(parts, resource_type)), summary=resource_type)


def _change(version: Version) -> str:
    """What a version does to its resource, for the log."""
    if version.planned.request.method == "DELETE":
        return "delete"
    return "create" if version.number == 1 else "update"


def _persons(owner: Subject | None) -> set[Pseudonym]:
    """Whom a record is about, as far as that is known."""
    return {owner.pseudonym} if owner is not None and owner.pseudonym is not None else set()


async def _decide(
    parts: NodeParts, caller: Caller, planned: Sequence[Planned], versions: Sequence[Version], snapshot: Snapshot
) -> str:
    """Policy's word on every class that is written, and on every class that is written over; the policies' digest.

    A label that is taken away has protected what is there: who may not write that does not replace it either.

    Raises:
        ForbiddenError: One class is refused; the refusal is in the log before the caller hears of it.
    """
    asked: dict[ResourceClass, set[Pseudonym]] = {version.resource_class: set() for version in versions}
    becoming = {version.planned.place: version.resource_class for version in versions}
    for each in planned:
        kept, owner = snapshot.standing.get(each.place), snapshot.owner_of(each.place)
        if not each.writes or kept is None:
            continue
        classes = {becoming[each.place]} if each.place in becoming else set()
        # What is deleted protects nothing any more, but that it was here is told by deleting it again.
        if not kept.deleted or each.request.method == "DELETE":
            classes.add(kept.resource_class)
        for resource_class in classes:
            asked.setdefault(resource_class, set()).update(_persons(owner))
    for resource_class, whose in asked.items():
        question = question_of(caller, Action.WRITE, resource_class)
        summary = snapshot.summary(resource_class.type)
        await permit(parts, caller, question, summary=summary, subjects=whose | snapshot.found_of)
    return parts.policies.digest

"""A person's lawful request to be erased: carried out here at once, told above, and reported on until all have signed.

Beside the records goes what else leads to the person: the sealed cache of the identity, identities that wait, and the
bodies of answers kept for repeated requests. What remains is said, with the reason and until when.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

import msgspec

from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.node.callers import Caller
from health_exchange.node.desks import Desks
from health_exchange.node.erasing import erase
from health_exchange.node.journal import log
from health_exchange.node.notices import Effect, effect_of
from health_exchange.node.parts import NodeParts
from health_exchange.node.persons import apply_consents
from health_exchange.node.refusals import decision_entry, permit
from health_exchange.node.rights import most_open, question_of
from health_exchange.node.writes import decode_results
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question
from health_exchange.pseudonym.cache import cache_tag
from health_exchange.pseudonym.identities import Identity, find_identities
from health_exchange.store import (
    answered,
    audit_log,
    erasures,
    identity_cache,
    node_state,
    outbox,
    pending,
    resources,
    shredding,
    subjects,
)
from health_exchange.store.engine import Transaction
from health_exchange.store.erasures import Erasure

_SUMMARY = "an erasure's report"
_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONG_DIGITS = re.compile(r"[0-9]{15}|^[A-Z]{0,3}[0-9]{7,}[0-9X]?$")


class BadCaseError(ExchangeError):
    """An erasure needs the reference of the case that asks for it, and one that is no identity."""

    category = Category.INCORRECT
    code = "bad-case-reference"


class CaseTakenError(ExchangeError):
    """The case is that of another person's erasure."""

    category = Category.CONFLICT
    code = "case-taken"


class Remaining(msgspec.Struct, frozen=True, kw_only=True):
    """Something that an erasure leaves.

    Attributes:
        what: In words.
        count: How many, where that is known.
        why: Why it stays.
        until: Until when, in words.
    """

    what: str
    count: int | None = None
    why: str
    until: str


class ErasureReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one erasure, as of now.

    Attributes:
        case: Reference of the case.
        node: Where it was carried out.
        erased_at: When.
        resources: How many resources were destroyed here.
        overwritten: Whether their bytes are gone from the database's files too.
        above: Who has signed for the order to forget the person, and who has not.
        remains: What is left, why, until when.
    """

    case: str
    node: str
    erased_at: str
    resources: int
    overwritten: bool
    above: Effect
    remains: list[Remaining]


class Erasures:
    """Erasures at one admitting node.

    Args:
        parts: The node's.
        desks: Says who a person is.
    """

    def __init__(self, parts: NodeParts, desks: Desks) -> None:
        self._parts = parts
        self._desks = desks

    async def erase(self, identity: Identity, case: str, caller: Caller) -> ErasureReport:
        """Erase a person; the same case and person again gets the report only.

        Raises:
            ForbiddenError: Policy does not let the caller.
            BadCaseError: The case's reference is none.
            CaseTakenError: It is another person's.
            CorrectionUnderwayError: A corrected identity has not left yet; a moment later it has.
            UnavailableError: Too few key holders answer.
        """
        await self._permit(caller, case)
        person = await self._desks.person(identity)
        parts = self._parts
        await parts.store.write(lambda tx: self._claim(tx, identity, person, case))
        # Found before, without holding up the writer; what is answered meanwhile is looked through inside.
        begun = parts.clock.now()
        places = await parts.store.read(lambda tx: shredding.names_of(tx, person))
        stale = await parts.store.read(lambda tx: answered.mentioning(tx, partial(_mentions, places)))
        since = (begun - timedelta(seconds=1)).isoformat()
        erased = await parts.store.write(lambda tx: self._erase(tx, identity, person, case, caller, stale, since))
        return await parts.store.read(lambda tx: self._report(tx, erased))

    async def report(self, case: str, caller: Caller) -> ErasureReport:
        """Where an erasure stands.

        Raises:
            ForbiddenError: Policy does not let the caller.
            NotFoundError: There was none under that case.
        """
        question, decision = await self._permit(caller, case)
        parts = self._parts
        erased = await parts.store.read(lambda tx: erasures.of_case(tx, case))
        entry = decision_entry(
            parts,
            caller,
            question,
            decision,
            kind="read",
            outcome="allowed" if erased else "failed",
            subjects=[erased.pseudonym] if erased else [],
            summary=_SUMMARY,
        )
        await parts.store.write(partial(log, entry=entry))
        if erased is None:
            raise NotFoundError("no erasure was carried out here for that case")
        return await parts.store.read(lambda tx: self._report(tx, erased))

    async def _permit(self, caller: Caller, case: str) -> tuple[Question, Decision]:
        """Go on only where policy lets the caller; a refusal is in the log before he hears of it."""
        if not _CASE.fullmatch(case) or _LONG_DIGITS.search(case):
            raise BadCaseError("a case reference has 1 to 64 letters, digits, dots, dashes and is no identity")
        question = question_of(caller, Action.ERASE, most_open(self._parts, "Patient"))
        return question, await permit(self._parts, caller, question, summary=_SUMMARY)

    def _claim(self, tx: Transaction, identity: Identity, person: Pseudonym, case: str) -> None:
        """Whoever here still waits for this identity's pseudonym is that person too.

        Raises:
            CaseTakenError: The case is another person's: nothing is done.
        """
        before = erasures.of_case(tx, case)
        if before is not None and before.pseudonym != person:
            raise CaseTakenError("that case is another person's erasure")
        for sid in pending.waiting_for(tx, cache_tag(self._parts.keys.identity_cache, identity)):
            subjects.assign_pseudonym(tx, sid, person)
            pending.resolved(tx, sid)
            apply_consents(tx, sid)

    def _erase(  # what was found before, and who asks
        self,
        tx: Transaction,
        identity: Identity,
        person: Pseudonym,
        case: str,
        caller: Caller,
        stale: list[str],
        since: str,
    ) -> Erasure:
        """The one transaction."""
        before = erasures.of_case(tx, case)
        if before is not None and before.pseudonym != person:
            raise CaseTakenError("that case is another person's erasure")
        places = shredding.names_of(tx, person)
        identities = {identity, *_identities(tx, places)}
        stale = [*stale, *answered.mentioning(tx, partial(_mentions, places), since=since)]
        count = erase(tx, self._parts, person, caller, case) if before is None or places else 0
        answered.empty(tx, stale)
        identity_cache.forget(tx, [cache_tag(self._parts.keys.identity_cache, each) for each in identities])
        node_state.put(tx, shredding.SCRUB, b"due")
        if before is not None:
            return before
        erased = Erasure(case_reference=case, pseudonym=person, erased_at=tx.clock.now().isoformat(), resources=count)
        erasures.add(tx, erased)
        return erased

    def _report(self, tx: Transaction, erased: Erasure) -> ErasureReport:
        """The report as of now."""
        return ErasureReport(
            case=erased.case_reference,
            node=str(self._parts.address),
            erased_at=erased.erased_at,
            resources=erased.resources,
            overwritten=node_state.get(tx, shredding.SCRUB) == b"done",
            above=effect_of(tx, "shred", [erased.pseudonym], since=erased.erased_at),
            remains=_remains(tx, erased),
        )


def _identities(tx: Transaction, places: Iterable[tuple[str, str]]) -> set[Identity]:
    """Every identity that any version of the Patients among ``places`` carries."""
    found: set[Identity] = set()
    for resource_type, patient_id in places:
        for kept in resources.versions(tx, resource_type, patient_id) if resource_type == "Patient" else ():
            if kept.body is not None:
                identifiers = msgspec.json.decode(kept.body, type=dict[str, object]).get("identifier")
                found.update(find_identities(identifiers if isinstance(identifiers, list) else ()))
    return found


def _mentions(places: frozenset[tuple[str, str]], body: bytes) -> bool:
    """Whether an answer that was kept names one of ``places``."""
    return any((result.type, result.id) in places for result in decode_results(body))


def _remains(tx: Transaction, erased: Erasure) -> list[Remaining]:
    """What an erasure leaves, as of now."""
    waiting = len(outbox.kept_envelopes(tx))
    counted: Mapping[str, int] = {"entries": len(audit_log.positions_about(tx, erased.pseudonym)), "sealed": waiting}
    remains = [
        Remaining(
            what="entries of this node's log that name the person by pseudonym",
            count=counted["entries"],
            why="they prove who saw what, and that it was erased",
            until="the end of the log's retention, when their period's key is destroyed",
        ),
        Remaining(
            what="the pseudonym in the change feed, in the notices to those above and in this report",
            why="receipts could not be matched without it; it leads to nothing that is kept",
            until="as long as the report is needed",
        ),
        Remaining(
            what="tombstones above: names and version numbers of what was taken back, without content",
            why="what was recorded on the way could otherwise be played back",
            until="as long as the origin's streams last",
        ),
        Remaining(
            what="key files of backups made before the erasure, and what they open of the backups' bulk",
            why="this node does not reach them; a restore carries the erasure out again",
            until="the date on which the operator lets go of the last of those key files",
        ),
        Remaining(
            what="records that other nodes admitted, and records of other persons that mention this one",
            why="only their origin erases them, and others' records are theirs",
            until="asked for there",
        ),
    ]
    if waiting:
        remains.append(
            Remaining(
                what="sealed envelopes that may still carry the person's records",
                count=counted["sealed"],
                why="not everybody has signed for them; this node cannot open them, and the order to forget follows",
                until="all recipients have signed",
            )
        )
    return remains

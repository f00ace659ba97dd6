"""Reading what this node keeps: decided by policy, entered in the log, and only then handed out.

Every answer, refusal and miss is an entry in the log, durable before the first byte leaves. A refused resource and an
absent one look alike to a caller who may see some resources of the type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.node.callers import Caller
from health_exchange.node.journal import log_each
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.rights import most_open, question_of, refusal
from health_exchange.node.seeing import ABSENT, Answer, enter, entry_of, hiding, told
from health_exchange.node.seeing import refused as _refused
from health_exchange.policy.decisions import Action, Decision
from health_exchange.policy.questions import Question, decision_on
from health_exchange.store import subjects
from health_exchange.store.bodies import SealedBody, unpack_body, unpacked_bytes
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject
from health_exchange.store.versions import short_currents, short_former, version_of

GONE = "it was here and has been deleted"


class GoneError(ExchangeError):
    """It was here and has been deleted."""

    category = Category.GONE
    code = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One resource on its way out."""

    body: bytes
    version: int
    changed_at: datetime


class Wanted(NamedTuple):
    """One resource that somebody asks for."""

    caller: Caller
    type: str
    id: str


class Found(NamedTuple):
    """What he is answered, and the body as it is kept; ``None`` where there is none, or a long one."""

    answer: Answer
    body: SealedBody | None


class Reading:
    """The reading side of one node's FHIR door.

    Args:
        parts: The node's.
        pseudonyms: Resolves identities; ``None`` where the tier may not see them.
    """

    def __init__(self, parts: NodeParts, pseudonyms: PseudonymClient | None) -> None:
        self._parts = parts
        self._pseudonyms = pseudonyms

    async def read(self, resource_type: str, resource_id: str, caller: Caller) -> Kept:
        """The current version.

        Raises:
            NotFoundError: It is not here, or the caller may not know that it is.
            ForbiddenError: The caller may see no resource of this type.
            GoneError: It was deleted.
            TooSlowError: Its long body is not read in time; or ``CrowdedError``, its turn does not come.
        """
        # Found where its entry in the log is written: one way to the database, and one commit for all who wait.
        found = await self._parts.store.write_each(self._each, Wanted(caller, resource_type, resource_id))
        if found.answer.error is not None:
            raise found.answer.error
        return await self._opened(found, caller)

    async def vread(self, resource_type: str, resource_id: str, version: int, caller: Caller) -> Kept:
        """One version, current or former; raises as :meth:`read`."""
        wanted = Wanted(caller, resource_type, resource_id)
        found = await self._parts.store.read(lambda tx: self._version(tx, wanted, version))
        await told(self._parts, caller, found.answer)
        return await self._opened(found, caller)

    async def _opened(self, found: Found, caller: Caller) -> Kept:
        """What was found, once its entry is durable, with its body: a long one is read in the caller's turn."""
        kept = found.answer.kept[0]
        if found.body is not None:
            packed = found.body.unsealed()
            body = await self._parts.workers.run(unpack_body, kept.type, packed, work_bytes=unpacked_bytes(packed))
            return kept_of(kept, body)
        whole = await self._parts.store.read(
            lambda tx: version_of(tx, kept.rid, kept.version), asker=caller.principal.id
        )
        if whole is None or whole.body is None:
            # It was erased since it was found.
            raise GoneError(GONE)
        return kept_of(whole)

    async def _enter(self, caller: Caller, answer: Answer) -> None:
        """Make the entry durable."""
        await enter(self._parts, caller, answer)

    def _each(self, tx: Transaction, asked: Sequence[Wanted]) -> list[Found]:
        """What each who asks finds, entered in the log.

        Nothing is opened, and nothing long is read, because whoever writes next waits for this.
        """
        current = short_currents(tx, {(each.type, each.id) for each in asked})
        owners = subjects.by_sids(tx, {kept.sid for kept, _body, _is_long in current.values()})
        found = []
        for each in asked:
            kept, body, is_long = current.get((each.type, each.id), (None, None, False))
            found.append(Found(self._one(each, kept, kept, owners, is_here=is_long or body is not None), body))
        log_each(tx, [entry_of(self._parts, each.caller, one.answer) for each, one in zip(asked, found, strict=True)])
        return found

    def _version(self, tx: Transaction, wanted: Wanted, number: int) -> Found:
        """One version, or why not; nothing is opened, and nothing long is read."""
        place = wanted.type, wanted.id
        now = short_currents(tx, {place}).get(place)
        if now is None:
            return Found(self._one(wanted, None, None, {}, is_here=False), None)
        asked = now if now.kept.version == number else short_former(tx, now.kept.rid, number)
        if asked is None:
            return Found(self._one(wanted, None, now.kept, {}, is_here=False), None)
        kept, body, is_long = asked
        owners = subjects.by_sids(tx, {now.kept.sid, kept.sid})
        return Found(self._one(wanted, kept, now.kept, owners, is_here=is_long or body is not None), body)

    def _one(
        self,
        wish: Wanted,
        wanted: StoredResource | None,
        now: StoredResource | None,
        owners: Mapping[int, Subject],
        *,
        is_here: bool,
    ) -> Answer:
        """One resource, or why not."""
        caller = wish.caller
        name = f"1 {wish.type}"
        if now is None or wanted is None:
            asked, general = self._in_general(wish)
            if not general.allowed:
                return _refused(asked, general, summary=name)
            return Answer(
                action=Action.READ,
                outcome="failed",
                error=NotFoundError(ABSENT),
                reason="not-found",
                policy=general.digest,
                summary=name,
            )
        both = [owners[sid] for sid in {wanted.sid, now.sid} if sid in owners]
        whose = tuple(sorted({owner.pseudonym for owner in both if owner.pseudonym is not None}))
        hidden = hiding(self._parts, caller, owners, wanted, now)
        if hidden is not None:
            _asked, general = self._in_general(wish)
            error = NotFoundError(ABSENT) if general.allowed else refusal(general)
            return _refused(*hidden, error=error, subjects=whose, summary=name)
        gone = wanted.deleted or not is_here
        return Answer(
            action=Action.READ,
            outcome="allowed",
            error=GoneError(GONE) if gone else None,
            kept=() if gone else (wanted,),
            policy=self._parts.policies.digest,
            subjects=whose,
            summary=f"{name}, deleted" if gone else name,
        )

    def _in_general(self, wish: Wanted) -> tuple[Question, Decision]:
        """Whether the caller may know anything of the type: what he is told of what he may not see."""
        asked = question_of(wish.caller, Action.READ, most_open(self._parts, wish.type))
        return asked, decision_on(self._parts.policies, asked)


def kept_of(kept: StoredResource, body: bytes | None = None) -> Kept:
    """A version that is not deleted, on its way out; its body where it was opened elsewhere."""
    opened = kept.body or b"" if body is None else body
    return Kept(body=opened, version=kept.version, changed_at=datetime.fromisoformat(kept.changed_at))

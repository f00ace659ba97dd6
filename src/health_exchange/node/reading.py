"""Reading what this node keeps: decided by policy, entered in the log, and only then handed out.

Every answer, refusal and miss is an entry in the log, durable before the first byte leaves. A refused resource and an
absent one look alike to a caller who may see some resources of the type.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from health_exchange.model.errors import Category, ExchangeError, NotFoundError
from health_exchange.node.callers import Caller
from health_exchange.node.journal import log_each
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.rights import most_open, question_of, refusal
from health_exchange.node.seeing import ABSENT, Answer, asked, enter, entry_of, hiding
from health_exchange.node.seeing import refused as _refused
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import decision_on
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource
from health_exchange.store.subjects import Subject


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
    """One resource that somebody asks for; the current version where none is named."""

    caller: Caller
    type: str
    id: str
    version: int | None = None


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
        """
        return await self._read(Wanted(caller, resource_type, resource_id))

    async def vread(self, resource_type: str, resource_id: str, version: int, caller: Caller) -> Kept:
        """One version, current or former; raises as :meth:`read`."""
        return await self._read(Wanted(caller, resource_type, resource_id, version))

    async def _read(self, wanted: Wanted) -> Kept:
        # Found where its entry in the log is written, so that both are one way to the database and one commit.
        answer = await self._parts.store.write_each(self._each, wanted)
        if answer.error is not None:
            raise answer.error
        return kept_of(answer.kept[0])

    async def _asked(self, caller: Caller, ask: Callable[[Transaction], Answer]) -> Answer:
        """The answer, once its entry in the log is durable."""
        return await asked(self._parts, caller, ask)

    async def _enter(self, caller: Caller, answer: Answer) -> None:
        """Make the entry durable."""
        await enter(self._parts, caller, answer)

    def _each(self, tx: Transaction, asked: Sequence[Wanted]) -> list[Answer]:
        """One resource for each who asks, or why not; entered in the log."""
        current = resources.currents(tx, {(each.type, each.id) for each in asked})
        versions = [self._version_of(tx, each, current.get((each.type, each.id))) for each in asked]
        owners = subjects.by_sids(tx, {kept.sid for kept in (*current.values(), *versions) if kept is not None})
        answers = [
            self._one(each, kept, current.get((each.type, each.id)), owners)
            for each, kept in zip(asked, versions, strict=True)
        ]
        log_each(tx, [entry_of(self._parts, each.caller, answer) for each, answer in zip(asked, answers, strict=True)])
        return answers

    def _version_of(self, tx: Transaction, asked: Wanted, now: StoredResource | None) -> StoredResource | None:
        """The version that is asked for."""
        if asked.version is None or now is None:
            return now
        return resources.version(tx, asked.type, asked.id, asked.version)

    def _one(
        self, wish: Wanted, wanted: StoredResource | None, now: StoredResource | None, owners: Mapping[int, Subject]
    ) -> Answer:
        """One resource, or why not."""
        caller = wish.caller
        asked = question_of(caller, Action.READ, most_open(self._parts, wish.type))
        general = decision_on(self._parts.policies, asked)
        name = f"1 {wish.type}"
        if now is None or wanted is None:
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
            error = NotFoundError(ABSENT) if general.allowed else refusal(general)
            return _refused(*hidden, error=error, subjects=whose, summary=name)
        gone = wanted.deleted or wanted.body is None
        return Answer(
            action=Action.READ,
            outcome="allowed",
            error=GoneError("it was here and has been deleted") if gone else None,
            kept=() if gone else (wanted,),
            policy=general.digest,
            subjects=whose,
            summary=f"{name}, deleted" if gone else name,
        )


def kept_of(kept: StoredResource) -> Kept:
    """A version that is not deleted, on its way out."""
    return Kept(body=kept.body or b"", version=kept.version, changed_at=datetime.fromisoformat(kept.changed_at))

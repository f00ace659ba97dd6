"""What an auditor may do at a node: ask its log, or the logs of the whole network, about a person or anything else.

A person's identity is in memory only here, between the door and the pseudonym that key holders make of it; a node
without the power to see identities says which one has it. The question goes to every node of the directory at once,
each with its deadline, and the answer names all of them: who answered, refused, was away, or could not prove itself.
"""

import asyncio
from collections.abc import Sequence

from msgspec import structs

from health_exchange.audit.answers import ANSWERED, PARTIAL, LogAnswer, NodeReply
from health_exchange.audit.entries import decode_entry
from health_exchange.audit.evidence import evidence_folder
from health_exchange.audit.questions import LogQuestion, check_question
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import NotFoundError, UnavailableError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.powers import Power
from health_exchange.node.asking import IdentityNotSeenHereError
from health_exchange.node.callers import Caller
from health_exchange.node.disclosures import ask_log, log_keys
from health_exchange.node.journal import journal, log_each
from health_exchange.node.log_reading import COUNT_MAX
from health_exchange.node.parts import NodeParts
from health_exchange.node.person_log import Elsewhere, disclosure_of
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.refusals import permit
from health_exchange.node.rights import question_of
from health_exchange.policy.decisions import Action
from health_exchange.pseudonym.identities import InvalidIdentityError, read_identity

AT_ONCE = 32
"""Nodes asked at the same time."""
PAGES_MAX = 200
"""Most pages of one node's entries that go into one evidence folder."""


class Oversight:
    """One node's service to auditors.

    Args:
        parts: The node's.
        pseudonyms: Resolves identities; ``None`` where the tier may not see them.
    """

    def __init__(self, parts: NodeParts, pseudonyms: PseudonymClient | None) -> None:
        self._parts = parts
        self._pseudonyms = pseudonyms

    async def person(self, caller: Caller, *, system: str, value: str) -> Pseudonym:
        """The pseudonym of somebody, made by key holders, each of which enters that it was asked.

        Raises:
            ForbiddenError: The caller may read no log; the refusal is in it.
            IdentityNotSeenHereError: This node sees no identities; says which one does.
            InvalidIdentityError: It cannot be one.
            UnavailableError: Too few key holders answer.
        """
        parts = self._parts
        await permit(parts, caller, question_of(caller, Action.READ_LOG, None), summary="entries")
        if self._pseudonyms is None or not parts.card.may(Power.SEES_NATIONAL_IDS):
            error = IdentityNotSeenHereError(f"{parts.address} sees no national IDs; ask {self._where_to_ask()}")
            await self._refuse(caller, error.code)
            raise error
        identity = read_identity(system, value)
        if identity is None:
            raise InvalidIdentityError("no exchange-wide identity has that system")
        resolved = await self._pseudonyms.ask_holders([identity])
        if identity not in resolved:
            raise UnavailableError("too few key holders answer to find out whose entries are wanted", retry_after_s=5)
        return resolved[identity]

    async def ask(  # what a question takes
        self, caller: Caller, question: LogQuestion, *, nodes: Sequence[NodeAddress], before: int | None, count: int
    ) -> LogAnswer:
        """What the logs of ``nodes`` say, each by its own policy.

        Raises:
            BadQuestionError: The question cannot be.
            ForbiddenError: This node's policy lets the caller read no log.
            NotFoundError: A node is not in the directory.
        """
        parts = self._parts
        check_question(question)
        unknown = [str(node) for node in nodes if node not in parts.directory.nodes]
        if unknown:
            raise NotFoundError(f"the directory has no node {', '.join(unknown)}")
        await permit(self._parts, caller, question_of(caller, Action.READ_LOG, None), summary="entries")
        at = parts.clock.now().isoformat()
        if parts.address not in nodes:
            await self._note(caller, question, nodes)
        replies = await self._replies(caller, question, nodes, before, count)
        return LogAnswer(
            request_id=caller.request_id,
            at=at,
            asker=str(parts.address),
            person=question.person,
            holders=[str(holder.address) for holder in parts.directory.key.holders],
            threshold=parts.directory.key.threshold,
            replies=replies,
        )

    async def _replies(
        self, caller: Caller, question: LogQuestion, nodes: Sequence[NodeAddress], before: int | None, count: int
    ) -> list[NodeReply]:
        """What each node says, in the order of their addresses."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(node: NodeAddress) -> NodeReply:
            async with slots:
                return await ask_log(self._parts, caller, node, question, before=before, count=count)

        return await asyncio.gather(*(one(node) for node in sorted(set(nodes), key=lambda node: node.segments)))

    async def elsewhere(self, person: Pseudonym, caller: Caller) -> Elsewhere:
        """What the other nodes' logs say of a person, for the person; a node whose word is missing is named."""
        others = [node for node in self.everywhere() if node != self._parts.address]
        question = LogQuestion(person=person)
        replies = await self._replies(caller, question, others, None, COUNT_MAX)
        return Elsewhere(
            disclosures=[
                disclosure_of(decode_entry(bytes(proven.entry))) for reply in replies for proven in reply.entries
            ],
            not_asked=[f"{reply.node}: {reply.outcome}" for reply in replies if reply.outcome != ANSWERED],
        )

    async def evidence(self, caller: Caller, question: LogQuestion, nodes: Sequence[NodeAddress]) -> dict[str, bytes]:
        """A folder of everything that ``nodes`` have to say, which verifies offline; raises as :meth:`ask`."""
        answer = await self.ask(caller, question, nodes=nodes, before=None, count=COUNT_MAX)
        whole = [await self._rest(caller, question, reply) for reply in answer.replies]
        parts = self._parts
        return await asyncio.to_thread(
            evidence_folder,
            structs.replace(answer, replies=whole),
            auditor=caller.principal.id,
            conditions=list(question.conditions),
            asker=log_keys(parts.directory, parts.address, parts.log_origin),
            seed=parts.keys.log_seed,
        )

    async def _rest(self, caller: Caller, question: LogQuestion, reply: NodeReply) -> NodeReply:
        """A node's whole answer, page after page; where a page fails, what there is, and that it is not all."""
        node, pages = NodeAddress.parse(reply.node), 1
        while reply.outcome == PARTIAL and pages < PAGES_MAX:
            pages += 1
            more = await ask_log(self._parts, caller, node, question, before=reply.before, count=COUNT_MAX)
            if more.outcome not in {ANSWERED, PARTIAL}:
                return structs.replace(reply, detail=f"{reply.detail}; then {more.outcome}: {more.detail}")
            notes = dict.fromkeys([*reply.checkpoints, *more.checkpoints])
            reply = structs.replace(
                more,
                checkpoints=list(notes),
                entries=[*reply.entries, *more.entries],
                withheld=reply.withheld + more.withheld,
            )
        return reply

    def everywhere(self) -> Sequence[NodeAddress]:
        """Every node that keeps a log."""
        return tuple(self._parts.directory.nodes)

    def _where_to_ask(self) -> str:
        """An admitting node, the nearest one by place, and how many there are."""
        seeing = sorted(
            (card.address for card in self._parts.directory.nodes.values() if card.may(Power.SEES_NATIONAL_IDS)),
            key=lambda address: (not self._parts.address.contains(address), address.segments),
        )
        return f"a node that admits facilities, such as {seeing[0]}" if seeing else "a node that admits facilities"

    async def _note(self, caller: Caller, question: LogQuestion, nodes: Sequence[NodeAddress]) -> None:
        """That this node asks others for its auditor stands in its own log, too."""
        entry = journal(
            self._parts,
            caller,
            kind="log-read",
            action=str(Action.READ_LOG),
            outcome="allowed",
            policy=self._parts.policies.digest,
            subjects=(question.person,) if question.person else (),
            summary=f"asks {len(nodes)} other nodes by {', '.join(question.conditions) or 'nothing'}",
        )
        await self._parts.store.write_each(log_each, entry)

    async def _refuse(self, caller: Caller, reason: str) -> None:
        """A refusal is in the log before the caller hears of it."""
        entry = journal(
            self._parts,
            caller,
            kind="refuse",
            action=str(Action.READ_LOG),
            outcome="refused",
            reason=reason,
            policy=self._parts.policies.digest,
            summary="entries",
        )
        await self._parts.store.write_each(log_each, entry)

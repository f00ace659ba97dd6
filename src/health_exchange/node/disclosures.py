"""Asking other nodes' logs, and being asked: each node decides by its own policy, enters the reading, then answers.

The asking node vouches for its auditor, as it does for a clinician; the answering node sees who it is and whose entries
are wanted, by pseudonym. Question and answer are letters, the answer bound to this very question, and every entry in it
proves itself against the answering log's signed checkpoint: what does not is not shown.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from health_exchange.audit.answers import ANSWERED, AWAY, PARTIAL, REFUSED, UNPROVEN, LogKeys, NodeReply
from health_exchange.audit.entries import AuditEntry
from health_exchange.audit.excerpts import LogExcerpt, UnprovenEntryError, check_excerpt
from health_exchange.audit.questions import BadQuestionError, Conditions, LogQuestion, check_question
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory, former_log_keys
from health_exchange.model.errors import RETRYABLE, ExchangeError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.journal import log_each
from health_exchange.node.letterbox import ask_peer, open_request, seal_answer
from health_exchange.node.log_reading import COUNT_MAX, read_log
from health_exchange.node.parts import NodeParts
from health_exchange.node.refusals import decision_entry
from health_exchange.node.rights import question_of, refusal
from health_exchange.policy.decisions import Action, Principal
from health_exchange.policy.questions import decision_on
from health_exchange.protocol.letters import UnreadableLetterError
from health_exchange.store.database import TooSlowError

DISCLOSURES_PATH = "/exchange/v1/disclosures"
LETTER = "disclosures"
NAME_MAX = 256


class DisclosureRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node asks another one's log, for whom.

    Attributes:
        request_id: Under which it stands in both logs.
        principal: Who asks, as registered at the asking node.
        kind: Kind of principal.
        organization: Code of its organisation.
        purpose: Why.
        question: Which entries.
        before: Only entries below this position.
        count: At most so many.
    """

    request_id: str
    principal: str
    kind: str
    organization: str
    purpose: Purpose
    question: LogQuestion
    before: int | None
    count: int


class Disclosed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer: a ``LogExcerpt`` in JSON, since entries are JSON and keep their bytes."""

    excerpt: bytes


async def answer_disclosure(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """The entries asked for, in a letter to ``sender``; the reading stands in this node's log before.

    Raises:
        UnreadableLetterError, BadQuestionError: It is no such request.
        ForbiddenError: Policy here does not let the sender's auditor read the log; the refusal is in the log.
    """
    name, request = open_request(parts, raw, sender, LETTER, DisclosureRequest)
    if not (request.kind.strip() and request.principal.strip()) or len(request.kind + request.principal) > NAME_MAX:
        raise BadQuestionError("a question to a log says who asks")
    if not 0 < request.count <= COUNT_MAX:
        raise BadQuestionError(f"count is between 1 and {COUNT_MAX}")
    question = check_question(request.question)
    principal = Principal(
        kind=request.kind, id=request.principal, organization=request.organization, address=str(sender)
    )
    caller = Caller(principal=principal, purpose=request.purpose, request_id=RequestId(request.request_id))
    excerpt = await disclose(parts, caller, question, before=request.before, count=request.count, peer=str(sender))
    return seal_answer(parts, sender, LETTER, name, Disclosed(excerpt=msgspec.json.encode(excerpt)))


async def disclose(
    parts: NodeParts, caller: Caller, question: LogQuestion, *, before: int | None, count: int, peer: str = ""
) -> LogExcerpt:
    """Entries of this node's own log, once that they were read is durable in it.

    Raises:
        ForbiddenError: Policy does not let the caller read the log; the refusal is in the log.
    """
    action = Action.VIEW_DISCLOSURES if question.person else Action.READ_LOG
    asked = question_of(caller, action, None)
    decision = decision_on(parts.policies, asked)
    excerpt: LogExcerpt | None = None
    ended: TooSlowError | None = None
    if decision.allowed:
        try:
            excerpt = await read_log(parts, question, before=before, count=count, asker=peer or caller.principal.id)
        except TooSlowError as error:
            ended = error
    found = f"{len(excerpt.entries)} entries" if excerpt is not None else "entries"
    entry = decision_entry(
        parts,
        caller,
        asked,
        decision,
        kind="log-read",
        outcome="failed" if ended is not None else "allowed",
        subjects=(question.person,) if question.person else (),
        summary=f"{found} by {', '.join(question.conditions) or 'nothing'}",
        peer=peer,
    )
    await parts.store.write_each(log_each, entry)
    if excerpt is None:
        raise ended or refusal(decision)
    return excerpt


async def ask_log(
    parts: NodeParts, caller: Caller, node: NodeAddress, question: LogQuestion, *, before: int | None, count: int
) -> NodeReply:
    """What ``node`` says, its entries verified; whatever goes wrong is in the reply, never left out."""
    keys = log_keys(parts.directory, node)
    try:
        if node == parts.address:
            excerpt = await disclose(parts, caller, question, before=before, count=count)
        else:
            excerpt = await _ask(parts, caller, node, question, before, count)
        keys = log_keys(parts.directory, node, excerpt.origin)
        entries = check_excerpt(excerpt, origin=keys.origin, publics=keys.publics)
        _check_answers(excerpt, entries, question, before=before, count=count)
    except (UnprovenEntryError, UnreadableLetterError) as error:
        return NodeReply(node=str(node), outcome=UNPROVEN, detail=error.detail, keys=keys)
    except ExchangeError as error:
        outcome = AWAY if error.category in RETRYABLE else REFUSED
        return NodeReply(node=str(node), outcome=outcome, detail=error.detail, keys=keys)
    return NodeReply(
        node=str(node),
        outcome=ANSWERED if excerpt.before is None else PARTIAL,
        detail="" if excerpt.before is None else f"there is more before entry {excerpt.before}",
        keys=keys,
        checkpoints=excerpt.checkpoints,
        entries=excerpt.entries,
        before=excerpt.before,
        withheld=excerpt.withheld,
    )


def _check_answers(
    excerpt: LogExcerpt, entries: Sequence[AuditEntry], question: LogQuestion, *, before: int | None, count: int
) -> None:
    """Check that proven entries are those that were asked for, and that asking on leads anywhere.

    Raises:
        UnprovenEntryError: They are not, or it does not.
    """
    conditions = Conditions(question)
    positions = [proven.position for proven in excerpt.entries]
    end = before if before is not None else 2**62
    fits = (
        len(entries) <= count
        and all(conditions.hold_for(entry) for entry in entries)
        and all(question.position in {None, position} and position < end for position in positions)
        and (excerpt.before is None or 0 < excerpt.before < end)
    )
    if not fits:
        raise UnprovenEntryError("the entries are not those that were asked for")


def log_keys(directory: NetworkDirectory, node: NodeAddress, log: str = "") -> LogKeys:
    """What a node's log is verified with; ``log`` is its name in a later incarnation than the first."""
    card = directory.nodes[node]
    witnesses = [directory.nodes[witness] for witness in card.witnesses]
    return LogKeys(
        origin=log if card.incarnation_of(log) is not None else card.log_origin,
        public_key=card.log_key,
        witnesses={witness.log_origin: witness.log_key for witness in witnesses},
        former=former_log_keys([card, *witnesses]),
    )


async def _ask(
    parts: NodeParts, caller: Caller, node: NodeAddress, question: LogQuestion, before: int | None, count: int
) -> LogExcerpt:
    """Another node's excerpt, not verified yet."""
    request = DisclosureRequest(
        request_id=caller.request_id,
        principal=caller.principal.id,
        kind=caller.principal.kind,
        organization=caller.principal.organization,
        purpose=caller.purpose,
        question=question,
        before=before,
        count=count,
    )
    # The letters are named by what is asked, so that the answer to one page is none to another.
    name = sha256(msgspec.msgpack.encode(request)).hexdigest()
    timeout_s = parts.limits.peer_timeout_s
    disclosed = await ask_peer(parts, node, DISCLOSURES_PATH, LETTER, name, request, Disclosed, timeout_s=timeout_s)
    try:
        return msgspec.json.decode(disclosed.excerpt, type=LogExcerpt)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    raise UnprovenEntryError("its answer cannot be read")

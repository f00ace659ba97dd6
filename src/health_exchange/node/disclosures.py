"""Asking other nodes' logs, and being asked: each node decides by its own policy, enters the reading, then answers.

The asking node vouches for its auditor, as it does for a clinician; the answering node sees who it is and whose entries
are wanted, by pseudonym. The answer is a letter to the asking node, bound to this very request, and every entry in it
proves itself against the answering log's signed checkpoint: what does not is not shown.
"""

from functools import partial
from hashlib import sha256

import msgspec
from msgspec import structs

from health_exchange.audit.answers import ANSWERED, AWAY, PARTIAL, REFUSED, UNPROVEN, LogKeys, NodeReply
from health_exchange.audit.excerpts import LogExcerpt, UnprovenEntryError, check_excerpt
from health_exchange.audit.questions import BadQuestionError, LogQuestion, check_question
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NetworkDirectory
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.identifiers import RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.node.callers import Caller
from health_exchange.node.journal import journal, log
from health_exchange.node.log_reading import COUNT_MAX, read_log
from health_exchange.node.parts import NodeParts
from health_exchange.node.rights import decide_on, refusal
from health_exchange.policy.decisions import Action, Principal
from health_exchange.protocol.letters import UnreadableLetterError, about, open_letter, seal_letter

DISCLOSURES_PATH = "/exchange/v1/disclosures"
REQUEST_BYTES_MAX = 64 << 10
_REFUSALS = range(400, 500)
_BUSY = 429


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


async def answer_disclosure(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """The entries asked for, in a letter to ``sender``; the reading stands in this node's log before.

    Raises:
        BadQuestionError: It is no such request.
        ForbiddenError: Policy here does not let the sender's auditor read the log; the refusal is in the log.
    """
    request = _decode(raw)
    principal = Principal(
        kind=request.kind, id=request.principal, organization=request.organization, address=str(sender)
    )
    caller = Caller(principal=principal, purpose=request.purpose, request_id=RequestId(request.request_id))
    excerpt = await disclose(
        parts, caller, request.question, before=request.before, count=request.count, peer=str(sender)
    )
    return seal_letter(
        parts.directory.nodes[sender].box_key,
        msgspec.json.encode(excerpt),
        about=_about(raw, asker=sender, answerer=parts.address),
        randomness=parts.randomness,
    )


async def disclose(
    parts: NodeParts, caller: Caller, question: LogQuestion, *, before: int | None, count: int, peer: str = ""
) -> LogExcerpt:
    """Entries of this node's own log, once that they were read is durable in it.

    Raises:
        ForbiddenError: Policy does not let the caller read the log; the refusal is in the log.
    """
    decision = decide_on(parts, caller, Action.READ_LOG, None)
    excerpt = await read_log(parts, question, before=before, count=count) if decision.allowed else None
    found = f"{len(excerpt.entries)} entries" if excerpt is not None else "entries"
    entry = journal(
        parts,
        caller,
        kind="refuse" if excerpt is None else "log-read",
        action=str(Action.READ_LOG),
        outcome="refused" if excerpt is None else "allowed",
        reason="; ".join(decision.reasons) if excerpt is None else "",
        policy=decision.digest,
        subjects=(question.person,) if question.person else (),
        summary=f"{found} by {', '.join(question.conditions) or 'nothing'}",
    )
    await parts.store.write(partial(log, entry=structs.replace(entry, peer=peer)))
    if excerpt is None:
        raise refusal(decision)
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
        check_excerpt(excerpt, origin=keys.origin, public=keys.public_key)
    except (UnprovenEntryError, UnreadableLetterError) as error:
        return NodeReply(node=str(node), outcome=UNPROVEN, detail=error.detail, keys=keys)
    except ExchangeError as error:
        outcome = REFUSED if error.category in {Category.FORBIDDEN, Category.INCORRECT} else AWAY
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


def log_keys(directory: NetworkDirectory, node: NodeAddress) -> LogKeys:
    """What a node's log is verified with."""
    cards = directory.nodes
    return LogKeys(
        origin=cards[node].log_origin,
        public_key=cards[node].log_key,
        witnesses={cards[witness].log_origin: cards[witness].log_key for witness in cards[node].witnesses},
    )


class _RefusedByPeerError(ExchangeError):
    """The other node refused; what it said is in ``detail``."""

    category = Category.FORBIDDEN
    code = "refused-by-peer"


class _PeerAwayError(ExchangeError):
    """The other node could not answer."""

    category = Category.UNAVAILABLE
    code = "peer-away"


async def _ask(
    parts: NodeParts, caller: Caller, node: NodeAddress, question: LogQuestion, before: int | None, count: int
) -> LogExcerpt:
    """Another node's excerpt, not verified yet."""
    body = msgspec.json.encode(
        DisclosureRequest(
            request_id=caller.request_id,
            principal=caller.principal.id,
            kind=caller.principal.kind,
            organization=caller.principal.organization,
            purpose=caller.purpose,
            question=question,
            before=before,
            count=count,
        )
    )
    answer = await parts.transport.send(node, "POST", DISCLOSURES_PATH, body, timeout_s=parts.limits.peer_timeout_s)
    if not answer.is_ok:
        said = _said(answer.body)
        if answer.status in _REFUSALS and answer.status != _BUSY:
            raise _RefusedByPeerError(said or f"it refused with status {answer.status}")
        raise _PeerAwayError(said or f"it answered with status {answer.status}")
    text = open_letter(parts.keys.box, answer.body, about=_about(body, asker=parts.address, answerer=node))
    try:
        return msgspec.json.decode(text, type=LogExcerpt)
    except (msgspec.MsgspecError, ValueError):
        pass
    raise UnprovenEntryError("its answer cannot be read")


def _said(body: bytes) -> str:
    """The sentence of a peer's refusal, where it sent one."""
    try:
        detail = msgspec.json.decode(body).get("detail", "")
    except (msgspec.MsgspecError, ValueError, AttributeError):
        return ""
    return detail if isinstance(detail, str) else ""


def _about(request: bytes, *, asker: NodeAddress, answerer: NodeAddress) -> bytes:
    """What binds an answer to its request, its asker and its answerer."""
    return about("disclosures", answerer, asker, sha256(request).hexdigest())


def _decode(raw: bytes) -> DisclosureRequest:
    """A request, bounded and checked."""
    if len(raw) <= REQUEST_BYTES_MAX:
        try:
            request = msgspec.json.decode(raw, type=DisclosureRequest)
        except (msgspec.MsgspecError, ValueError):
            request = None
        if request is not None and 0 < request.count <= COUNT_MAX:
            check_question(request.question)
            return request
    raise BadQuestionError("not a question to this node's log")

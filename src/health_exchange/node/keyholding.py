"""A key holder's part in making pseudonyms: check, log, then evaluate.

The holder sees blinded elements only, so it never learns whose pseudonym it helps to make; what it knows is who asked
how often, and that stands in its log before the answer leaves.
"""

import asyncio
from hashlib import sha256

from msgspec import structs

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Power
from health_exchange.node.journal import log, node_journal
from health_exchange.node.parts import NodeParts
from health_exchange.pseudonym.quotas import holder_quota
from health_exchange.pseudonym.threshold import decode_request, encode_response, evaluate
from health_exchange.store import counters
from health_exchange.store.engine import Transaction

INLINE_ELEMENTS_MAX = 8
"""Above this many scalar multiplications the work leaves the event loop."""

ROUND_ID_CHARACTERS = 32


class NoKeyShareError(ExchangeError):
    """This node keeps no share of the pseudonym key."""

    category = Category.UNSUPPORTED
    code = "no-key-share"


class QuotaExceededError(ExchangeError):
    """The asking node has used up what it may ask of this holder today."""

    category = Category.BUSY
    code = "quota-exceeded"


async def answer_evaluation(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """This holder's share of the answer to one batch of blinded elements.

    Args:
        parts: The node's.
        raw: An encoded ``EvaluationRequest``. Untrusted.
        sender: Who asks, already authenticated.

    Raises:
        NoKeyShareError: It keeps no share.
        ForbiddenError: The sender may not see national IDs, so it has none to ask about.
        QuotaExceededError: Beyond the sender's quota; logged as an alarm.
        ExchangeError: The request is malformed or names another epoch or share version.
    """
    if not parts.membership.shares:
        raise NoKeyShareError(f"{parts.address} keeps no share of the pseudonym key")
    card = parts.directory.nodes[sender]
    if not card.may(Power.SEES_NATIONAL_IDS):
        raise NoKeyShareError(f"{sender} has no power to ask for pseudonyms")
    request = decode_request(raw)
    count = len(request.elements)
    # Every holder asked for one round is sent the same bytes, so that auditors can tell rounds from requests.
    round_id = sha256(raw).hexdigest()[:ROUND_ID_CHARACTERS]
    allowed = await parts.store.write(lambda tx: _log_and_count(tx, parts, sender, count, round_id))
    if not allowed:
        raise QuotaExceededError(f"{sender} has asked for more evaluations today than its quota", retry_after_s=3600)
    share, randomness = parts.membership.share(request.epoch, request.version), parts.randomness
    if share is None:
        raise NoKeyShareError(f"{parts.address} keeps no share of the pseudonym key any more")
    if count <= INLINE_ELEMENTS_MAX:
        return encode_response(evaluate(share, request, randomness))
    return encode_response(await asyncio.to_thread(evaluate, share, request, randomness))


def is_within_quota(tx: Transaction, parts: NodeParts, sender: NodeAddress, count: int) -> tuple[bool, int]:
    """Whether ``count`` more evaluations are within the sender's quota of today; and how many these make."""
    used = counters.add(tx, f"evaluations:{sender}", parts.clock.now().date().isoformat(), count)
    return used <= quota_of(parts), used


def _log_and_count(tx: Transaction, parts: NodeParts, sender: NodeAddress, count: int, round_id: str) -> bool:
    """Enter the request in the log and in the day's count; whether it is within the quota."""
    allowed, used = is_within_quota(tx, parts, sender, count)
    entry = node_journal(
        parts,
        kind="evaluate" if allowed else "alarm",
        action="evaluate",
        outcome="allowed" if allowed else "refused",
        peer=str(sender),
        reason="" if allowed else "quota-exceeded",
        summary=f"{count} blinded elements, {used} today",
    )
    log(tx, structs.replace(entry, count=count, request_id=round_id))
    return allowed


def quota_of(parts: NodeParts) -> int:
    """How many evaluations this holder grants one asking node a day."""
    key = parts.directory.key
    return holder_quota(parts.limits.evaluations_per_day, threshold=key.threshold, holders=len(key.holders))

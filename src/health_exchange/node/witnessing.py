"""Witnesses: asking others to cosign our log, and cosigning theirs after checking that it only ever grows.

A witness remembers the last checkpoint it cosigned of each log. It is asked with a consistency proof from there; if it
knows more than the asker thought, it says how much, and the asker comes again. A request may be overtaken by a later
one, so that a witness knows more than it is shown proves nothing against a log. To the asker it does: it has shown
nothing larger than it has now, so somebody else speaks in its name, or its database is an older one.

Source: C2SP tlog-witness for the exchange of size, proof and checkpoint.
"""

from datetime import datetime, timedelta
from functools import partial

import msgspec

from health_exchange.audit import tiles
from health_exchange.audit.checkpoints import (
    Checkpoint,
    ForkedLogError,
    check_extension,
    cosign,
    parse_checkpoint,
    read_checkpoint_of,
    verify_cosignature,
)
from health_exchange.audit.hashing import Hash
from health_exchange.audit.merkle import prove_consistency
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import KeyUse
from health_exchange.model.errors import Category, ExchangeError, ForbiddenError
from health_exchange.node.journal import log, node_journal
from health_exchange.node.parts import NodeParts
from health_exchange.store import audit_log, node_state
from health_exchange.store.engine import Transaction

WITNESS_PATH = "/exchange/v1/witness"
ASK_AGAIN = timedelta(minutes=10)
"""How long a witness to whom our log contradicts itself is left alone: each time is one more alarm, there and here."""
REQUEST_BYTES_MAX = 32 << 10
LOG_FORKED, LOG_BEHIND = "log-forked", "log-behind-witness"
"""What we say of our own log: a witness was shown another one, or a longer one, under our name."""


class BadWitnessRequestError(ExchangeError):
    """Not a request to cosign."""

    category = Category.INCORRECT
    code = "bad-witness-request"


class WitnessRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Please cosign.

    Attributes:
        old_size: What the asker thinks the witness saw last.
        proof: That the checkpoint extends that.
        checkpoint: The signed note.
    """

    old_size: int
    proof: list[bytes]
    checkpoint: str


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What of a witness's refusal is read."""

    code: str = ""


class WitnessAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The witness's word.

    Attributes:
        known_size: What it saw last, where that is not what the asker thought.
        cosignature: Its signature line; empty in that case.
    """

    known_size: int
    cosignature: str = ""


async def cosign_checkpoint(parts: NodeParts, raw: bytes, sender: NodeAddress) -> bytes:
    """This node's cosignature under the sender's checkpoint.

    Raises:
        ForbiddenError: The sender's log has other witnesses.
        BadWitnessRequestError, BadCheckpointError: It is no request, or the checkpoint is not the sender's.
        ForkedLogError: It contradicts what was cosigned before; the contradiction is in this node's log.
    """
    card = parts.directory.nodes[sender]
    if parts.address not in card.witnesses:
        raise ForbiddenError(f"{parts.address} is no witness of {sender}")
    request = _decode(raw)
    shown = read_checkpoint_of(request.checkpoint, card, parts.clock.now())
    answer = await parts.store.write(lambda tx: _cosign(tx, parts, sender, request, shown))
    if isinstance(answer, ForkedLogError):
        raise answer
    return msgspec.msgpack.encode(answer)


async def gather_cosignatures(parts: NodeParts) -> bool:
    """Ask every witness for its word on the latest checkpoint; whether any gave it.

    A witness that is away is asked again another time; the others' words are kept.
    """
    note = await parts.store.read(audit_log.latest_checkpoint)
    if note is None:
        return False
    checkpoint = parse_checkpoint(note.decode())
    if checkpoint.origin != parts.log_origin:
        return False  # the last one of a log that ended
    have = await parts.store.read(lambda tx: audit_log.cosignatures_of(tx, checkpoint.size))
    gathered = False
    for witness in parts.card.witnesses:
        if str(witness) not in have and not await parts.store.read(partial(_is_left_alone, parts=parts, of=witness)):
            gathered |= await _ask(parts, witness, note.decode(), checkpoint)
    return gathered


async def _ask(parts: NodeParts, witness: NodeAddress, note: str, checkpoint: Checkpoint) -> bool:
    """One witness's cosignature, kept once it verifies; twice asked where it knows another size."""
    cursor = f"witnessed-by:{witness}"
    card = parts.directory.nodes[witness]
    for _attempt in range(2):
        old_size, proof = await parts.store.read(lambda tx: _proof(tx, cursor, checkpoint.size))
        request = WitnessRequest(old_size=old_size, proof=proof, checkpoint=note)
        try:
            reply = await parts.transport.send(
                witness, "POST", WITNESS_PATH, msgspec.msgpack.encode(request), timeout_s=parts.limits.peer_timeout_s
            )
            if not reply.is_ok:
                if _code(reply.body) == ForkedLogError.code:
                    await parts.store.write(
                        partial(_note_disagreement, parts=parts, witness=witness, reason=LOG_FORKED)
                    )
                return False
            answer = msgspec.msgpack.decode(reply.body, type=WitnessAnswer)
            if answer.cosignature:
                publics = card.keys_at(KeyUse.LOG, parts.clock.now())
                verify_cosignature(checkpoint, answer.cosignature, witness=card.log_origin, publics=publics)
        except (ExchangeError, msgspec.MsgspecError, ValueError):
            return False
        await parts.store.write(
            partial(_keep, cursor=cursor, witness=str(witness), checkpoint=checkpoint, answer=answer)
        )
        if answer.cosignature:
            return True
        if answer.known_size > checkpoint.size:
            await parts.store.write(partial(_note_disagreement, parts=parts, witness=witness, reason=LOG_BEHIND))
            return False
    return False


def _is_left_alone(tx: Transaction, parts: NodeParts, of: NodeAddress) -> bool:
    """Whether a witness has said lately that our log contradicts what it knows."""
    return _said_lately(tx, parts, of, LOG_FORKED)


def _note_disagreement(tx: Transaction, parts: NodeParts, witness: NodeAddress, reason: str) -> None:
    """Say in our own log that a witness knows another one under our name; not again for a while."""
    if not _said_lately(tx, parts, witness, reason):
        node_state.put(tx, f"{reason}:{witness}", parts.clock.now().isoformat().encode())
        log(tx, node_journal(parts, kind="alarm", action="cosign", outcome="failed", peer=str(witness), reason=reason))


def _said_lately(tx: Transaction, parts: NodeParts, witness: NodeAddress, reason: str) -> bool:
    said_at = node_state.get(tx, f"{reason}:{witness}")
    # Either way: the clock may have been set back since.
    return said_at is not None and abs(parts.clock.now() - datetime.fromisoformat(said_at.decode())) < ASK_AGAIN


def _code(body: bytes) -> str:
    """What a refusal is called; empty where it cannot be read."""
    try:
        return msgspec.json.decode(body, type=_Refusal).code
    except (msgspec.MsgspecError, ValueError):
        return ""


def _proof(tx: Transaction, cursor: str, size: int) -> tuple[int, list[bytes]]:
    """What the witness is thought to have seen, and the proof from there."""
    old_size = min(node_state.cursor(tx, cursor), size)
    if old_size in {0, size}:
        return old_size, []
    subtree = tiles.subtree_reader(lambda name: audit_log.tile(tx, name))
    return old_size, list(prove_consistency(old_size, size, subtree))


def _keep(tx: Transaction, cursor: str, witness: str, checkpoint: Checkpoint, answer: WitnessAnswer) -> None:
    """Note what the witness knows, and its cosignature where it gave one."""
    node_state.set_cursor(tx, cursor, checkpoint.size if answer.cosignature else answer.known_size)
    if answer.cosignature:
        audit_log.save_cosignature(tx, checkpoint.size, witness, answer.cosignature.encode())


def _cosign(
    tx: Transaction, parts: NodeParts, sender: NodeAddress, request: WitnessRequest, shown: Checkpoint
) -> WitnessAnswer | ForkedLogError:
    """The witness's rule, its memory, and its signature, in one transaction."""
    ended = _follow(tx, parts, sender, shown)
    if ended is not None:
        return ended
    seen = audit_log.witnessed_head(tx, shown.origin)
    known = Checkpoint(origin=shown.origin, size=seen[0], root=Hash(seen[1])) if seen else None
    if known is not None and known.size != request.old_size:
        return WitnessAnswer(known_size=known.size)
    try:
        check_extension(known, shown, request.proof)
    except ForkedLogError as error:
        return _told(tx, parts, sender, error)
    audit_log.witness(tx, shown.origin, shown.size, shown.root)
    line = cosign(shown, witness=parts.card.log_origin, seed=parts.keys.log_seed, at=parts.clock.now())
    return WitnessAnswer(known_size=shown.size, cosignature=line)


def _follow(tx: Transaction, parts: NodeParts, sender: NodeAddress, shown: Checkpoint) -> ForkedLogError | None:
    """Note that a node goes on in a new incarnation; from then on none before it may show its log again."""
    cursor = f"incarnation:{sender}"
    card, known = parts.directory.nodes[sender], node_state.cursor(tx, cursor)
    number = card.incarnation_of(shown.origin) or 0
    if number < known:
        error = ForkedLogError(f"{shown.origin} goes on after {card.log_of(known)} has followed it")
        return _told(tx, parts, sender, error)
    if number > known:
        node_state.set_cursor(tx, cursor, number)
        seen = audit_log.witnessed_head(tx, card.log_of(known))
        log(
            tx,
            node_journal(
                parts,
                kind="incarnation",
                action="cosign",
                peer=str(sender),
                summary=f"{shown.origin} follows {card.log_of(known)}, seen up to {seen[0] if seen else 0}",
            ),
        )
    return None


def _told(tx: Transaction, parts: NodeParts, sender: NodeAddress, error: ForkedLogError) -> ForkedLogError:
    """``error``, once it stands in the log."""
    entry = node_journal(
        parts,
        kind="alarm",
        action="cosign",
        outcome="refused",
        peer=str(sender),
        reason=error.code,
        summary=error.detail,
    )
    log(tx, entry)
    return error


def _decode(raw: bytes) -> WitnessRequest:
    """The request, bounded."""
    if len(raw) <= REQUEST_BYTES_MAX:
        try:
            return msgspec.msgpack.decode(raw, type=WitnessRequest)
        except (msgspec.MsgspecError, ValueError):
            pass
    raise BadWitnessRequestError("not a request to cosign a checkpoint")

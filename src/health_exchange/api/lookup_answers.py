"""A look-up's result as one Bundle: each resource with its source, and an outcome for everything that is not there."""

from collections.abc import Iterator, Mapping

from health_exchange.fhir.outcomes import operation_outcome
from health_exchange.fhir.splicing import JsonBytes, fields, join_array, join_object, quote, text
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.node.lookup_results import HolderOutcome, LookupResult

NOTICE = (
    "{answered} of {asked} nodes that were asked have answered, each with proof from its log; key holders {signed} "
    "have signed for look-up {request_id}. What the person or the law keeps back is neither shown nor counted."
)


def lookup_bundle(result: LookupResult, cards: Mapping[NodeAddress, NodeCard]) -> bytes:
    """The Bundle, a searchset, joined from the very bytes that arrived.

    Args:
        result: What the look-up came to.
        cards: For the full URLs of what was found.
    """
    entries = [_found(raw, cards[outcome.node].fhir_url) for outcome in result.outcomes for raw in outcome.resources]
    members: dict[str, JsonBytes] = {
        "resourceType": b'"Bundle"',
        "type": b'"searchset"',
        "identifier": join_object({"system": b'"urn:health-exchange:look-up"', "value": quote(result.request_id)}),
        "entry": join_array([*entries, *(_told(outcome) for outcome in _outcomes(result))]),
    }
    return join_object(members)


def _found(raw: bytes, base: str) -> bytes:
    """One resource, under its name at its source."""
    members = fields(raw)
    url = f"{base}/fhir/{text(members['resourceType'])}/{text(members['id'])}"
    return join_object({"fullUrl": quote(url), "resource": raw, "search": b'{"mode":"match"}'})


def _told(outcome: bytes) -> bytes:
    """An outcome as an entry."""
    return join_object({"resource": outcome, "search": b'{"mode":"outcome"}'})


def _outcomes(result: LookupResult) -> Iterator[bytes]:
    """What has to be known about the result, what is missing first."""
    for node, why in result.lost:
        yield operation_outcome(
            severity="warning",
            code="incomplete",
            reason="directions-missing",
            diagnostics=f"{node} does not say who holds records, or not of all ({why}): records may be missing, and "
            "sensitive ones are kept back where the nation does not say what the person objects to",
        )
    if result.behind:
        yield operation_outcome(
            severity="warning",
            code="incomplete",
            reason="behind",
            diagnostics=f"not heard of lately: {', '.join(result.behind)}; records admitted there may not be known",
        )
    for outcome in result.outcomes:
        yield from _about(outcome)
    answered = sum(outcome.position is not None for outcome in result.outcomes)
    notice = NOTICE.format(
        answered=answered,
        asked=len(result.outcomes),
        signed=", ".join(result.ticket_holders),
        request_id=result.request_id,
    )
    yield operation_outcome(severity="information", code="informational", reason="look-up", diagnostics=notice)


def _about(outcome: HolderOutcome) -> Iterator[bytes]:
    """What one node did not give, or not in full."""
    node = outcome.node
    if outcome.refusal:
        yield operation_outcome(
            severity="warning", code="suppressed", reason="refused", diagnostics=f"{node}: {outcome.refusal}"
        )
    if outcome.problem:
        yield operation_outcome(
            severity="warning", code="transient", reason="not-answered", diagnostics=f"{node}: {outcome.problem}"
        )
    if outcome.is_cut:
        yield operation_outcome(
            severity="warning",
            code="too-costly",
            reason="cut",
            diagnostics=f"{node} has more than one answer carries; ask by type or period",
        )
    if outcome.waiting:
        yield operation_outcome(
            severity="warning",
            code="incomplete",
            reason="behind",
            diagnostics=f"{node}: {outcome.waiting} persons wait for their pseudonym; this one may be among them",
        )

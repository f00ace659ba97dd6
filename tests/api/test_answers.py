"""Response Bundles: laid out where they are made, or by a worker process where they are large."""

import pickle
from datetime import UTC, datetime

from health_exchange.api.answers import answer_bundle, layout_work
from health_exchange.api.wishes import Return
from health_exchange.fhir.bundle import BundleEntry
from health_exchange.model.errors import NotFoundError
from health_exchange.node.admission import BundleOutcome
from health_exchange.node.bundle_reads import ReadResult, read_asked
from health_exchange.node.reading import Kept
from health_exchange.node.snapshots import AlreadyThereError
from health_exchange.node.workers import WORTH_BYTES
from health_exchange.node.writes import WriteResult

AT = datetime(2026, 3, 1, tzinfo=UTC)
KEPT = Kept(body=b'{"resourceType":"Basic","id":"b"}', version=3, changed_at=AT)
WRITTEN = WriteResult(status=201, type="Basic", id="b", version=1, changed_at=AT, held="no-identity")
ENTRY = BundleEntry(
    full_url=None,
    method="GET",
    url="Basic/b",
    if_match=None,
    if_none_exist=None,
    if_none_match='W/"2"',
    raw=None,
    where="Bundle.entry[1]",
)
READ = read_asked(ENTRY)
OUTCOME = BundleOutcome(
    type="batch-response",
    results=[
        WRITTEN,
        ReadResult(request=READ, body=KEPT.body, kept=KEPT),
        ReadResult(request=READ, body=b'{"resourceType":"Bundle","type":"searchset"}'),
        NotFoundError("nothing is kept here", where="Bundle.entry[3]"),
        AlreadyThereError("If-None-Match: * finds a resource", where="Bundle.entry[4]"),
    ],
)


def test_an_answer_that_a_worker_lays_out_is_the_same() -> None:
    asked = (OUTCOME, "r1", Return.REPRESENTATION, {0: KEPT})
    carried = pickle.loads(pickle.dumps(asked))  # noqa: S301  # our own, in this line

    assert answer_bundle(*carried) == answer_bundle(*asked)
    assert answer_bundle(*asked).count(b'"status"') == len(OUTCOME.results)


def test_only_large_answers_are_worth_the_way_to_a_worker() -> None:
    large = Kept(body=b" " * (4 << 20), version=1, changed_at=AT)

    assert layout_work(OUTCOME, {0: KEPT}) < WORTH_BYTES
    assert layout_work(BundleOutcome(type="batch-response", results=[WRITTEN] * 500), {}) < WORTH_BYTES
    assert layout_work(BundleOutcome(type="batch-response", results=[WRITTEN] * 5_000), {}) > WORTH_BYTES
    assert layout_work(OUTCOME, {0: large}) > WORTH_BYTES

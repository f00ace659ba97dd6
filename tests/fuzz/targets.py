"""What is fuzzed: each target takes any bytes, as a door would, and ends; only failures that the door answers may come.

Whatever else comes out, is wrong where two ways to the same answer differ, or takes too long or too much, is a defect.
Inputs are texts that a person can read and write, so that one that was found becomes a regression test as it is.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.requests import Request
from tests.extraction import extract

from health_exchange.api.bodies import end_of, is_known_to_client, parse_form
from health_exchange.api.event_search import read_event_search
from health_exchange.api.lookup_door import PARAMETERS, identity_in, types_in, values_in, wanted_by
from health_exchange.api.operations import plain_pairs
from health_exchange.api.urls import refuse_identities, refuse_url
from health_exchange.api.wishes import Wishes, _part_of_bundle
from health_exchange.fhir.arguments import read_arguments
from health_exchange.fhir.jsonguard import decode_json
from health_exchange.fhir.layout import indented
from health_exchange.fhir.metas import meta_in, with_meta
from health_exchange.fhir.parameters import settle
from health_exchange.fhir.references import reference_texts
from health_exchange.fhir.subsetting import Subset, Summary
from health_exchange.fhir.validation import ResourceView, all_faults, first_fault, validate
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import NodeCard
from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.powers import Tier
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import class_of
from health_exchange.node.asking import read_query
from health_exchange.node.drafting import Drafting, Written, draft_versions
from health_exchange.node.everything import ABOUT as EVERYTHING
from health_exchange.node.everything import Continuation as EverythingFurther
from health_exchange.node.everything import read_continuation
from health_exchange.node.findings import findings_of
from health_exchange.node.intake import read_bundle
from health_exchange.node.patches import patched
from health_exchange.node.validating import judged
from health_exchange.node.writes import Target as Place
from health_exchange.node.writes import WriteRequest, make_request, read_target
from health_exchange.search.chains import is_chained
from health_exchange.search.history_pages import read_bookmark
from health_exchange.search.links import seal_link
from health_exchange.search.matching import Matcher
from health_exchange.search.pages import Continuation, read_page_token, write_page_token
from health_exchange.search.query import parse_text
from health_exchange.search.terms import PersonTerm, SearchQuery
from health_exchange.store.resources import StoredResource

SAMPLES = Path(__file__).parents[2] / "sample_records"
REWRITTEN = "Patient/p-0001"
_KEY = Secret(b"k" * 32)
_NONCE = b"n" * 12
_NOW = datetime(2026, 1, 2, tzinfo=UTC)
_AT = "2026-01-02T00:00:00.000Z"
_CALLER = "somebody"
_BASE = "https://county.example/fhir"
_CARD = NodeCard(
    address=NodeAddress.parse("cn/33/3305/330521"),
    tier=Tier.COUNTY,
    name="county",
    verifying_key=b"",
    box_key=b"",
    log_key=b"",
    exchange_url="https://county.example:8443",
    fhir_url="https://county.example",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        run: Takes any bytes; raises an ``ExchangeError`` or returns.
        is_json: Whether its inputs are mostly JSON, to be changed as a tree, too.
        bytes_max: Most bytes of an input: larger ones take longer and find no more.
    """

    run: Callable[[bytes], None]
    is_json: bool
    bytes_max: int


def attempt(target: Target, raw: bytes) -> None:
    """Run a target on an input; what a door answers is as it should be, a fault of ours is not."""
    try:
        target.run(raw)
    except ExchangeError as error:
        if error.category is Category.FAULT:
            raise
        msgspec.json.encode([error.detail, error.where])  # both are told, so both are text


def _bundle(raw: bytes) -> None:
    """A Bundle at the door, up to the drafts of what it writes."""
    intake = read_bundle(raw)
    written = [each for each in intake.requests if isinstance(each, WriteRequest) and each.raw is not None]
    _draft([(each.type, each.raw or b"", each) for each in written])


def _resource(raw: bytes) -> None:
    """One resource at the door: judged both ways, and whatever is made of one that is sound."""
    with suppress(ExchangeError):
        judged(raw, "Observation", "a", "", "")
    faults = all_faults(raw, most=1)
    try:
        view = validate(raw)
    except ExchangeError:
        assert faults, "refused, and nothing is said to be wrong with it"
        raise
    assert not faults, "taken, and something is said to be wrong with it"
    _check_parts(view)
    request = make_request(method="POST", target=Place(type=view.type), view=view)
    _draft([(view.type, view.raw, request)])


def _check_parts(view: ResourceView) -> None:
    """What is shown of a sound resource is JSON of the same type; found and said of it is text."""
    extract(view.decoded)
    findings_of(view, where=view.type)
    shown = [indented(view.raw)]
    shown += [Subset(summary=each).of(view.raw) for each in (Summary.TRUE, Summary.TEXT, Summary.DATA)]
    shown.append(Subset(summary=Summary.ELEMENTS, elements=frozenset({"code", "status", "subject"})).of(view.raw))
    for each in shown:
        decoded = decode_json(each)
        assert isinstance(decoded, dict)
        assert decoded["resourceType"] == view.type
    assert decode_json(shown[0]) == view.decoded


def _draft(written: Sequence[tuple[str, bytes, WriteRequest]]) -> None:
    """Make drafts of sound resources, with what they refer to renamed: each is still sound but for its new names."""
    given = [
        Written(type=kind, id="a", number=1, raw=raw, found=request.found)
        for kind, raw, request in written
        if request.found is not None
    ]
    rewriting = {text: REWRITTEN for each in given for text in reference_texts(each.raw)[:1]}
    key = Secret(b"t" * 32)
    draft_versions(Drafting(written=tuple(given), rewriting=rewriting, last_updated=_AT, key=key))
    for each in given:
        settle(each.found.values, rewriting)


def _patch(raw: bytes) -> None:
    """A patch, of the document behind the first NUL or else of a sample."""
    patch, separator, document = raw.partition(b"\x00")
    if separator:
        decode_json(document)
        view_type, view_id = "Basic", "a"
    else:
        document = _patched_sample()
        view_type, view_id = "Observation", "o1"
    given = WriteRequest(method="PATCH", type=view_type, id=view_id, patch=patch)
    result = patched(given, document, 1)
    assert result.raw is not None
    assert first_fault(msgspec.json.decode(result.raw), view_type) is None


@cache
def _patched_sample() -> bytes:
    """A resource with a bit of everything."""
    return json.dumps(
        {
            "resourceType": "Observation",
            "id": "o1",
            "status": "final",
            "category": [{"coding": [{"system": "urn:c", "code": "lab"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}], "text": "HbA1c"},
            "subject": {"reference": "Patient/p1"},
            "valueQuantity": {"value": 1.5, "unit": "%"},
            "note": [{"text": "a"}, {"text": "b"}],
        }
    ).encode()


def _arguments(raw: bytes) -> None:
    """Parameters for an operation, read by each: a change of a sample's meta, everything of a person, a look-up."""
    for read in (_change_meta, _ask_everything, _look_up):
        with suppress(ExchangeError):
            read(raw)
    read_arguments(raw)


def _change_meta(raw: bytes) -> None:
    """What nobody named stays as it is, and where it is; what is made is sound."""
    change = meta_in(raw)
    named = {(each.get("system"), each.get("code")) for each in json.loads(change).get("tag", ())}
    before = json.loads(_tagged_sample())["meta"]["tag"]
    for deletes in (False, True):
        made = json.loads(with_meta(_tagged_sample(), change, deletes=deletes))
        after = made["meta"].get("tag", [])
        kept = [each for each in before if not deletes or (each.get("system"), each.get("code")) not in named]
        assert after[: len(kept)] == kept
        assert first_fault({**made, "meta": made["meta"] | {"versionId": "1"}}, "Basic") is None


def _ask_everything(raw: bytes) -> None:
    """What a person's everything is asked by in a body."""
    assert EverythingFurther.begun("p1", plain_pairs(raw), _NOW).filter is not None


def _look_up(raw: bytes) -> None:
    """Whom to look up."""
    given = values_in(raw, PARAMETERS)
    wanted_by(given, identity_in(given), types_in(given))


@cache
def _tagged_sample() -> bytes:
    """A resource with tags that differ in what does not name them."""
    tags = [
        {"display": "a"},
        {"display": "b"},
        {"system": "urn:x", "code": "a", "version": "1"},
        {"system": "urn:x", "code": "a", "version": "2"},
    ]
    return json.dumps({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": tags}}).encode()


def _search(raw: bytes) -> None:
    """A search as it stands behind ``/fhir/``: read at the door, parsed, paged, and held against kept resources."""
    path, _mark, query = raw.partition(b"?")
    kind = path.decode("latin-1")
    if kind.startswith("~"):
        return _search_otherwise(kind[1:], query)
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "server": ("county.example", 443),
        "path": f"/fhir/{kind}",
        "query_string": query,
        "headers": [(b"prefer", b"handling=lenient")] if query.endswith(b"&") else [],
    }
    request = Request(scope)
    refuse_url(request.scope["path"], request.scope["query_string"])
    wishes = Wishes.of(request)
    refuse_identities(wishes.pairs, _CARD)
    patient, _slash, resource_type = kind.rpartition("/")
    asked = read_query(
        resource_type.replace("*", ""),
        wishes.pairs,
        patient=patient.removeprefix("Patient/"),
        base=_BASE,
        lenient=wishes.lenient,
    ).query
    _check_link(asked)
    _match(asked)
    bundle = b'{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":"a"}]}'
    decode_json(_part_of_bundle(wishes.subset, wishes.general, bundle))
    return None


def _search_otherwise(kind: str, query: bytes) -> None:
    """Other readers of what stands in URLs and forms: of conditions, events, writes, forms and headers."""
    pairs = parse_form(query)
    text = query.decode("latin-1")
    match kind:
        case "events":
            read_event_search(pairs)
        case "everything":
            assert EverythingFurther.begun("p1", pairs, _NOW).filter is not None
        case "target":
            target = read_target(text, where="Bundle.entry[0]")
            if target.condition is not None:
                parse_text(target.type, target.condition)
        case "known":
            is_known_to_client("", end_of(text), version=1, changed_at=_NOW)
        case _:
            _match(parse_text(kind, text))


def _check_link(asked: SearchQuery) -> None:
    """A search comes back from its link as it went in."""
    going_on = Continuation(query=asked, after=7, total=None, expires_at=_NOW + timedelta(hours=1))
    token = write_page_token(_KEY, going_on, caller=_CALLER, nonce=_NONCE)
    assert read_page_token(_KEY, token, caller=_CALLER, now=_NOW) == going_on


def _match(asked: SearchQuery) -> None:
    """Hold a search against kept resources of its types; chains are followed by the database."""
    if is_chained(asked) or not any(branch.type in _kept() for branch in asked.each):
        return
    persons = [
        term.pseudonym
        for branch in asked.each
        for criterion in branch.criteria
        for term in criterion.terms
        if isinstance(term, PersonTerm)
    ]
    matcher = Matcher(asked, {person: frozenset() for person in persons}, _KEY)
    for branch in asked.each:
        for kept in _kept().get(branch.type, ()):
            matcher.matches(kept)


@cache
def _kept() -> Mapping[str, Sequence[StoredResource]]:
    """Some of the sample records, by type, as they are kept."""
    found: dict[str, list[StoredResource]] = {}
    for file in sorted(SAMPLES.glob("cn-*/*.json")):
        for resource in _resources_in(json.loads(file.read_bytes())):
            of_type = found.setdefault(resource["resourceType"], [])
            if len(of_type) < 3:  # a few are enough, and fast
                of_type.append(_stored(len(of_type), resource))
    return MappingProxyType(found)


def _resources_in(record: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # any JSON
    return [entry["resource"] for entry in record.get("entry", []) if "resource" in entry]


def _stored(rid: int, resource: Mapping[str, Any]) -> StoredResource:
    kind = resource["resourceType"]
    return StoredResource(
        rid=rid,
        type=kind,
        id=f"r{rid}",
        sid=1,
        origin="",
        version=1,
        resource_class=class_of(kind, 2, "general", "CN"),
        changed_at=_AT,
        instant=None,
        deleted=False,
        body=json.dumps(resource).encode(),
    )


def _link(raw: bytes) -> None:
    """A link's token: one that anybody writes, and one of another release, sealed by our own key."""
    kind, _colon, rest = raw.partition(b":")
    about = {b"history": b"history-pages", b"everything": EVERYTHING}.get(kind, b"search-pages")
    token = rest.decode("latin-1") if kind == b"token" else ""
    if not token:
        token = seal_link(_KEY, len(rest), rest, about=about, caller=_CALLER, nonce=_NONCE)
    if about == b"history-pages":
        read_bookmark(_KEY, token, caller=_CALLER, now=_NOW)
    elif about == EVERYTHING:
        read_continuation(_KEY, token, person="p1", caller=_CALLER, now=_NOW)
    else:
        read_page_token(_KEY, token, caller=_CALLER, now=_NOW)


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "bundle": Target(_bundle, is_json=True, bytes_max=4_000),
        "resource": Target(_resource, is_json=True, bytes_max=2_500),
        "patch": Target(_patch, is_json=True, bytes_max=2_000),
        "arguments": Target(_arguments, is_json=True, bytes_max=2_000),
        "search": Target(_search, is_json=False, bytes_max=600),
        "link": Target(_link, is_json=False, bytes_max=1_000),
    }
)
"""Every target by its name."""

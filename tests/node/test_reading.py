"""Reading under policy: what callers get, what they are refused, and what the log says of both."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.extraction import extract
from tests.tombstones import delete_resource

from health_exchange.audit.entries import AuditEntry, Facts, decode_entry
from health_exchange.crypto.keyset import NodeKeys
from health_exchange.crypto.signatures import ed25519_public
from health_exchange.datacenter.person import Group, person_view
from health_exchange.datacenter.population import population_view
from health_exchange.fhir.parameters import instant_of
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.directory import HolderCard, KeyCard, NetworkDirectory, NodeCard
from health_exchange.model.errors import Category, ExchangeError, ForbiddenError, NotFoundError
from health_exchange.model.identifiers import Pseudonym, RequestId, StreamId
from health_exchange.model.powers import Power, Tier
from health_exchange.model.purposes import Purpose
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.node.asking import IdentityNotSeenHereError
from health_exchange.node.callers import Caller
from health_exchange.node.everything import Everything
from health_exchange.node.holders import Holders
from health_exchange.node.journal import SALT_BYTES
from health_exchange.node.membership import Membership
from health_exchange.node.parts import NodeParts
from health_exchange.node.pseudonyms import PseudonymClient
from health_exchange.node.reading import GoneError
from health_exchange.node.searching import Searching
from health_exchange.node.statistics import Statistics
from health_exchange.peers.in_process import InProcessTransport
from health_exchange.policy.consent_rules import EVERYTHING, ConsentRules, Objection, write_rules
from health_exchange.policy.decisions import Principal
from health_exchange.policy.engine import PolicySet
from health_exchange.protocol.directories import make_directory
from health_exchange.pseudonym.cache import cache_tag, seal_name
from health_exchange.pseudonym.dealing import generate_key
from health_exchange.pseudonym.identities import check_digit, read_identity
from health_exchange.pseudonym.threshold import Name
from health_exchange.search.links import BadPageError
from health_exchange.search.query import UnknownParameterError
from health_exchange.search.tokens import tokens_of
from health_exchange.search.values import BadSearchError
from health_exchange.store import audit_log, engine, identity_cache, resources, subjects
from health_exchange.store.bodies import pack_body
from health_exchange.store.database import TooSlowError
from health_exchange.store.engine import Store, StoreKeys, Transaction

POLICIES = Path(__file__).parents[2] / "policies"
COUNTY, NATION = NodeAddress.parse("cn/33/3305/330521"), NodeAddress.parse("cn")
ANNE, BO = Pseudonym("a" * 26), Pseudonym("b" * 26)
NATIONAL = "urn:oid:2.16.156.10011.1.3"
FIRST = "00000019900101123"
NUMBER = FIRST + check_digit(FIRST)


class ManualClock:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def caller(kind: str, purpose: Purpose = Purpose.TREATMENT) -> Caller:
    return Caller(principal=Principal(kind=kind, id=f"the-{kind}"), purpose=purpose, request_id=RequestId("r1"))


VIEWER, FACILITY, AUDITOR = caller("viewer"), caller("facility"), caller("auditor", Purpose.AUDIT)
RESEARCHER = caller("researcher", Purpose.RESEARCH)


@dataclass(kw_only=True)
class Node:
    parts: NodeParts
    reading: Searching
    clock: ManualClock

    def keep(
        self,
        resource: Mapping[str, object],
        person: Pseudonym | None = ANNE,
        *,
        sensitivity: int = 3,
        origin: str = str(COUNTY),
    ) -> None:
        def write(tx: Transaction) -> None:
            resource_type, resource_id = str(resource["resourceType"]), str(resource["id"])
            now = resources.current(tx, resource_type, resource_id)
            resources.put(
                tx,
                resources.NewVersion(
                    type=resource_type,
                    id=resource_id,
                    sid=subjects.find_or_make_subject(tx, pseudonym=person).sid if person else None,
                    origin=origin,
                    version=now.version + 1 if now else 1,
                    resource_class=ResourceClass(
                        type=resource_type,
                        sensitivity=Sensitivity(sensitivity),
                        category=SensitiveCategory.GENERAL,
                        jurisdiction=origin,
                    ),
                    changed_at=self.clock.now().isoformat(),
                    instant=instant_of(dict(resource)),
                    tokens=tokens_of(self.parts.keys.tokens, resource_type, extract(dict(resource))),
                    packed=pack_body(str(resource["resourceType"]), json.dumps(resource).encode()),
                ),
            )

        self.parts.store.write_now(write)

    def log(self) -> list[AuditEntry]:
        end = self.parts.store.read_now(audit_log.size)
        entries = self.parts.store.read_now(lambda tx: audit_log.entries(tx, 0, end))
        return [decode_entry(entry.raw[SALT_BYTES:]) for entry in entries if entry.raw is not None]

    async def search(self, resource_type: str, *pairs: tuple[str, str], by: Caller = VIEWER) -> dict[str, object]:
        found: dict[str, object] = json.loads(await self.reading.search(resource_type, list(pairs), by))
        return found


MakeNode = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    opened: list[Store] = []

    def make(address: NodeAddress, tier: Tier, *, inline: bool = True) -> Node:
        clock, randomness = ManualClock(), Random(1).randbytes
        keys = NodeKeys.generate(randomness)
        card = NodeCard(
            address=address,
            tier=tier,
            name="node",
            verifying_key=keys.signing.public.raw,
            box_key=keys.box.public_raw,
            log_key=ed25519_public(keys.log_seed),
            exchange_url="https://node.example:2",
            fhir_url="https://node.example",
        )
        url = f"sqlite:///{tmp_path}/{'-'.join(address.segments)}.db"
        store_keys = StoreKeys(at_rest=keys.at_rest, tokens=keys.tokens)
        store = Store.open(url, store_keys, clock, randomness, inline=inline)
        opened.append(store)
        key = generate_key(threshold=1, holders=1, randomness=randomness)
        holder = HolderCard(address=address, index=1, share_public=key.share_publics[1])
        key_card = KeyCard(epoch=1, share_version=1, threshold=1, public=key.public, holders=(holder,))
        signed = make_directory(NetworkDirectory(nodes={address: card}, key=key_card), keys.signing)
        parts = NodeParts(
            membership=Membership(address=address, nation=keys.signing.public, signed=signed, keys=keys, clock=clock),
            stream=StreamId("0" * 32),
            policies=PolicySet.load(
                {path.stem: path.read_text("utf-8") for path in POLICIES.glob("*.cedar")},
                (POLICIES / "schema.cedarschema").read_text("utf-8"),
            ),
            store=store,
            transport=InProcessTransport(
                address=address, seed=lambda: keys.log_seed, clock=clock, randomness=randomness, doors={}
            ),
            clock=clock,
            randomness=randomness,
        )
        pseudonyms = PseudonymClient(parts, Holders(parts)) if card.may(Power.SEES_NATIONAL_IDS) else None
        return Node(parts=parts, reading=Searching(parts, pseudonyms), clock=clock)

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def nation(make_node: MakeNode) -> Node:
    return make_node(NATION, Tier.NATION)


@pytest.fixture
def county(make_node: MakeNode) -> Node:
    return make_node(COUNTY, Tier.COUNTY)


def condition(resource_id: str, code: str = "I10", date: str = "2024-05-06") -> dict[str, object]:
    return {
        "resourceType": "Condition",
        "id": resource_id,
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "onsetDateTime": date,
    }


def patient(resource_id: str, number: str, system: str = NATIONAL) -> dict[str, object]:
    return {"resourceType": "Patient", "id": resource_id, "identifier": [{"system": system, "value": number}]}


def ids_of(bundle: Mapping[str, object]) -> list[str]:
    entries = bundle.get("entry", [])
    assert isinstance(entries, list)
    return [entry["resource"]["id"] for entry in entries]


def link(bundle: Mapping[str, object], relation: str) -> str | None:
    links = bundle["link"]
    assert isinstance(links, list)
    return next((one["url"] for one in links if one["relation"] == relation), None)


async def test_a_read_gives_the_bytes_and_leaves_an_entry_about_the_person(nation: Node) -> None:
    nation.keep(condition("c1"))
    kept = await nation.reading.read("Condition", "c1", VIEWER)
    assert kept.body == json.dumps(condition("c1")).encode()
    assert (kept.version, kept.changed_at) == (1, nation.clock.now())
    entry = nation.log()[-1]
    assert (entry.action, entry.outcome, tuple(entry.subjects)) == ("read", "allowed", (ANNE,))
    assert entry.principal == "the-viewer"


async def test_a_refused_resource_and_an_absent_one_look_alike(nation: Node) -> None:
    nation.keep(condition("secret"), sensitivity=5)
    heard = []
    for resource_id in ("secret", "absent"):
        with pytest.raises(NotFoundError) as caught:
            await nation.reading.read("Condition", resource_id, VIEWER)
        heard.append((caught.value.code, caught.value.detail, caught.value.where))
    assert heard[0] == heard[1]
    assert [entry.outcome for entry in nation.log()[-2:]] == ["refused", "failed"]


async def test_a_caller_who_may_see_nothing_is_told_so_whether_or_not_it_is_there(nation: Node) -> None:
    nation.keep(condition("c1"))
    for by in (AUDITOR, RESEARCHER):
        for ask in (
            lambda by=by: nation.reading.read("Condition", "c1", by),
            lambda by=by: nation.reading.read("Condition", "absent", by),
            lambda by=by: nation.reading.search("Condition", [], by),
            lambda by=by: Everything(nation.parts).page(ANNE, [], by),
            lambda by=by: Everything(nation.parts).page("z" * 26, [], by),
        ):
            with pytest.raises(ForbiddenError) as caught:
                await ask()
            assert caught.value.detail
            entry = nation.log()[-1]
            assert (entry.outcome, entry.principal) == ("refused", by.principal.id)
            assert entry.reason


async def test_former_versions_are_read_but_never_around_a_raised_sensitivity(nation: Node) -> None:
    nation.keep(condition("c1"))
    nation.keep(condition("c1", code="I11"))
    assert b"I10" in (await nation.reading.vread("Condition", "c1", 1, VIEWER)).body
    assert b"I11" in (await nation.reading.vread("Condition", "c1", 2, VIEWER)).body
    with pytest.raises(NotFoundError):
        await nation.reading.vread("Condition", "c1", 3, VIEWER)
    nation.keep(condition("c1", code="B20"), sensitivity=5)
    with pytest.raises(NotFoundError):
        await nation.reading.vread("Condition", "c1", 1, VIEWER)


def say(node: Node, person: Pseudonym, *objections: Objection) -> None:
    """What a person says, kept as admission and reception keep it."""

    def write(tx: Transaction) -> None:
        for subject in subjects.subjects_of(tx, person):
            subjects.set_consent(tx, subject.sid, write_rules(ConsentRules(objections=objections)))

    node.parts.store.write_now(write)


def at_organization(name: str) -> Caller:
    return replace(VIEWER, principal=replace(VIEWER.principal, organization=name))


async def test_a_patients_id_names_the_person_only_to_those_whom_the_persons_objection_does_not_bind(
    nation: Node,
) -> None:
    nation.keep({"resourceType": "Patient", "id": "p1"})
    nation.keep(condition("c1"))
    say(nation, ANNE, Objection(kinds=tuple(sorted(EVERYTHING)), organizations=("bound",)))
    free, bound = (
        replace(VIEWER, principal=replace(VIEWER.principal, organization=name)) for name in ("free", "bound")
    )

    assert json.loads(await Everything(nation.parts).page("p1", [], free))["total"] == 2
    with pytest.raises(NotFoundError):
        await Everything(nation.parts).page("p1", [], bound)
    refused = nation.log()[-1]
    assert (refused.outcome, refused.subjects) == ("refused", (ANNE,))
    assert isinstance(refused.facts, Facts)
    assert refused.facts.consent == "deny:*"


async def test_a_former_version_is_not_read_around_an_objection_to_the_date_it_has_now(nation: Node) -> None:
    nation.keep(condition("c1", date="2020-05-06"))
    nation.keep(condition("c1", date="2024-05-06"))
    say(nation, ANNE, Objection(kinds=tuple(sorted(EVERYTHING)), data_since="2024-01-01T00:00:00.000000Z"))
    by = at_organization("any")

    for version in (1, 2):
        with pytest.raises(NotFoundError):
            await nation.reading.vread("Condition", "c1", version, by)


async def test_what_was_deleted_is_gone(nation: Node) -> None:
    nation.keep(condition("c1"))
    kept = nation.parts.store.read_now(lambda tx: resources.current(tx, "Condition", "c1"))
    assert kept is not None
    at = nation.clock.now().isoformat()
    nation.parts.store.write_now(lambda tx: delete_resource(tx, kept, version=2, changed_at=at))
    with pytest.raises(GoneError) as caught:
        await nation.reading.read("Condition", "c1", VIEWER)
    assert caught.value.category is Category.GONE
    assert ids_of(await nation.search("Condition")) == []


async def test_a_search_gives_what_policy_permits_with_a_total_that_tells_of_nothing_else(nation: Node) -> None:
    for number in range(6):
        nation.keep(condition(f"c{number}"), BO if number == 2 else ANNE, sensitivity=5 if number % 2 else 3)
    bundle = await nation.search("Condition", ("code", "I10"), ("_count", "2"))
    assert (ids_of(bundle), bundle["total"], bundle["type"]) == (["c4", "c2"], 3, "searchset")
    assert link(bundle, "self") == "https://node.example/fhir/Condition?code=I10&_count=2"
    following = link(bundle, "next")
    assert following is not None
    second = await nation.search("Condition", *parse_qsl(urlsplit(following).query))
    assert (ids_of(second), second["total"], link(second, "next")) == (["c0"], 3, None)
    assert [tuple(entry.subjects) for entry in nation.log()[-2:]] == [(ANNE, BO), (ANNE,)]


async def test_a_page_belongs_to_its_caller_its_type_and_its_hour(nation: Node) -> None:
    for number in range(3):
        nation.keep(condition(f"c{number}"))
    following = link(await nation.search("Condition", ("_count", "1")), "next")
    assert following is not None
    pairs = parse_qsl(urlsplit(following).query)
    for resource_type, asked, by in [
        ("Condition", pairs, caller("facility")),
        ("Observation", pairs, VIEWER),
        ("Condition", [*pairs, ("code", "x")], VIEWER),
    ]:
        with pytest.raises(BadPageError):
            await nation.reading.search(resource_type, asked, by)
    nation.clock.at += timedelta(hours=2)
    with pytest.raises(BadPageError):
        await nation.reading.search("Condition", pairs, VIEWER)


@pytest.mark.parametrize(
    ("resource_type", "pairs", "error"),
    [
        ("Condition", [("name", "x")], UnknownParameterError),
        ("Condition", [("code:in", "x")], UnknownParameterError),
        ("Condition", [("_count", "x")], BadSearchError),
        ("Condition", [("code", NUMBER)], BadSearchError),
        ("Nonsense", [], NotFoundError),
    ],
)
async def test_what_is_not_offered_is_refused_and_no_number_comes_back(
    nation: Node, resource_type: str, pairs: list[tuple[str, str]], error: type[ExchangeError]
) -> None:
    with pytest.raises(error) as caught:
        await nation.reading.search(resource_type, pairs, VIEWER)
    assert NUMBER not in str(caught.value)


async def test_a_count_of_zero_gives_the_total_alone(nation: Node) -> None:
    nation.keep(condition("c1"))
    bundle = await nation.search("Condition", ("_count", "0"))
    assert (ids_of(bundle), bundle["total"]) == ([], 1)


def remember(node: Node, pseudonym: Pseudonym) -> None:
    """The node has resolved the number before."""
    identity = read_identity(NATIONAL, NUMBER)
    assert identity is not None
    key = node.parts.keys.identity_cache
    tag = cache_tag(key, identity)
    sealed = seal_name(key, tag, Name(pseudonym=pseudonym, link=Secret(bytes(32))), nonce=bytes(12))
    node.parts.store.write_now(lambda tx: identity_cache.remember(tx, {tag: sealed}))


async def test_who_is_asked_for_is_in_the_log_where_the_search_is_ended_for_its_length(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    county = make_node(COUNTY, Tier.COUNTY, inline=False)
    remember(county, ANNE)
    monkeypatch.setattr(engine, "READ_S", -1)
    with pytest.raises(TooSlowError):
        await county.search("Patient", ("identifier", f"{NATIONAL}|{NUMBER}"), ("name", "x"), by=FACILITY)
    entry = county.log()[-1]
    assert (entry.outcome, entry.reason, entry.summary) == ("failed", "too-slow", "Patient by identifier, name")
    assert tuple(entry.subjects) == (ANNE,)


@pytest.mark.parametrize("text", [f"{NATIONAL}|{NUMBER}", NUMBER])
@pytest.mark.parametrize("is_known", [True, False])
async def test_at_an_admitting_node_a_national_id_finds_its_person_and_stays_out_of_log_and_links(
    county: Node, text: str, *, is_known: bool
) -> None:
    if is_known:
        remember(county, ANNE)
    county.keep(patient("p1", NUMBER), ANNE)
    county.keep(patient("p2", "other", "urn:facility"), BO)
    raw = await county.reading.search("Patient", [("identifier", text), ("_count", "1")], FACILITY)
    bundle = json.loads(raw)
    assert ids_of(bundle) == ["p1"]
    self_link = link(bundle, "self")
    assert self_link is not None
    assert NUMBER not in self_link
    again = await county.search("Patient", *parse_qsl(urlsplit(self_link).query), by=FACILITY)
    assert ids_of(again) == ["p1"]
    entry = county.log()[0]
    assert tuple(entry.subjects) == (ANNE,)
    assert NUMBER not in repr(entry)
    assert ids_of(await county.search("Patient", ("identifier", "urn:facility|other"), by=FACILITY)) == ["p2"]


async def test_asking_for_a_person_is_logged_even_where_nothing_is_found(county: Node) -> None:
    remember(county, ANNE)
    assert ids_of(await county.search("Patient", ("identifier", f"{NATIONAL}|{NUMBER}"), by=FACILITY)) == []
    assert tuple(county.log()[-1].subjects) == (ANNE,)


async def test_above_the_admitting_nodes_a_national_id_is_refused_and_the_refusal_logged(nation: Node) -> None:
    for text in (f"{NATIONAL}|{NUMBER}", NUMBER):
        with pytest.raises(IdentityNotSeenHereError) as caught:
            await nation.reading.search("Patient", [("identifier", text)], VIEWER)
        assert caught.value.category is Category.FORBIDDEN
        assert NUMBER not in str(caught.value)
        assert nation.log()[-1].outcome == "refused"
        assert NUMBER not in repr(nation.log())


async def test_everything_of_a_person_comes_from_all_sources_each_named(nation: Node) -> None:
    nation.keep(condition("c1", date="2020-01-01"))
    nation.keep(condition("c2", date="2024-01-01"), origin="cn/51/5100")
    nation.keep({**condition("c3"), "meta": {"source": "urn:health-exchange:cn/31/310115"}}, origin="cn/31/310115")
    nation.keep(condition("hidden"), sensitivity=5)
    nation.keep(condition("others"), BO)
    bundle = json.loads(await Everything(nation.parts).page(ANNE, [], VIEWER))
    assert bundle["total"] == 3
    assert [(entry["resource"]["id"], entry["resource"]["meta"]["source"]) for entry in bundle["entry"]] == [
        ("c1", f"urn:health-exchange:{COUNTY}"),
        ("c2", "urn:health-exchange:cn/51/5100"),
        ("c3", "urn:health-exchange:cn/31/310115"),
    ]
    assert tuple(nation.log()[-1].subjects) == (ANNE,)
    assert nation.log()[-1].action == "view-person"


async def test_everything_is_found_by_a_local_patient_too_and_unknown_persons_are_not(county: Node) -> None:
    county.keep(patient("p1", NUMBER))
    county.keep(condition("c1"))
    bundle = json.loads(await Everything(county.parts).page("p1", [], FACILITY))
    assert set(ids_of(bundle)) == {"p1", "c1"}
    with pytest.raises(NotFoundError):
        await Everything(county.parts).page("z" * 26, [], FACILITY)
    assert county.log()[-1].outcome == "failed"


async def test_statistics_are_shown_suppressed_to_those_who_may_and_refused_to_others(nation: Node) -> None:
    for number in range(7):
        nation.keep(condition(f"c{number}"), Pseudonym(f"{number}" * 26))
    statistics = Statistics(nation.parts)
    view = await statistics.population(RESEARCHER, population_view)
    assert view.to_json()["records"] == {"Condition": {"33": 7}}
    assert (view.persons, view.persons_across_provinces) == (7, 0)
    with pytest.raises(ForbiddenError):
        await statistics.population(FACILITY, population_view)
    assert [(entry.action, entry.outcome) for entry in nation.log()] == [
        ("view-statistics", "allowed"),
        ("view-statistics", "refused"),
    ]


async def test_the_person_view_is_made_of_what_the_caller_may_see(nation: Node) -> None:
    nation.keep(condition("c1"))
    nation.keep(condition("hidden"), sensitivity=4)
    view = await Statistics(nation.parts).person(ANNE, VIEWER, person_view)
    assert [item.id for item in view.groups[Group.CONDITIONS]] == ["c1"]
    assert nation.log()[-1].action == "view-person"

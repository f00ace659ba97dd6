"""Two nodes that differ in what policy hides, and adversaries who try to tell them apart.

One twin holds hidden records beside the visible ones: of persons who object, of a category they object to, of levels 4
and 5, raised later, deleted, of types of which nothing else is here. The other never had them. Whoever may see only the
visible ones must get the same answers from both, whatever is asked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from tests.api.door import Door
from tests.extraction import extract
from tests.federation.records import (
    NATIONAL_ID,
    condition,
    immunization,
    national_id,
    objection,
    observation,
    patient,
    transaction,
)
from tests.tombstones import delete_resource

from health_exchange.fhir.parameters import instant_of, offered_for
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym, RequestId
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.node.callers import Caller
from health_exchange.node.everything import Everything
from health_exchange.policy.decisions import Principal
from health_exchange.search.tokens import tokens_of
from health_exchange.store import resources, subjects
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Transaction

COUNTY = "cn/33/3305/330521"
FAR = "cn/51/5100"
PAGES_MAX = 5
_PAGE = re.compile(rb"_page=([a-z2-7]+)")
_NEXT = re.compile(rb'"relation":"next","url":"[^"]*\?(_page=[a-z2-7]+)"')
MANY = 140
"""More hidden records before the first visible one than a byte counts: numbers of rows must not show by their width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One version as a node above the origins holds it; ``resource`` without a body is a deletion."""

    resource: Mapping[str, Any]
    person: str
    level: int = 3
    category: SensitiveCategory = SensitiveCategory.GENERAL
    origin: str = COUNTY
    deleted: bool = False


def _person(number: int) -> str:
    return "abcdefghijklmnop"[number] * 26


OPEN_PERSONS = [_person(number) for number in range(4)]
HIDDEN_PERSON, OBJECTS_TO_A_CATEGORY = _person(8), _person(2)


def _plain(resource: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # members of JSON
    """The resource with what de-identification leaves, near enough; decimals as floats, which nothing here looks at."""
    if "valueQuantity" in resource:
        resource["valueQuantity"]["value"] = 1.5
    return resource | changes


def visible(number: int) -> Iterator[Held]:
    """What anybody who reads the unified view sees of one person."""
    person, place = OPEN_PERSONS[number], f"p{number}"
    yield Held(resource={"resourceType": "Patient", "id": place, "gender": "female"}, person=person, level=2)
    for each in range(4):
        date = f"202{each}-0{number + 1}-1{each}"
        yield Held(resource=_plain(observation(f"o{number}{each}", place), effectiveDateTime=date), person=person)
    yield Held(resource=condition(f"c{number}", place, "I10"), person=person, origin=FAR)
    yield Held(resource=immunization(f"i{number}", place), person=person, level=2)
    yield Held(resource=_plain(observation(f"o{number}0", place), status="amended"), person=person)
    yield Held(resource=_plain(observation(f"gone{number}", place)), person=person)
    yield Held(resource=_plain(observation(f"gone{number}", place)), person=person, deleted=True)


def hidden(number: int) -> Iterator[Held]:
    """What nobody sees of the same person: raised, sensitive, or objected to; and all of somebody who objects."""
    person, place, away = OPEN_PERSONS[number], f"p{number}", f"h{number}"
    psychiatric, hiv = SensitiveCategory.PSYCHIATRIC, SensitiveCategory.HIV
    yield Held(resource=condition(f"hc{number}", place, "B20"), person=person, level=5, category=hiv)
    yield Held(resource=condition(f"hd{number}", place, "F20"), person=person, level=4, category=psychiatric)
    yield Held(resource=_plain(observation(f"hr{number}", place)), person=person)
    yield Held(resource=_plain(observation(f"hr{number}", place)), person=person, level=5, category=hiv)
    yield Held(resource=_plain(observation(f"hx{number}", place)), person=person, level=4, deleted=True)
    yield Held(resource={"resourceType": "Patient", "id": f"hp{number}"}, person=person, level=5, category=hiv)
    yield Held(resource={"resourceType": "FamilyMemberHistory", "id": f"hf{number}"}, person=person, level=4)
    yield Held(resource={"resourceType": "Patient", "id": away, "gender": "male"}, person=HIDDEN_PERSON, level=2)
    yield Held(resource=_plain(observation(f"ho{number}", away)), person=HIDDEN_PERSON)
    yield Held(resource=immunization(f"hi{number}", away), person=HIDDEN_PERSON, level=2)
    if person == OBJECTS_TO_A_CATEGORY:
        yield Held(resource=condition(f"hq{number}", place, "Z00"), person=person, category=psychiatric)


def hold(door: Door, held: Held) -> None:
    """Keep one version, as reception does."""
    door.node.parts.store.write_now(lambda tx: _hold(tx, held, door.network.clock.now().isoformat()))


def object_to(door: Door, person: str, consent: str) -> None:
    """Keep what a person says."""
    door.node.parts.store.write_now(lambda tx: _object(tx, Pseudonym(person), consent))


def _object(tx: Transaction, person: Pseudonym, consent: str) -> None:
    for subject in subjects.subjects_of(tx, person):
        subjects.set_consent(tx, subject.sid, consent)


def _hold(tx: Transaction, held: Held, at: str) -> None:
    kind, place = str(held.resource["resourceType"]), str(held.resource["id"])
    now = resources.current(tx, kind, place)
    anchor = f"{held.origin}|{held.person}"
    new = resources.NewVersion(
        type=kind,
        id=place,
        sid=subjects.find_or_make_subject(tx, anchor=anchor, pseudonym=Pseudonym(held.person)).sid,
        origin=held.origin,
        version=now.version + 1 if now else 1,
        resource_class=ResourceClass(
            type=kind, sensitivity=Sensitivity(held.level), category=held.category, jurisdiction=held.origin
        ),
        changed_at=at,
        instant=instant_of(held.resource),
        tokens=tokens_of(tx.keys.tokens, kind, extract(held.resource)),
        packed=pack_body(kind, msgspec.json.encode(held.resource)),
    )
    resources.put(tx, new)
    kept = resources.current(tx, kind, place)
    if held.deleted and kept is not None:
        delete_resource(tx, kept, version=kept.version + 1, changed_at=at)


def twins_above(folder: Path, address: str) -> tuple[Door, Door]:
    """A node above the origins with hidden records, and its twin without."""
    knowing, ignorant = _doors(folder, address)
    for number in range(MANY):
        hold(knowing, Held(resource=_plain(observation(f"hm{number}", "h0")), person=HIDDEN_PERSON))
    for number in range(len(OPEN_PERSONS)):
        for held in hidden(number):
            hold(knowing, held)
        for held in visible(number):
            hold(knowing, held)
            hold(ignorant, held)
    object_to(knowing, HIDDEN_PERSON, "deny:*")
    object_to(knowing, OBJECTS_TO_A_CATEGORY, "deny:PSY")
    return knowing, ignorant


async def twins_at_the_origin(folder: Path) -> tuple[Door, Door]:
    """An admitting node whose facilities sent hidden records too, and its twin; by real admissions."""
    knowing, ignorant = _doors(folder, COUNTY)
    away = patient("h0", identity=national_id(8))
    many = [observation(f"hm{number}", "h0") for number in range(MANY)]
    await knowing.network.admit(COUNTY, transaction(away, objection("hx0", "h0"), *many), "hidden")
    for number in range(len(OPEN_PERSONS)):
        place = f"p{number}"
        seen = [
            patient(place, identity=national_id(number)),
            *(observation(f"o{number}{each}", place) for each in range(4)),
            condition(f"c{number}", place, "I10"),
            immunization(f"i{number}", place),
        ]
        secret = [condition(f"hc{number}", place, "B20"), condition(f"hd{number}", place, "F20")]
        for door in (knowing, ignorant):
            await door.network.admit(COUNTY, transaction(*seen), f"seen-{number}")
        await knowing.network.admit(COUNTY, transaction(*secret), f"secret-{number}")
    return knowing, ignorant


def _doors(folder: Path, address: str) -> tuple[Door, Door]:
    for name in ("knowing", "ignorant"):
        (folder / name).mkdir()
    return Door(folder / "knowing", address), Door(folder / "ignorant", address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: ``what`` is ``search``, ``read``, ``vread`` or ``everything``."""

    what: str
    type: str
    id: str = ""
    version: int = 0
    pairs: tuple[tuple[str, str], ...] = ()


def readers(address: str) -> Sequence[Caller]:
    """Who tries: those who may see some, and those who may see nothing."""
    kinds = [
        ("viewer", Purpose.TREATMENT),
        ("viewer", Purpose.PUBLIC_HEALTH),
        ("clinician", Purpose.TREATMENT),
        ("researcher", Purpose.RESEARCH),
    ]
    return [
        Caller(
            principal=Principal(kind=kind, id=f"the-{kind}", address=address),
            purpose=purpose,
            request_id=RequestId("adversary"),
        )
        for kind, purpose in kinds
    ]


_TYPES = ("Observation", "Observation", "Condition", "Patient", "Immunization", "FamilyMemberHistory", "Claim", "Goal")
_ODD_TYPES = ("Nonsense", "observation", "Bundle", "", "Parameters")
_KEPT = {
    "Observation": [*(f"o{number}{each}" for number in range(4) for each in range(4)), "hm0", "hm99", "ho1", "ho2"]
    + [f"{name}{number}" for name in ("hr", "hx", "gone") for number in range(4)],
    "Condition": [f"{name}{number}" for name in ("c", "hc", "hd", "hq") for number in range(4)],
    "Patient": [f"{name}{number}" for name in ("p", "hp", "h") for number in range(4)],
    "Immunization": ["i0", "i1", "i2", "hi0", "hi3"],
    "FamilyMemberHistory": ["hf0", "hf2"],
    "Consent": ["hx0", "hx1"],
}
_PLACES = ["absent", *(place for places in _KEPT.values() for place in places)]
_GOOD_DATES = ("2020", "2021-02", "2022-03-12", "2026-11-24", "2026")
_DATES = (*_GOOD_DATES, "2026-01-02T03:04:05+08:00", "1900", "2100-12", "9999", "2023-02-30", "x", "")
_PREFIXES = ("", "eq", "ne", "gt", "ge", "lt", "le")
_VALUES: Mapping[str, Sequence[str]] = {
    "_id": _PLACES,
    "patient": [f"{prefix}{letter}{number}" for prefix in ("", "Patient/") for letter in "phx" for number in range(4)],
    "subject": [f"{prefix}{letter}{number}" for prefix in ("", "Patient/") for letter in "ph" for number in range(4)],
    "code": ("14771-0", "http://loinc.org|14771-0", "B20", "F20", "http://hl7.org/fhir/sid/icd-10|I10", "I10", "Z00"),
    "category": ("laboratory", "urn:none|x", "|x"),
    "status": ("final", "amended", "completed", "active"),
    "identifier": ("urn:local|1", "http://x|h0", "p0"),
}
_MALFORMED = ("", "%", "*", "a" * 70, "\\", "'; --", "_", "Patient/", "https://x/Patient/h0", "a|b|c", "sa2020")
_COUNTS = ("0", "1", "1", "2", "2", "3", "5", "7", "20", "200", "999999")
_ANYWHERE = (("_sort", "-_lastUpdated"), ("_sort", "_id"), ("_total", "accurate"), ("_summary", "count"))
_OF_PATIENTS = (
    *_ANYWHERE,
    ("patient.gender", "male"),
    ("patient.gender:not", "female"),
    ("patient._id", "h0,h1,p1,hp1"),
    ("patient:Patient._has:Condition:patient:code", "B20"),
    ("patient._has:Observation:subject:_id", "ho1,hr1,o10"),
    ("patient:missing", "false"),
)
_AROUND: Mapping[str, Sequence[tuple[str, str]]] = {
    "Patient": (
        *_ANYWHERE,
        ("_has:Condition:patient:code", "B20,F20,I10"),
        ("_has:Condition:patient:code:not", "I10"),
        ("_has:Observation:patient:_has:Condition:focus:code", "x"),
        ("_has:Immunization:patient:status", "completed"),
        ("_revinclude", "Condition:patient"),
        ("_revinclude", "Observation:subject:Patient"),
        ("_revinclude:iterate", "FamilyMemberHistory:patient"),
        ("gender:not", "female"),
    ),
    "Observation": (
        *_OF_PATIENTS,
        ("_include", "Observation:subject"),
        ("_include", "Observation:patient:Patient"),
        ("_revinclude:iterate", "Condition:patient"),
        ("_sort", "-date"),
        ("_sort", "date,_id"),
        ("value-quantity", "gt1"),
        ("status:not", "final"),
        ("code-value-quantity", "14771-0$gt1"),
    ),
    "Condition": (*_OF_PATIENTS, ("_include", "Condition:subject"), ("code:text", "a")),
    "Immunization": (*_OF_PATIENTS, ("_include:iterate", "Immunization:patient")),
    "FamilyMemberHistory": (*_OF_PATIENTS, ("_include", "FamilyMemberHistory:patient")),
}
"""What looks beyond one resource, or deep into it: the sort of question that could tell of what is hidden."""
_UNOFFERED = re.findall(
    r"\S+",
    """
    _include _revinclude _has:Condition:patient _sort _summary _total _elements _filter _text _content _list _page
    _contained _format _security _tag _profile _source code:not code:in _count:exact patient.name subject._id _ID name
    subject:Patient.birthdate Patient.code code-value-quantity value-quantity focus.status
    """,
)


def every_read() -> Iterator[Ask]:
    """Each record of either twin asked for by its place: whether it is there, in each version, and whose it is."""
    for kind, places in {**_KEPT, "Claim": ["absent"]}.items():
        for place in places:
            yield Ask(what="read", type=kind, id=place)
            yield Ask(what="everything", type="Patient", id=place)
            yield Ask(what="search", type=kind, pairs=(("_id", place),))
            for version in range(4):
                yield Ask(what="vread", type=kind, id=place, version=version)
    for number in range(10):
        yield Ask(what="everything", type="Patient", id=_person(number))


class Adversary:
    """Makes requests that might tell; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)

    def ask(self) -> Ask:
        """The next request."""
        dice = self._dice
        what = dice.choices(("search", "read", "vread", "everything"), (70, 11, 11, 8))[0]
        kind = dice.choice(_ODD_TYPES) if dice.random() < 0.02 else dice.choice(_TYPES)
        if what == "search":
            return Ask(what=what, type=kind, pairs=tuple(self._pairs(kind)))
        if what == "everything":
            person = dice.choice((dice.choice(_PLACES), _person(dice.randrange(10)), dice.choice(_PLACES).upper()))
            return Ask(what=what, type="Patient", id=person)
        place = dice.choice(_KEPT.get(kind, _PLACES) if dice.random() < 0.9 else _PLACES)
        return Ask(what=what, type=kind, id=place, version=dice.randrange(5))

    def choose(self, callers: Sequence[Caller]) -> Caller:
        """Who asks next; mostly somebody who may see something."""
        return self._dice.choices(callers, (6, 3, 5, 1))[0]

    def _pairs(self, kind: str) -> Iterator[tuple[str, str]]:
        dice = self._dice
        for _each in range(dice.choices((0, 1, 2, 3), (2, 5, 3, 1))[0]):
            yield self._pair(kind)
        if dice.random() < 0.7:
            yield "_count", dice.choice(_COUNTS) if dice.random() < 0.97 else dice.choice(("-1", "x", ""))
        if dice.random() < 0.35:
            yield dice.choice(_AROUND.get(kind, _ANYWHERE))
        if dice.random() < 0.04:
            yield dice.choice(_UNOFFERED), dice.choice((*_PLACES, "Observation:subject", "-date"))

    def _pair(self, kind: str) -> tuple[str, str]:
        dice = self._dice
        asked = {*_VALUES, "date", "_lastUpdated"}
        offered = sorted((offered_for(kind) & asked if dice.random() < 0.97 else asked) or asked)
        name = dice.choice(offered)
        return name, ",".join(self._value(name) for _each in range(dice.choices((1, 2, 4), (6, 2, 1))[0]))

    def _value(self, name: str) -> str:
        dice = self._dice
        if dice.random() < 0.02:
            return dice.choice(_MALFORMED)
        if name in _VALUES:
            return dice.choice(_VALUES[name])
        return dice.choice(_PREFIXES) + dice.choice(_GOOD_DATES if dice.random() < 0.9 else _DATES)


async def answers(door: Door, ask: Ask, caller: Caller) -> list[object]:
    """Everything that a caller gets for a request: each page, or the error, without what is random by design."""
    reading, pairs, seen = door.node.reading, list(ask.pairs), list[object]()
    try:
        if ask.what == "read":
            kept = await reading.read(ask.type, ask.id, caller)
            return [(kept.body, kept.version, kept.changed_at)]
        if ask.what == "vread":
            kept = await reading.vread(ask.type, ask.id, ask.version, caller)
            return [(kept.body, kept.version, kept.changed_at)]
        if ask.what == "everything":
            return [await Everything(door.node.parts).page(ask.id, [], caller)]
        while len(seen) < PAGES_MAX:
            page = await reading.search(ask.type, pairs, caller)
            seen.append(without_randomness(page))
            following = _NEXT.search(page)
            if following is None:
                break
            pairs = parse_qsl(following[1].decode())
    except ExchangeError as error:
        seen.append((type(error).__name__, error.category, error.code, error.detail, error.where, error.retry_after_s))
    return seen


def without_randomness(body: bytes) -> bytes:
    """Links to pages are sealed under a random nonce; all that they show is their length."""
    return _PAGE.sub(lambda match: b"_page=%d" % len(match[1]), body)


def _as_http(ask: Ask, dice: Random) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers and body of a request over HTTP, in one of the forms that it can have."""
    form = urlencode(ask.pairs)
    conditional = {"if-none-match": 'W/"1"', "if-modified-since": "Tue, 24 Nov 2026 08:00:00 GMT"}
    if ask.what == "search" and dice.random() < 0.4:
        return "POST", f"/fhir/{ask.type}/_search", {"content-type": "application/x-www-form-urlencoded"}, form.encode()
    method = "HEAD" if dice.random() < 0.05 else "GET"
    if ask.what == "search":
        return method, f"/fhir/{ask.type}?{form}", {}, b""
    if ask.what == "everything":
        return method, dice.choice((f"/fhir/Patient/{ask.id}/$everything", f"/datacenter/v1/persons/{ask.id}")), {}, b""
    path = f"/fhir/{ask.type}/{ask.id}" + (f"/_history/{ask.version}" if ask.what == "vread" else "")
    return method, path, conditional if dice.random() < 0.3 else {}, b""


def _write(ask: Ask, dice: Random) -> tuple[str, str, dict[str, str], bytes]:
    """A write by somebody who may not: what stands in its way must not depend on what is kept."""
    resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    seek = f"Patient?identifier={NATIONAL_ID}|{national_id(8)}"
    headers = {"content-type": "application/fhir+json"}
    match dice.randrange(5):
        case 0:
            headers["if-none-exist"] = f"_id={ask.id}"
            return "POST", "/fhir/Observation", headers, msgspec.json.encode(resource)
        case 1:
            headers["if-match"] = 'W/"1"'
            return "PUT", f"/fhir/Observation/{ask.id}", headers, msgspec.json.encode(resource | {"id": ask.id or "x"})
        case 2:
            return "DELETE", f"/fhir/{ask.type}/{ask.id}", headers, b""
        case 3:
            return "PATCH", f"/fhir/{ask.type}/{ask.id}", headers, b"[]"
        case _:
            entry = {
                "resource": resource | {"subject": {"reference": seek}},
                "request": {"method": "POST", "url": "Observation", "ifNoneExist": f"_id={ask.id}"},
            }
            bundle = {"resourceType": "Bundle", "type": dice.choice(("batch", "transaction")), "entry": [entry]}
            return "POST", "/fhir", headers, msgspec.json.encode(bundle)


def http_request(ask: Ask, dice: Random) -> tuple[str, str, dict[str, str], bytes]:
    """The same over HTTP; now and then a write, or a search by national ID, in its place."""
    if dice.random() < 0.1:
        return _write(ask, dice)
    if dice.random() < 0.05:
        pairs = (("identifier", f"{NATIONAL_ID}|{national_id(dice.choice((0, 3, 8, 9)))}"), ("_count", "1"))
        return _as_http(Ask(what="search", type="Patient", pairs=pairs), dice)
    return _as_http(ask, dice)


async def http_answers(
    door: Door, token: Mapping[str, str], request: tuple[str, str, dict[str, str], bytes]
) -> list[object]:
    """Everything that comes back, with the pages that follow."""
    method, path, headers, body = request
    seen = list[object]()
    while len(seen) < PAGES_MAX:
        sent = {"Authorization": token["Authorization"], "X-Request-Id": "adversary"} | headers
        answer = await door.http.request(method, path, headers=sent, content=body)
        seen.append((answer.status_code, sorted(answer.headers.items()), without_randomness(answer.content)))
        following = _NEXT.search(answer.content)
        if following is None:
            break
        method, path, headers, body = (
            "GET",
            f"/fhir/{path.split('/')[2].split('?')[0]}?{following[1].decode()}",
            {},
            b"",
        )
    return seen

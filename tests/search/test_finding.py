import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.search.records import ANNE, BO, LOINC, ask, count, delete, kept, observation
from tests.tombstones import delete_resource

from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.search.finding import candidate_versions, find, find_among, find_bare, of_subjects, pseudonyms_of
from health_exchange.search.matching import decoded
from health_exchange.search.permission import Permitted
from health_exchange.search.query import UnknownParameterError, parse_pairs
from health_exchange.search.spans import Comparator, compare, span_of
from health_exchange.search.terms import Criterion, KeyedTerm, PersonTerm, SearchQuery
from health_exchange.search.tokens import code_form, token_of
from health_exchange.search.values import BadSearchError
from health_exchange.store import resources, subjects
from health_exchange.store.engine import Store

KEYS_TOKENS = Secret(b"t" * 32)
Keep = Callable[..., int]
Permit = Callable[[int], Permitted]


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([], ["o3", "o2", "o1"]),
        ([("code", "4548-4")], ["o2", "o1"]),
        ([("code", f"{LOINC}|4548-4")], ["o2", "o1"]),
        ([("code", f"{LOINC}|HBA1C")], []),
        ([("code", "|bare")], ["o3", "o2", "o1"]),
        ([("code", "|HBA1C")], []),
        ([("code", "4548-4,718-7")], ["o3", "o2", "o1"]),
        ([("code", "4548-4"), ("code", "718-7")], []),
        ([("code", "4548-4"), ("patient", "p2")], ["o2"]),
        ([("patient", "Patient/p1")], ["o3", "o1"]),
        ([("subject", "p1")], ["o3", "o1"]),
        ([("subject", "Patient/p1")], ["o3", "o1"]),
        ([("subject", "Group/p1")], []),
        ([("category", "laboratory"), ("status", "final")], ["o3", "o2", "o1"]),
        ([("status", "amended")], []),
        ([("status", "http://hl7.org/fhir/observation-status|final")], ["o3", "o2", "o1"]),
        ([("status", "http://hl7.org/fhir/event-status|final")], []),
        ([("status", "|final")], ["o3", "o2", "o1"]),
        ([("code", "urn:local|")], ["o3", "o2", "o1"]),
        ([("code:not", "718-7"), ("subject:missing", "false")], ["o2", "o1"]),
        ([("subject", "Patient/p1/_history/2")], []),
        ([("identifier", "urn:lab|L2")], ["o2"]),
        ([("identifier", "L2")], ["o2"]),
        ([("identifier", "|plain")], ["o3", "o2", "o1"]),
        ([("identifier", "|L2")], []),
        ([("_id", "o1,o3,o9")], ["o3", "o1"]),
        ([("date", "2024")], ["o2", "o1"]),
        ([("date", "ge2024-05"), ("date", "lt2024-06")], ["o1"]),
        ([("date", "gt2024")], ["o3"]),
        ([("date", "ne2024-05-06")], ["o3", "o2"]),
        ([("_lastUpdated", "2026-01-01")], ["o3", "o2", "o1"]),
        ([("_lastUpdated", "gt2026-01-01")], []),
        ([("_lastUpdated", "9999")], []),
        ([("_lastUpdated", "le9999-12-31")], ["o3", "o2", "o1"]),
        ([("_lastUpdated", "0001")], []),
        ([("_lastUpdated", "le2026-01-01T08:00:00+08:00")], ["o3", "o2", "o1"]),
    ],
)
def test_what_is_asked_is_what_is_found_and_counted(
    store: Store, keep: Keep, permit: Permit, pairs: list[tuple[str, str]], found: list[str]
) -> None:
    keep(observation(1), person=ANNE)
    keep(observation(2, patient="p2", date="2024-07-01T10:00:00+08:00"), person=BO)
    keep(observation(3, code="718-7", date="2025-01-01"), person=ANNE)
    assert ask(store, permit(5), *pairs) == found
    assert count(store, permit(5), *pairs) == len(found)


def test_what_policy_withholds_is_neither_found_nor_counted_nor_paged(store: Store, keep: Keep, permit: Permit) -> None:
    for number in range(1, 7):
        keep(observation(number), person=ANNE, sensitivity=5 if number % 2 else 3)
    assert ask(store, permit(3)) == ["o6", "o4", "o2"]
    assert count(store, permit(3)) == count(store, permit(3), ("date", "2024")) == 3
    query = parse_pairs("Observation", [("_count", "3")])
    assert store.read_now(lambda tx: find(tx, query, permit(3)).after) is None
    assert ask(store, Permitted()) == []
    assert count(store, Permitted()) == 0


def test_a_subject_whose_consent_class_is_not_permitted_is_not_seen(store: Store, keep: Keep, permit: Permit) -> None:
    keep(observation(1), person=ANNE)
    keep(observation(2), person=BO)
    before = permit(5)
    sid = store.read_now(lambda tx: subjects.subjects_of(tx, Pseudonym(BO))[0].sid)
    store.write_now(lambda tx: subjects.set_consent(tx, sid, "deny-all"))
    assert ask(store, before) == ["o1"]
    assert ask(store, permit(5)) == ["o2", "o1"]


def test_a_deleted_resource_is_not_found_and_a_changed_one_by_its_new_values_only(
    store: Store, keep: Keep, permit: Permit
) -> None:
    keep(observation(1), person=ANNE)
    keep(observation(2), person=ANNE)
    keep(observation(1, code="718-7"), person=ANNE)
    assert ask(store, permit(5), ("code", "4548-4")) == ["o2"]
    assert ask(store, permit(5), ("code", "718-7")) == ["o1"]
    kept = store.read_now(lambda tx: resources.current(tx, "Observation", "o2"))
    assert kept is not None
    store.write_now(lambda tx: delete_resource(tx, kept, version=2, changed_at="2026-01-02T00:00:00+00:00"))
    assert ask(store, permit(5)) == ["o1"]


def test_a_person_or_a_token_stands_for_an_identity(store: Store, keep: Keep, permit: Permit) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:id", "value": "X1"}]}
    keep(patient, person=ANNE)
    keep({**patient, "id": "p2", "identifier": [{"system": "urn:id", "value": "X2"}]}, person=BO)
    token = token_of(KEYS_TOKENS, "Patient", "identifier", code_form("urn:id", "X2"))
    cases: list[tuple[tuple[PersonTerm | KeyedTerm, ...], list[str]]] = [
        ((PersonTerm(ANNE),), ["p1"]),
        ((KeyedTerm(token),), ["p2"]),
        ((PersonTerm(ANNE), KeyedTerm(token)), ["p2", "p1"]),
        ((PersonTerm("c" * 26),), []),
    ]
    for terms, found in cases:
        query = SearchQuery(type="Patient", criteria=(Criterion(name="identifier", terms=terms),))
        page = store.read_now(lambda tx, query=query: find(tx, query, permit(5)))  # type: ignore[misc]  # bound in this loop
        assert [kept.id for kept in page.resources] == found


def test_everything_of_a_person_comes_latest_first_and_under_policy(store: Store, keep: Keep, permit: Permit) -> None:
    keep(observation(1, date="2020-01-01"), person=ANNE)
    keep(observation(2, date="2024-01-01"), person=ANNE)
    keep(observation(3, date="2022-01-01"), person=ANNE, sensitivity=5)
    keep(observation(4), person=BO)
    sids = store.read_now(lambda tx: [subject.sid for subject in subjects.subjects_of(tx, Pseudonym(ANNE))])
    found = store.read_now(lambda tx: [kept.id for kept in of_subjects(tx, sids, permit(3), 10)])
    assert found == ["o2", "o1"]
    everyone = store.read_now(lambda tx: of_subjects(tx, [subjects.DIRECTORY_SID, *sids], permit(3), 10))
    assert pseudonyms_of(everyone) == (ANNE,)


def test_a_condition_finds_all_matches_and_notices_every_change(store: Store, keep: Keep) -> None:
    condition = ("Observation", "identifier=urn:lab%7CL1")
    assert store.read_now(lambda tx: find_bare(tx, *condition)) == []
    nothing = store.read_now(lambda tx: candidate_versions(tx, *condition))
    keep(observation(1), person=ANNE)
    keep(observation(2), person=ANNE)
    assert [each.id for each in store.read_now(lambda tx: find_bare(tx, *condition))] == ["o1"]
    one = store.read_now(lambda tx: candidate_versions(tx, *condition))
    keep(observation(1), person=ANNE)
    again = store.read_now(lambda tx: candidate_versions(tx, *condition))
    assert len({nothing, one, again}) == 3
    found = store.read_now(lambda tx: find_bare(tx, "Observation", "?code=4548-4"))

    assert [(each.id, each.body) for each in found] == [("o2", None), ("o1", None)]


@pytest.mark.parametrize(
    "text", ["", "name=x", "code:in=x", "_count=1", "identifier=", "patient._id=x", "_has:Observation:focus:code=x"]
)
def test_a_condition_that_cannot_be_decided_is_refused(store: Store, text: str) -> None:
    with pytest.raises((BadSearchError, UnknownParameterError)):
        store.read_now(lambda tx: find_bare(tx, "Observation", text))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.integers(1, 7),
    writes=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["new", "change", "delete"])), max_size=4),
)
def test_no_page_repeats_or_skips_whatever_is_written_meanwhile(
    store: Store, keep: Keep, permit: Permit, size: int, writes: list[tuple[int, str]]
) -> None:
    start = kept(store) + 1_000
    for number in range(start, start + 12):
        keep(observation(number, patient=f"q{start}"), person=ANNE)
    pairs = [("patient", f"q{start}"), ("_count", str(size))]
    query = parse_pairs("Observation", pairs)
    seen: list[str] = []
    deleted: set[str] = set()
    after: int | None = None
    for page_number in range(40):
        page = store.read_now(lambda tx, after=after: find(tx, query, permit(5), after))  # type: ignore[misc]  # bound in this loop
        seen += [kept.id for kept in page.resources]
        after = page.after
        if after is None:
            break
        for index, write in writes:
            number = start + (index * 3 + page_number) % 12
            if write == "new":
                keep(observation(start + 100 + page_number * 10 + index, patient=f"q{start}"), person=ANNE)
            elif write == "change":
                keep(observation(number, patient=f"q{start}", code="718-7"), person=ANNE)
            else:
                delete(store, f"o{number}")
                deleted.add(f"o{number}")
    assert len(seen) == len(set(seen))
    assert {f"o{number}" for number in range(start, start + 12)} - deleted <= set(seen)


_DAYS = st.integers(0, 800).map(
    lambda days: (datetime(2023, 6, 1, tzinfo=UTC) + timedelta(days=days)).date().isoformat()
)
_TEXTS = st.tuples(_DAYS, st.sampled_from([4, 7, 10])).map(lambda pair: pair[0][: pair[1]])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=_TEXTS, comparator=st.sampled_from(Comparator), dates=st.lists(_TEXTS, min_size=1, max_size=5))
def test_a_search_by_date_finds_exactly_what_the_comparison_says(  # fixtures and examples
    store: Store, keep: Keep, permit: Permit, asked: str, comparator: Comparator, dates: list[str]
) -> None:
    start = kept(store) + 1
    for offset, date in enumerate(dates):
        keep(observation(start + offset, patient=f"d{start}", date=date), person=ANNE)
    found = ask(store, permit(5), ("patient", f"d{start}"), ("date", f"{comparator}{asked}"))
    expected = {
        f"o{start + offset}" for offset, date in enumerate(dates) if compare(comparator, span_of(asked), span_of(date))
    }
    assert set(found) == expected


def test_bodies_come_back_as_they_were_kept(store: Store, keep: Keep, permit: Permit) -> None:
    keep(observation(1), person=ANNE)
    query = parse_pairs("Observation", [])
    page = store.read_now(lambda tx: find(tx, query, permit(5)))
    assert page.resources[0].body == json.dumps(observation(1)).encode()


def test_what_is_about_to_be_kept_is_read_once_however_many_conditions_ask_for_it(store: Store) -> None:
    doctor = {"resourceType": "Practitioner", "identifier": [{"system": "urn:s", "value": "7"}]}
    large = {**doctor, "qualification": [{"code": {"text": f"{number}"}} for number in range(50)]}
    bodies = {
        ("Practitioner", "large"): json.dumps(large).encode(),
        ("Practitioner", "gone"): None,
        ("Patient", "other"): json.dumps({**doctor, "resourceType": "Patient"}).encode(),
    }

    conditions = [("Practitioner", f"identifier=urn:s%7C{number}") for number in range(200)]
    read: list[str] = []

    def note(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and frame.f_code is decoded.__code__:
            read.append(frame.f_locals["kept"].id)

    sys.setprofile(note)
    try:
        found = store.read_now(lambda tx: find_among(tx, conditions, bodies))
    finally:
        sys.setprofile(None)
    assert {condition: ids for condition, ids in found.items() if ids} == {conditions[7]: ["large"]}
    assert read == ["large"]

"""Searches that look beyond one resource, in another order than that of rows, or too far."""

from collections.abc import Callable

import pytest
from tests.search.records import ANNE, BO, ask, count, delete, observation

from health_exchange.search import candidates, chains, finding, including
from health_exchange.search.candidates import TooCostlyError
from health_exchange.search.finding import find, total
from health_exchange.search.permission import Permitted
from health_exchange.search.query import UnknownParameterError, parse_pairs
from health_exchange.store.engine import Store

Keep = Callable[..., int]
Permit = Callable[[int], Permitted]


def patient(number: int, *, family: str = "Li", born: str = "1980-01-01", by: str = "d1") -> dict[str, object]:
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:mrn", "value": f"M{number}"}],
        "name": [{"family": family}],
        "birthDate": born,
        "generalPractitioner": [{"reference": f"Practitioner/{by}"}],
    }


def practitioner(name: str, family: str) -> dict[str, object]:
    return {"resourceType": "Practitioner", "id": name, "name": [{"family": family}]}


@pytest.fixture
def ward(keep: Keep) -> None:
    """Two people with their doctors, an observation and a condition each, of which one is not for everybody."""
    keep(practitioner("d1", "Zhang"))
    keep(practitioner("d2", "Zhao"))
    keep(patient(1, family="Li", by="d1"), person=ANNE)
    keep(patient(2, family="Wang", by="d2"), person=BO, sensitivity=5)
    keep(observation(1), person=ANNE)
    keep(observation(2, patient="p2"), person=BO)
    keep(observation(3, patient="p1", code="718-7", date="2025-01-01"), person=ANNE, sensitivity=5)
    keep(
        {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}, "code": {"text": "flu"}},
        person=ANNE,
    )


@pytest.mark.usefixtures("ward")
@pytest.mark.parametrize(
    ("kind", "pairs", "to_all", "to_some"),
    [
        ("Observation", [("patient.family", "li")], "o3 o1", "o1"),
        ("Observation", [("subject:Patient.family", "wang")], "o2", ""),
        ("Observation", [("subject.identifier", "urn:mrn|M1,urn:mrn|M2")], "o3 o2 o1", "o1"),
        ("Observation", [("patient.general-practitioner.family", "zha")], "o3 o2 o1", "o1"),
        ("Observation", [("patient.general-practitioner:Practitioner.family", "zhao")], "o2", ""),
        ("Observation", [("patient.family:exact", "li")], "", ""),
        ("Observation", [("patient.family", "li"), ("code", "718-7")], "o3", ""),
        ("Patient", [("_has:Observation:patient:code", "718-7")], "p1", ""),
        ("Patient", [("_has:Observation:subject:code", "4548-4")], "p2 p1", "p1"),
        ("Patient", [("_has:Condition:patient:code:text", "flu")], "p1", "p1"),
        ("Practitioner", [("_has:Patient:general-practitioner:_has:Observation:patient:date", "2025")], "d1", ""),
        ("Practitioner", [("_has:Patient:general-practitioner:family", "li,wang")], "d2 d1", "d1"),
        ("Condition", [("patient._has:Observation:subject:status", "final")], "c1", "c1"),
        ("Observation", [("patient._id", "p2")], "o2", ""),
    ],
)
def test_a_chain_goes_through_what_the_caller_may_see_and_nothing_else(  # fixtures and a table
    store: Store, permit: Permit, kind: str, pairs: list[tuple[str, str]], to_all: str, to_some: str
) -> None:
    assert ask(store, permit(5), *pairs, kind=kind) == to_all.split()
    assert ask(store, permit(3), *pairs, kind=kind) == to_some.split()
    query = parse_pairs(kind, pairs)
    assert store.read_now(lambda tx: total(tx, query, permit(3))) == len(to_some.split())


@pytest.mark.usefixtures("ward")
@pytest.mark.parametrize(
    ("kind", "pairs", "to_all", "to_some"),
    [
        ("Observation", [("_include", "Observation:subject")], "p1 p2", "p1"),
        ("Observation", [("_include", "Observation:subject:Group")], "", ""),
        (
            "Observation",
            [("_include", "Observation:patient"), ("_include", "Patient:general-practitioner")],
            "p1 p2",
            "p1",
        ),
        (
            "Observation",
            [("_include", "Observation:patient"), ("_include:iterate", "Patient:general-practitioner")],
            "d1 d2 p1 p2",
            "d1 p1",
        ),
        ("Patient", [("_revinclude", "Observation:subject")], "o1 o2 o3", "o1"),
        (
            "Patient",
            [("_revinclude", "Observation:subject"), ("_revinclude", "Condition:patient")],
            "c1 o1 o2 o3",
            "c1 o1",
        ),
        (
            "Practitioner",
            [("_revinclude", "Patient:general-practitioner"), ("_revinclude:iterate", "Condition:subject")],
            "c1 p1 p2",
            "c1 p1",
        ),
        ("Observation", [("_include", "*")], "p1 p2", "p1"),
        ("Observation", [("_include", "Condition:*")], "", ""),
        ("Observation", [("_include:iterate", "*")], "d1 d2 p1 p2", "d1 p1"),
        ("Observation", [("_include", "*"), ("_include:iterate", "Patient:*")], "d1 d2 p1 p2", "d1 p1"),
        ("Patient", [("_revinclude", "*")], "c1 o1 o2 o3", "c1 o1"),
        ("Patient", [("_revinclude", "Condition:*")], "c1", "c1"),
        ("Practitioner", [("_revinclude", "*")], "p1 p2", "p1"),
        ("Practitioner", [("_revinclude:iterate", "*")], "c1 o1 o2 o3 p1 p2", "c1 o1 p1"),
        ("Condition", [("_include", "*"), ("_revinclude:iterate", "*")], "o1 o3 p1", "o1 p1"),
        (
            "Condition",
            [("_include", "Condition:subject"), ("_revinclude:iterate", "Observation:patient")],
            "o1 o3 p1",
            "o1 p1",
        ),
    ],
)
def test_what_comes_beside_a_page_is_what_the_caller_may_see(  # fixtures and a table
    store: Store, permit: Permit, kind: str, pairs: list[tuple[str, str]], to_all: str, to_some: str
) -> None:
    query = parse_pairs(kind, pairs)
    for permitted, expected in ((permit(5), to_all), (permit(3), to_some)):
        page = store.read_now(lambda tx, permitted=permitted: find(tx, query, permitted))  # type: ignore[misc]  # bound in this loop
        assert sorted(kept.id for kept in page.included) == expected.split()


@pytest.mark.usefixtures("ward")
def test_what_comes_beside_a_page_is_bounded_in_bytes_but_for_one_resource(
    store: Store, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    permitted = permit(5)

    def beside(by: str) -> list[str]:
        query = parse_pairs("Practitioner", [("_id", "d1"), ("_revinclude:iterate", by)])
        return [kept.id for kept in store.read_now(lambda tx: find(tx, query, permitted)).included]

    monkeypatch.setattr(including, "INCLUDED_BYTES_MAX", 1)
    assert beside("Patient:general-practitioner") == ["p1"]
    with pytest.raises(TooCostlyError, match="smaller pages"):
        beside("*")
    monkeypatch.setattr(including, "INCLUDED_BYTES_MAX", 2_000)
    assert len(beside("*")) > 2


SORTINGS = [
    ("date", "o2 o3 o1 o4"),
    ("-date", "o1 o3 o2 o4"),
    ("_id", "o1 o2 o3 o4"),
    ("-_id", "o4 o3 o2 o1"),
    ("_lastUpdated,-_id", "o4 o3 o2 o1"),
    ("status,-date", "o2 o1 o3 o4"),
    ("-status,-date", "o1 o3 o4 o2"),
    ("code,_id", "o2 o4 o1 o3"),
    ("subject,date", "o3 o1 o4 o2"),
    ("value-quantity", "o3 o1 o2 o4"),
    ("-value-quantity", "o2 o1 o3 o4"),
    ("value-string", "o4 o1 o3 o2"),
    ("-value-string", "o1 o4 o3 o2"),
    ("_profile,_id", "o3 o1 o2 o4"),
]


def test_results_come_in_the_order_asked_for(store: Store, keep: Keep, permit: Permit) -> None:
    ucum = {"system": "http://unitsofmeasure.org"}
    grams, milligrams = ({**ucum, "code": "g", "value": 1.5}, {**ucum, "code": "mg", "value": 1400})
    pounds = {**ucum, "code": "[lb_av]", "value": 0.01}
    for number, date, code, more in (
        (1, "2025-01-01", "b", {"valueQuantity": milligrams, "valueString": "fichte"}),
        (2, "2023", "a", {"status": "amended", "valueQuantity": pounds, "subject": {"reference": "Patient/p3"}}),
        (3, "2024-05-06T10:00:00Z", "c", {"valueQuantity": {**grams, "value": 1.3999}, "meta": {"profile": ["urn:p"]}}),
        (4, "2020", "a", {"subject": {"reference": "Patient/p2"}, "valueString": "Ébène"}),
    ):
        each = {**observation(number, code=code, date=date), **more}
        each["code"] = {"coding": [{"code": code}]}
        if number == 4:
            del each["effectiveDateTime"]
        keep(each, person=ANNE)
    found = [(sorting, " ".join(ask(store, permit(5), ("_sort", sorting)))) for sorting, _expected in SORTINGS]
    assert found == SORTINGS
    for sorting in ("code-value-quantity", "nothing", "date,nothing"):
        with pytest.raises(UnknownParameterError):
            parse_pairs("Observation", [("_sort", sorting)])


def test_sorted_pages_repeat_and_skip_nothing_although_what_they_are_sorted_by_changes(
    store: Store, keep: Keep, permit: Permit
) -> None:
    for number in range(1, 10):
        keep(observation(number, date=f"202{number}-01-01"), person=ANNE)
    query = parse_pairs("Observation", [("_sort", "-date"), ("_count", "2")])
    page = store.read_now(lambda tx: find(tx, query, permit(5)))
    seen = [kept.id for kept in page.resources]
    keep(observation(1, date="2030-01-01"), person=ANNE)
    keep(observation(10, date="2020-01-01"), person=ANNE)
    keep(observation(8, date="2019-01-01"), person=ANNE)
    delete(store, "o5")
    while page.rest:
        page = store.read_now(lambda tx, rest=page.rest: find(tx, query, permit(5), None, rest))  # type: ignore[misc]  # bound in this loop
        seen += [kept.id for kept in page.resources]
    assert seen == ["o9", "o8", "o7", "o6", "o4", "o3", "o2", "o1"]


def test_a_search_that_would_open_too_much_is_refused_with_what_narrows_it(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SCAN_MAX", 4)
    monkeypatch.setattr(candidates, "BATCH", 2)
    monkeypatch.setattr(finding, "SCAN_MAX", 4)
    for number in range(1, 8):
        keep(observation(number, patient=f"p{number % 2}"), person=ANNE)
    with pytest.raises(TooCostlyError, match="patient, status, subject"):
        ask(store, permit(5), ("value-quantity", "5"))
    assert ask(store, permit(5), ("value-quantity:missing", "true"), ("_count", "2")) == ["o7", "o6"]
    assert ask(store, permit(5), ("value-quantity", "5"), ("patient", "p1")) == []
    assert count(store, permit(5), ("value-quantity", "5")) is None
    for pair in (("_total", "accurate"), ("_summary", "count"), ("_count", "0")):
        with pytest.raises(TooCostlyError):
            count(store, permit(5), ("value-quantity", "5"), pair)
    assert count(store, permit(5), ("status", "final"), ("_total", "none")) is None
    assert count(store, permit(5), ("status", "final"), ("_total", "accurate")) == 7


def test_a_chain_that_finds_too_much_is_told_of_each_candidate_and_refused_where_these_are_too_many(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        keep(patient(number), person=ANNE)
        keep(observation(number, patient=f"p{number}"), person=ANNE)
    monkeypatch.setattr(chains, "STEP_MAX", 2)
    for pair, kind in (
        (("patient.family", "li"), "Observation"),
        (("_has:Observation:patient:code", "4548-4"), "Patient"),
    ):
        assert len(ask(store, permit(5), pair, kind=kind)) == 3
        assert len(ask(store, permit(5), pair, ("_sort", "-_id"), ("_count", "2"), kind=kind)) == 2
    monkeypatch.setattr(candidates, "SCAN_MAX", 2)
    monkeypatch.setattr(candidates, "BATCH", 1)
    with pytest.raises(TooCostlyError):
        ask(store, permit(5), ("patient.family", "li"), ("value-quantity", "5"))


def test_more_than_may_be_sorted_or_included_is_refused(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(including, "INCLUDED_MAX", 2)
    monkeypatch.setattr(finding, "SORTED_MAX", 1)
    for number in range(1, 4):
        keep(patient(number), person=ANNE)
        keep(observation(number, patient=f"p{number}"), person=ANNE)
    with pytest.raises(TooCostlyError):
        ask(store, permit(5), ("_include", "Observation:subject"))
    with pytest.raises(TooCostlyError):
        ask(store, permit(5), ("_sort", "date"), ("_count", "1"))
    assert ask(store, permit(5), ("patient._id", "p1,p2")) == ["o2", "o1"]


@pytest.mark.usefixtures("ward")
def test_all_chains_of_a_search_have_one_budget_and_the_same_step_is_taken_once(
    store: Store, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both Patients are opened and named, and named again in each criterion.
    monkeypatch.setattr(candidates, "LOOKED_AT_MAX", 2 + 2 + 3 * 2)
    same = [("patient.family:contains", "n,l")] * 3
    assert ask(store, permit(5), *same) == ["o3", "o2", "o1"]
    for other in ("li,wang", "w,l"):
        with pytest.raises(TooCostlyError, match="other resources"):
            ask(store, permit(5), same[0], ("patient.family:contains", other))
    with pytest.raises(TooCostlyError, match="other resources"):
        ask(store, permit(5), *same, same[0])


def test_equal_numbers_that_mean_different_spans_are_different_steps(store: Store, keep: Keep, permit: Permit) -> None:
    risk = {"resourceType": "RiskAssessment", "id": "r1", "prediction": [{"probabilityDecimal": 0.52}]}
    keep({**risk, "subject": {"reference": "Patient/p1"}}, person=ANNE)
    keep(patient(1), person=ANNE)
    name = "_has:RiskAssessment:subject:probability"
    assert ask(store, permit(5), (name, "0.5"), kind="Patient") == ["p1"]
    assert ask(store, permit(5), (name, "0.5"), (name, "0.50"), kind="Patient") == []


def test_what_comes_beside_a_page_is_found_on_one_budget(
    store: Store, keep: Keep, permit: Permit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "LOOKED_AT_MAX", 4)
    keep(patient(1), person=ANNE)
    for number in range(1, 4):
        keep(observation(number), person=ANNE)
    one = ("_revinclude", "Observation:subject")
    assert ask(store, permit(5), one, kind="Patient") == ["p1"]
    with pytest.raises(TooCostlyError):
        ask(store, permit(5), one, ("_revinclude", "Observation:patient"), kind="Patient")


@pytest.mark.parametrize(
    ("kind", "pair", "references"),
    [("List", ("_include", "List:item"), 1_001), ("Patient", ("_has:List:item:status", "current"), 20_001)],
)
def test_a_resource_that_refers_to_more_than_a_database_takes_in_one_question_is_not_followed(  # a table
    store: Store, keep: Keep, permit: Permit, kind: str, pair: tuple[str, str], references: int
) -> None:
    entries = [{"item": {"reference": f"Patient/p{number}"}} for number in range(references)]
    keep({"resourceType": "List", "id": "l1", "status": "current", "entry": entries}, person=ANNE)
    with pytest.raises(TooCostlyError):
        ask(store, permit(5), pair, kind=kind)

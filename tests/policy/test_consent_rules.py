"""Consent texts with conditions: canonical, refused where broken, and cautious wherever something is not known."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_exchange.model.purposes import Purpose
from health_exchange.policy.consent_rules import (
    EVERYTHING,
    ConsentRules,
    Objection,
    Scope,
    as_copied,
    combined,
    effective,
    is_findable,
    next_change,
    read_rules,
    write_rules,
)
from health_exchange.policy.consent_words import KINDS, PURPOSES, words_of
from health_exchange.policy.consents import OBJECTS_TO_ALL, ConsentClass, read_consent_class
from health_exchange.policy.periods import Span, instant_text, read_instant_text, read_period

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOSPITALS = ("121000001000791901", "12330000470051726F")
INSTANTS = st.sampled_from(["", *(instant_text(NOON + timedelta(hours=hours)) for hours in (-2, -1, 1, 2))])
SOME_KINDS = st.lists(st.sampled_from(sorted(EVERYTHING)), min_size=1, unique=True).map(tuple)


def _scopes(kind: type[Scope], **more: st.SearchStrategy[object]) -> st.SearchStrategy[Scope]:
    return st.builds(
        kind,
        kinds=SOME_KINDS | st.just(tuple(EVERYTHING)),
        organizations=st.none() | st.lists(st.sampled_from(HOSPITALS), min_size=1).map(tuple),
        purposes=st.none() | st.lists(st.sampled_from(["TREAT", "PUBHLTH", "BTG"]), min_size=1).map(tuple),
        since=INSTANTS,
        until=INSTANTS,
        data_since=INSTANTS,
        data_until=INSTANTS,
        **more,
    )


RULES = st.builds(
    ConsentRules,
    objections=st.lists(_scopes(Objection, exceptions=st.lists(_scopes(Scope), max_size=2).map(tuple)), max_size=3).map(
        tuple
    ),
    grants=st.lists(_scopes(Scope), max_size=2).map(tuple),
)
TEXTS = RULES.map(write_rules)
PURPOSE = st.sampled_from([Purpose.TREATMENT, Purpose.PUBLIC_HEALTH, Purpose.BREAK_THE_GLASS])
DATES = st.sampled_from([instant_text(NOON + timedelta(hours=hours)) for hours in (-3, 0, 3)])


def _said(text: str, *, at: datetime = NOON, organization: str = "", data_at: str | None = None) -> ConsentClass:
    return read_consent_class(
        effective(text, at=at, organization=organization, purpose=Purpose.TREATMENT, data_at=data_at)
    )


def _denied(said: ConsentClass) -> set[str]:
    return set(EVERYTHING) if said.objects else set(said.objections)


@given(RULES)
def test_a_text_is_read_back_to_the_same_text(rules: ConsentRules) -> None:
    text = write_rules(rules)

    assert write_rules(read_rules(text)) == text


@given(RULES)
def test_the_order_in_which_things_are_said_does_not_matter(rules: ConsentRules) -> None:
    turned = ConsentRules(objections=rules.objections[::-1], grants=rules.grants[::-1])

    assert write_rules(turned) == write_rules(rules)


@given(TEXTS, PURPOSE, st.none() | DATES)
def test_what_it_comes_to_is_plain_text_that_policy_reads_as_written(
    text: str, purpose: Purpose, data_at: str | None
) -> None:
    plain = effective(text, at=NOON, organization=HOSPITALS[0], purpose=purpose, data_at=data_at)

    assert str(read_consent_class(plain)) == plain
    assert not plain.startswith("rules:")


@given(TEXTS, st.sampled_from(HOSPITALS), DATES)
def test_who_is_not_known_is_refused_what_anybody_is_and_granted_no_more(
    text: str, organization: str, data_at: str
) -> None:
    known, unknown = _said(text, organization=organization, data_at=data_at), _said(text, data_at=data_at)
    undated = _said(text, organization=organization)

    for doubtful in (unknown, undated):
        assert _denied(doubtful) >= _denied(known)
        assert doubtful.grants <= known.grants


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_others_only_add_objections(own: str, others: list[str]) -> None:
    alone, together = _said(own), _said(combined(own, others))

    assert _denied(together) == _denied(alone).union(*(_denied(_said(other)) for other in others))
    assert together.grants <= alone.grants


@given(TEXTS)
def test_until_the_next_change_it_comes_to_the_same(text: str) -> None:
    changes = next_change(text, after=NOON)
    for moment in (NOON, *([changes - timedelta(microseconds=1)] if changes else [NOON + timedelta(days=9)])):
        assert _said(text, at=moment, organization=HOSPITALS[0]) == _said(text, organization=HOSPITALS[0])


@given(TEXTS)
def test_somebody_whom_nobody_may_find_is_refused_to_everybody(text: str) -> None:
    if not is_findable(text, at=NOON):
        for organization in ("", *HOSPITALS):
            assert _said(text, organization=organization, data_at=instant_text(NOON)).objects


@given(TEXTS, st.sampled_from(HOSPITALS), PURPOSE, DATES)
def test_a_copy_that_was_handed_out_lawfully_is_read_by_whom_the_whole_text_lets(
    text: str, organization: str, purpose: Purpose, data_at: str
) -> None:
    handed_out = read_consent_class(
        effective(text, at=NOON, organization="cn/33", purpose=Purpose.TREATMENT, data_at=data_at)
    )
    whole = read_consent_class(effective(text, at=NOON, organization=organization, purpose=purpose, data_at=data_at))
    copied = read_consent_class(effective(as_copied(text), at=NOON, organization=organization, purpose=purpose))

    assert _denied(whole) <= _denied(copied) | _denied(handed_out)


@pytest.mark.parametrize(
    "text",
    [
        "rules:",
        "rules:{}",
        'rules:{"objections":[]}',
        'rules:{"objections":[{"kinds":["PSY"]}]}',
        'rules:{"objections":[{"kinds":["PSY"],"until":"x","more":1}]}',
        'rules: {"objections":[{"kinds":["PSY"],"until":"2026"}]}',
        "rules:" + "[" * 9000,
        "nonsense",
    ],
)
def test_a_text_that_is_none_of_ours_objects_to_everything(text: str) -> None:
    assert effective(text, at=NOON, organization=HOSPITALS[0], purpose=Purpose.TREATMENT) == OBJECTS_TO_ALL
    assert not is_findable(text, at=NOON)


def test_policy_takes_a_text_with_conditions_for_an_objection_to_everything() -> None:
    text = write_rules(ConsentRules(objections=(Objection(kinds=("PSY",), purposes=("PUBHLTH",)),)))

    assert text.startswith("rules:")
    assert read_consent_class(text).objects


def test_more_than_anybody_can_mean_objects_to_everything() -> None:
    many = tuple(Objection(kinds=("PSY",), organizations=(f"{number:018d}",)) for number in range(500))

    assert write_rules(ConsentRules(objections=many)) == OBJECTS_TO_ALL


@pytest.mark.parametrize(
    ("period", "span"),
    [
        (None, Span()),
        ({"start": "2026"}, Span(since="2025-12-31T16:00:00.000000Z")),
        ({"end": "2026-02"}, Span(until="2026-02-28T16:00:00.000000Z")),
        ({"end": "2026-12"}, Span(until="2026-12-31T16:00:00.000000Z")),
        ({"end": "2026-12-31"}, Span(until="2026-12-31T16:00:00.000000Z")),
        ({"end": "2026-01-01T00:00:00Z"}, Span(until="2026-01-01T00:00:01.000000Z")),
        ({"start": "2026-01-01T08:00:00.5+08:00"}, Span(since="2026-01-01T00:00:00.500000Z")),
        ({"start": "2026-13-01"}, None),
        ({"start": "soon"}, None),
        ({"_start": {}}, None),
        ("2026", None),
    ],
)
def test_a_period_is_the_instants_from_its_first_to_the_first_after_it(period: object, span: Span | None) -> None:
    assert read_period(period) == span


def test_an_instant_is_read_back_from_its_text() -> None:
    assert read_instant_text(instant_text(NOON)) == NOON


def test_every_kind_and_purpose_has_words() -> None:
    assert KINDS.keys() == EVERYTHING
    assert PURPOSES.keys() == {str(purpose) for purpose in Purpose}


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (ConsentRules(), []),
        (ConsentRules(objections=(Objection(kinds=tuple(EVERYTHING)),)), ["Do not share any record."]),
        (
            ConsentRules(
                objections=(
                    Objection(
                        kinds=("PSY",),
                        purposes=("PUBHLTH",),
                        exceptions=(Scope(kinds=("PSY",), organizations=("1",)),),
                    ),
                ),
                grants=(Scope(kinds=("HIV",), until="2026-12-31T16:00:00.000000Z"),),
            ),
            [
                "Do not share records of mental health for public health; except records of mental health with 1.",
                "Share even strictly restricted records of HIV, holding before 2026-12-31T16:00:00.000000Z.",
            ],
        ),
    ],
)
def test_a_text_is_put_into_words(rules: ConsentRules, words: list[str]) -> None:
    assert words_of(write_rules(rules)) == words

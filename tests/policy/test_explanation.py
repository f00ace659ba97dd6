"""An explanation says who decided by what, and the smallest change that would turn a refusal, and nothing more."""

from dataclasses import replace

import pytest
from tests.policy.test_engine import SCHEMA, TEXTS

from health_exchange.model.purposes import Purpose
from health_exchange.policy.conditions import Fact
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import PolicySet
from health_exchange.policy.explanation import explain
from health_exchange.policy.questions import decision_on
from health_exchange.policy.wording import UnclearQuestionError, read_fields, read_words

POLICIES = PolicySet.load(TEXTS, SCHEMA)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("clinician look-up level 5 HIV BTG", "with a reason"),
        ("clinician look-up level 5 HIV TREAT", "with a reason: breaking the glass"),
        ("clinician look-up level 5 HIV TREAT", "if the person consented to sharing HIV records"),
        ("clinician look-up level 4 PSY TREAT consent deny:*", "if the person took back the objection to all sharing"),
        ("viewer read PSY TREAT consent deny:PSY", "if the person took back the objection to sharing psychiatric"),
        ("viewer read level 2 HPAYMT", "for treatment (TREAT); or for emergency treatment (ETREAT); or for public"),
        ("clinician read level 4 PSY TREAT", "as a look-up, with a ticket"),
        ("facility write at cn/51/5101/510121 TREAT", "at cn/33/3305/330521"),
        ("node province at cn/51 open level 3 TREAT", "at cn/33"),
        ("auditor read-log TREAT", "for an audit (HLEGAL)"),
        ("researcher read HRESCH", "for treatment (TREAT) and as a facility"),
        ("node province at cn/33 open level 5 TREAT", "no 2 changes would turn this refusal"),
    ],
)
def test_a_refusal_names_the_smallest_change_that_would_turn_it(words: str, advice: str) -> None:
    explanation = explain(POLICIES, read_words(words))

    assert not explanation.allowed
    assert advice in explanation.advice


@pytest.mark.parametrize("kind", list(PrincipalKind))
@pytest.mark.parametrize("action", list(Action))
def test_a_change_of_two_is_told_only_where_no_change_of_one_would_do(kind: PrincipalKind, action: Action) -> None:
    question = replace(
        read_words("clinician look-up level 4 PSY HOPERAT consent deny:PSY"),
        principal=Principal(kind=kind, id="x", tier="province", address="cn/33"),
        action=action,
    )
    explanation = explain(POLICIES, question)

    assert len({change.sentence.count(" and ") for change in explanation.changes}) <= 1
    assert all(len(set(change.facts)) == len(change.facts) for change in explanation.changes)
    for change in explanation.changes:
        assert not set(change.facts) & {Fact.SENSITIVITY, Fact.CATEGORY, Fact.TYPE}


def test_an_allowed_question_is_explained_by_what_permits_it_and_needs_no_change() -> None:
    explanation = explain(POLICIES, read_words("clinician look-up level 4 PSY TREAT"))

    assert explanation.allowed
    assert [(policy.id, policy.effect) for policy in explanation.policies] == [
        ("clinician-looks-up-for-care", "permit")
    ]
    assert {used.fact: used.value for used in explanation.facts} == {
        Fact.KIND: "clinician",
        Fact.ACTION: "look-up",
        Fact.SENSITIVITY: "4 (sensitive)",
        Fact.PURPOSE: "TREAT (treatment)",
    }
    assert (explanation.changes, explanation.advice) == ((), "")


def test_the_facts_are_those_that_the_deciding_policies_look_at() -> None:
    for words in ("viewer read PSY TREAT consent deny:PSY", "node city at cn/33/3305 open level 2 TREAT"):
        question = read_words(words)
        explanation = explain(POLICIES, question)
        looked = {fact for policy in explanation.policies for fact in POLICIES.rules[policy.id].facts}
        assert {used.fact for used in explanation.facts} == looked | {Fact.KIND, Fact.ACTION}


def test_what_policies_do_not_look_at_sways_none_of_their_decisions() -> None:
    assert {fact for rule in POLICIES.rules.values() for fact in rule.facts}.isdisjoint({Fact.TYPE, Fact.ORGANIZATION})
    question = read_words("clinician look-up level 4 PSY TREAT")
    assert question.resource_class is not None
    for other in (
        replace(question, principal=replace(question.principal, organization="121000001000791901")),
        replace(question, resource_class=replace(question.resource_class, type="Claim")),
    ):
        assert decision_on(POLICIES, other).policies == decision_on(POLICIES, question).policies


def test_words_and_fields_ask_the_same_question() -> None:
    words = read_words(
        "a clinician at cn/51/5100 asks to look-up Condition of level 5 HIV from cn/33/3305/330521 for BTG with reason "
        "consent deny:PSY;permit:HIV"
    )
    fields = {
        "kind": "clinician",
        "at": "cn/51/5100",
        "action": "look-up",
        "type": "Condition",
        "level": 5,
        "category": "HIV",
        "from": "cn/33/3305/330521",
        "purpose": "BTG",
        "reason": True,
        "consent": "deny:PSY;permit:HIV",
    }

    assert read_fields(fields) == words
    assert words.purpose is Purpose.BREAK_THE_GLASS
    assert words.reasoned


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("clinician zhang-san TREAT", "word 2 is not known"),
        ("clinician read", "purpose is missing"),
        ("clinician read TREAT level", "word 4 must be followed"),
        ("clinician viewer read TREAT", "word 2 says again"),
        ("clinician read TREAT level 9", "level cannot be that: it is 1 to 5"),
        ("clinician read TREAT at nowhere", "at cannot be that"),
        ("clinician read TREAT consent permit:EVERYTHING", "consent cannot be that"),
        ("node open TREAT", "say both"),
        ("", "kind is missing"),
    ],
)
def test_what_is_no_question_is_refused_by_its_place_and_not_repeated(words: str, said: str) -> None:
    with pytest.raises(UnclearQuestionError) as caught:
        read_words(words)

    assert said in caught.value.detail
    assert "zhang" not in caught.value.detail

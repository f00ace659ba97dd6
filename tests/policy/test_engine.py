"""Policies are checked when loaded, and any doubt refuses."""

from pathlib import Path

import pytest

from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import BadPolicyError, PolicySet, decide

FOLDER = Path(__file__).parents[2] / "policies"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.cedar"))}
SCHEMA = (FOLDER / "schema.cedarschema").read_text("utf-8")
PERMIT_ALL = '@id("all") @reason("everything goes") permit (principal, action, resource);'
RECORD = ResourceClass(
    type="Observation",
    sensitivity=Sensitivity.CLINICAL,
    category=SensitiveCategory.GENERAL,
    jurisdiction="cn/33/3305/330521",
)
FACILITY = Principal(kind="facility", id="dq-county", organization="91100000000000000A")


def _load(**texts: str) -> PolicySet:
    return PolicySet.load(texts, SCHEMA)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("permit (", "cannot be read"),
        ("permit (principal, action, resource);", "@id and @reason"),
        ('@id("a") permit (principal, action, resource);', "@id and @reason"),
        ('@id("a") @reason("") permit (principal, action, resource);', "@id and @reason"),
        (PERMIT_ALL + PERMIT_ALL, "occurs twice"),
        ('@id("a") @reason("b") permit (principal == ?principal, action, resource);', "templates"),
        ('@id("a") @reason("b") permit (principal, action, resource) when { resource.colour == 1 };', "schema"),
        ('@id("a") @reason("b") permit (principal, action == Action::"fly", resource);', "schema"),
        ('@id("a") @reason("b") permit (principal is Ghost, action, resource);', "schema"),
        (
            '@id("a") @reason("b") permit (principal, action, resource is Record) when {resource.sensitivity+1<3};',
            "may err",
        ),
        ('@id("a") @reason("b") permit (principal, action, resource) when { context has purpose };', "may err"),
    ],
)
def test_a_policy_that_is_wrong_or_may_err_is_not_loaded(text: str, said: str) -> None:
    with pytest.raises(BadPolicyError, match=said):
        _load(**{"a.cedar": text})


def test_a_schema_with_an_optional_attribute_is_not_loaded() -> None:
    with pytest.raises(BadPolicyError, match="optional"):
        PolicySet.load(TEXTS, SCHEMA.replace("tier: String", "tier?: String"))


def test_a_schema_that_does_not_parse_is_not_loaded() -> None:
    with pytest.raises(BadPolicyError, match="schema"):
        PolicySet.load(TEXTS, "entity")


def test_without_policies_everything_is_refused() -> None:
    policies = PolicySet.load({}, SCHEMA)

    decision = decide(policies, FACILITY, Action.WRITE, RECORD, purpose=Purpose.TREATMENT)

    assert not decision.allowed
    assert decision.reasons == ("no policy lets this facility write for this purpose",)


def test_a_refusal_by_default_says_what_is_allowed() -> None:
    policies = PolicySet.load(TEXTS, SCHEMA)

    decision = decide(policies, FACILITY, Action.WRITE, RECORD, purpose=Purpose.PAYMENT)

    assert not decision.allowed
    assert "allowed is: a facility writes at its own node, for treatment" in decision.reasons[0]


@pytest.mark.parametrize("action", list(Action))
def test_a_kind_of_principal_that_policies_do_not_know_is_refused(action: Action) -> None:
    stranger = Principal(kind="stranger", id="x")

    assert not decide(_load(a=PERMIT_ALL), stranger, action, RECORD, purpose=Purpose.TREATMENT).allowed


def test_an_action_on_records_without_a_class_is_refused() -> None:
    assert not decide(_load(a=PERMIT_ALL), FACILITY, Action.READ, None, purpose=Purpose.TREATMENT).allowed


def test_a_request_that_cedar_cannot_decide_is_refused() -> None:
    policies = _load(a=PERMIT_ALL)
    request = {
        "principal": {"type": "Facility", "id": "x"},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": "Record", "id": "y"},
        "context": {"purpose": 7},
    }

    decision = policies.evaluate(request, "[]")

    assert not decision.allowed
    assert "could not decide" in decision.reasons[0]


def test_a_policy_that_errs_at_run_time_refuses_even_where_another_permits() -> None:
    erring = (
        '@id("errs") @reason("b") forbid (principal, action == Action::"read", resource) when { resource.kind == "" };'
    )
    policies = _load(a=PERMIT_ALL, b=erring)
    request = {
        "principal": {"type": "Facility", "id": "x"},
        "action": {"type": "Action", "id": "read"},
        "resource": {"type": "Record", "id": "missing"},
        "context": {"purpose": "TREAT", "objects": False, "objections": []},
    }

    decision = policies.evaluate(request, "[]")

    assert not decision.allowed
    assert "could not decide" in decision.reasons[0]


@pytest.mark.parametrize("kind", list(PrincipalKind))
def test_names_from_outside_cannot_be_read_as_policy_language(kind: PrincipalKind) -> None:
    odd = Principal(kind=kind, id='"; permit(principal, action, resource); //\n\\', organization='"', address='a"/b')

    decision = decide(PolicySet.load(TEXTS, SCHEMA), odd, Action.WRITE, RECORD, purpose=Purpose.RESEARCH)

    assert not decision.allowed


def test_a_tier_may_add_a_forbid_and_it_binds() -> None:
    base = PolicySet.load(TEXTS, SCHEMA)
    closed = '@id("closed") @reason("this county is closed") forbid (principal, action == Action::"write", resource);'

    tier = base.load_additions({"county.cedar": closed})

    decision = decide(tier, FACILITY, Action.WRITE, RECORD, purpose=Purpose.TREATMENT)
    assert decide(base, FACILITY, Action.WRITE, RECORD, purpose=Purpose.TREATMENT).allowed
    assert not decision.allowed
    assert decision.policies == ("closed",)
    assert decision.reasons == ("this county is closed",)
    assert tier.digest != base.digest


def test_a_tier_may_not_add_a_permit() -> None:
    with pytest.raises(BadPolicyError, match="only add forbid"):
        PolicySet.load(TEXTS, SCHEMA).load_additions({"county.cedar": PERMIT_ALL})


def test_a_tier_may_not_replace_a_file_of_the_base_set() -> None:
    with pytest.raises(BadPolicyError, match="already has"):
        PolicySet.load(TEXTS, SCHEMA).load_additions({"consents.cedar": ""})


def test_the_digest_is_of_names_texts_and_schema() -> None:
    digests = {
        PolicySet.load(TEXTS, SCHEMA).digest,
        PolicySet.load({**TEXTS, "readers.cedar": TEXTS["readers.cedar"] + "\n"}, SCHEMA).digest,
        PolicySet.load(TEXTS, SCHEMA + "\n").digest,
        PolicySet.load({**TEXTS, "z.cedar": ""}, SCHEMA).digest,
    }

    assert len(digests) == 4
    assert PolicySet.load(dict(reversed(TEXTS.items())), SCHEMA).digest in digests


def test_a_decision_is_made_once_for_equal_questions() -> None:
    policies = PolicySet.load(TEXTS, SCHEMA)

    first = decide(policies, FACILITY, Action.WRITE, RECORD, purpose=Purpose.TREATMENT)

    assert decide(policies, FACILITY, Action.WRITE, RECORD, purpose=Purpose.TREATMENT) is first

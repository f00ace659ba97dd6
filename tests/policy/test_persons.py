"""What is owed to persons: their desk, erasure on request, and objections to what is restricted by its label alone."""

import pytest
from tests.policy.test_engine import SCHEMA, TEXTS

from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import PolicySet, decide

POLICIES = PolicySet.load(TEXTS, SCHEMA)
COUNTY = "cn/33/3305/330521"
OWED = {Action.READ, Action.VIEW_PERSON, Action.VIEW_DISCLOSURES, Action.ERASE}
CONSENTS = ("", "deny:PSY", "deny:R", "permit:HIV", "deny:*")


def _record(level: Sensitivity) -> ResourceClass:
    return ResourceClass(type="Observation", sensitivity=level, category=SensitiveCategory.GENERAL, jurisdiction=COUNTY)


def _somebody(kind: str, address: str = COUNTY) -> Principal:
    return Principal(kind=kind, id="somebody", organization="121000001000791901", address=address)


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("action", list(Action))
def test_a_desk_reads_and_erases_on_the_persons_request_and_nothing_else(action: Action, purpose: Purpose) -> None:
    is_owed = purpose is Purpose.PATIENT_REQUEST and action in OWED
    for level in Sensitivity:
        for consent in CONSENTS:
            decided = decide(POLICIES, _somebody("desk"), action, _record(level), purpose=purpose, consent=consent)
            assert decided.allowed == is_owed


@pytest.mark.parametrize("action", [Action.READ, Action.VIEW_PERSON, Action.ERASE])
def test_a_desk_acts_at_the_node_that_admits_the_records_only(action: Action) -> None:
    desk = _somebody("desk", "cn/51/5100")

    assert not decide(POLICIES, desk, action, _record(Sensitivity.OPEN), purpose=Purpose.PATIENT_REQUEST).allowed


@pytest.mark.parametrize("kind", list(PrincipalKind))
@pytest.mark.parametrize("purpose", list(Purpose))
def test_nobody_but_a_desk_or_an_operator_erases_and_only_on_request(kind: PrincipalKind, purpose: Purpose) -> None:
    decided = decide(POLICIES, _somebody(kind), Action.ERASE, _record(Sensitivity.RESTRICTED), purpose=purpose)

    assert decided.allowed == (
        purpose is Purpose.PATIENT_REQUEST and kind in {PrincipalKind.DESK, PrincipalKind.OPERATOR}
    )


@pytest.mark.parametrize("level", list(Sensitivity))
def test_an_objection_to_what_is_restricted_by_label_alone_binds_that_and_nothing_else(level: Sensitivity) -> None:
    asked = _somebody("clinician", "cn/51/5100")
    decided = decide(POLICIES, asked, Action.LOOK_UP, _record(level), purpose=Purpose.TREATMENT, consent="deny:R")

    assert decided.allowed == (level < Sensitivity.SENSITIVE)

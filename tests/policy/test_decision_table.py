"""What the country's policies come to, as a table that a domain expert can read: `decision_table.txt`.

After a wanted change: `python tests/policy/test_decision_table.py > tests/policy/decision_table.txt`, and review the
difference.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.decisions import Action, Principal, PrincipalKind
from health_exchange.policy.engine import PolicySet, decide

FOLDER = Path(__file__).parents[2] / "policies"
TABLE = Path(__file__).with_name("decision_table.txt")
COUNTY = "cn/33/3305/330521"
POLICIES = PolicySet.load(
    {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.cedar"))},
    (FOLDER / "schema.cedarschema").read_text("utf-8"),
)
ON_RECORDS = (Action.WRITE, Action.READ, Action.SEARCH, Action.VIEW_PERSON, Action.OPEN, Action.LOOK_UP)
ON_HOLDINGS = (Action.LOCATE, Action.READ_LOG, Action.VIEW_STATISTICS)
PURPOSES = (
    Purpose.TREATMENT,
    Purpose.PUBLIC_HEALTH,
    Purpose.RESEARCH,
    Purpose.AUDIT,
    Purpose.PAYMENT,
    Purpose.PATIENT_REQUEST,
    Purpose.BREAK_THE_GLASS,  # with a reason
)
CONSENTS = ("", "deny:PSY", "permit:HIV", "deny:*")
CATEGORIES = {4: SensitiveCategory.PSYCHIATRIC, 5: SensitiveCategory.HIV}
PRINCIPALS: Mapping[str, Principal] = {
    **{
        kind: Principal(kind=kind, id=kind, organization="91100000000000000A")
        for kind in PrincipalKind
        if kind is not PrincipalKind.NODE
    },
    "facility elsewhere": Principal(kind=PrincipalKind.FACILITY, id="far", address="cn/51/5101/510121"),
    **{
        f"{tier} {address}": Principal(kind=PrincipalKind.NODE, id=address, tier=tier, address=address)
        for tier, address in (
            ("city", "cn/33/3305"),
            ("province", "cn/33"),
            ("province", "cn/51"),
            ("nation", "cn"),
            ("county", COUNTY),
        )
    },
}


def _record(level: Sensitivity) -> ResourceClass:
    category = CATEGORIES.get(level, SensitiveCategory.GENERAL)
    return ResourceClass(type="Observation", sensitivity=level, category=category, jurisdiction=COUNTY)


def lines() -> Iterator[str]:
    """Every allowed line; what is not here is refused."""
    yield "principal | action | consent | levels allowed | purposes"
    for name, principal in PRINCIPALS.items():
        for action in (*ON_RECORDS, Action.ERASE, *ON_HOLDINGS):
            for consent in CONSENTS:
                found = {purpose: _allowed(principal, action, purpose, consent) for purpose in PURPOSES}
                for allowed in dict.fromkeys(filter(None, found.values())):
                    purposes = " ".join(purpose for purpose in PURPOSES if found[purpose] == allowed)
                    yield f"{name} | {action} | {consent or '-'} | {allowed} | {purposes}"


def _allowed(principal: Principal, action: Action, purpose: Purpose, consent: str) -> str:
    if action in ON_HOLDINGS:
        decided = decide(POLICIES, principal, action, None, purpose=purpose, consent=consent, reasoned=True)
        return "yes" if decided.allowed else ""
    return " ".join(
        str(int(level))
        for level in Sensitivity
        if decide(POLICIES, principal, action, _record(level), purpose=purpose, consent=consent, reasoned=True).allowed
    )


def test_the_decision_table_is_as_reviewed() -> None:
    assert list(lines()) == TABLE.read_text("utf-8").splitlines()


@pytest.mark.parametrize("kind", [PrincipalKind.AUDITOR, PrincipalKind.RESEARCHER, PrincipalKind.OPERATOR])
@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("action", ON_RECORDS)
def test_auditors_researchers_and_operators_see_no_record_whatever_they_say(
    kind: PrincipalKind, purpose: Purpose, action: Action
) -> None:
    for level in Sensitivity:
        assert not decide(POLICIES, PRINCIPALS[kind], action, _record(level), purpose=purpose).allowed


@pytest.mark.parametrize("purpose", list(Purpose))
def test_levels_4_and_5_are_opened_by_nobody_above(purpose: Purpose) -> None:
    for name, principal in PRINCIPALS.items():
        for level in (Sensitivity.SENSITIVE, Sensitivity.RESTRICTED):
            assert not decide(POLICIES, principal, Action.OPEN, _record(level), purpose=purpose).allowed, name


@pytest.mark.parametrize("action", [Action.OPEN, Action.READ, Action.SEARCH, Action.VIEW_PERSON])
def test_an_objection_to_a_category_binds_at_any_level(action: Action) -> None:
    labelled = ResourceClass(
        type="Observation",
        sensitivity=Sensitivity.ROUTINE,
        category=SensitiveCategory.PSYCHIATRIC,
        jurisdiction=COUNTY,
    )
    asks = PRINCIPALS["nation cn" if action is Action.OPEN else PrincipalKind.VIEWER]

    assert decide(POLICIES, asks, action, labelled, purpose=Purpose.TREATMENT).allowed
    assert decide(POLICIES, asks, action, labelled, purpose=Purpose.TREATMENT, consent="deny:SEX").allowed
    assert not decide(POLICIES, asks, action, labelled, purpose=Purpose.TREATMENT, consent="deny:PSY,SEX").allowed
    assert not decide(POLICIES, asks, action, labelled, purpose=Purpose.TREATMENT, consent="deny:nonsense").allowed


@pytest.mark.parametrize("level", list(Sensitivity))
def test_an_objection_to_what_is_restricted_by_label_alone_binds_that_and_nothing_else(level: Sensitivity) -> None:
    labelled = ResourceClass(
        type="Observation", sensitivity=level, category=SensitiveCategory.GENERAL, jurisdiction=COUNTY
    )
    asks = PRINCIPALS[PrincipalKind.CLINICIAN]
    decided = decide(POLICIES, asks, Action.LOOK_UP, labelled, purpose=Purpose.TREATMENT, consent="deny:R")

    assert decided.allowed == (level < Sensitivity.SENSITIVE)


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("action", list(Action))
def test_a_desk_reads_and_erases_on_the_persons_request_and_nothing_else(action: Action, purpose: Purpose) -> None:
    is_owed = purpose is Purpose.PATIENT_REQUEST and action in {Action.READ, Action.VIEW_PERSON, Action.ERASE}
    for level in Sensitivity:
        for consent in CONSENTS:
            decided = decide(
                POLICIES, PRINCIPALS[PrincipalKind.DESK], action, _record(level), purpose=purpose, consent=consent
            )
            assert decided.allowed == is_owed


@pytest.mark.parametrize("level", list(Sensitivity))
def test_nobody_breaks_the_glass_without_a_reason(level: Sensitivity) -> None:
    for name, principal in PRINCIPALS.items():
        for action in ON_RECORDS:
            decided = decide(POLICIES, principal, action, _record(level), purpose=Purpose.BREAK_THE_GLASS)
            assert not decided.allowed, name


def test_every_policy_decides_something() -> None:
    decisive = {
        name
        for principal in PRINCIPALS.values()
        for action in Action
        for purpose in PURPOSES
        for consent in CONSENTS
        for level in Sensitivity
        for reasoned in (False, True)
        for name in decide(
            POLICIES, principal, action, _record(level), purpose=purpose, consent=consent, reasoned=reasoned
        ).policies
    }

    assert decisive == POLICIES.rules.keys()


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())

"""The consent cases of IHE PCF, end to end: what the nation gets, and what a look-up by a hospital is answered.

Source: IHE ITI Privacy Consent on FHIR (PCF) 1.1, section 3:5.8: basic, intermediate and advanced consents. The
Consents are ours; cases about named resources, authors and encounters are honoured in full, because no class tells
them apart.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.federation.consents import (
    COUNTY,
    OTHER_HOSPITAL,
    OUR_HOSPITAL,
    deny,
    labels,
    may_look_up,
    permit,
    person_of,
    purposes,
    recipient,
    told,
)
from tests.federation.network import Network
from tests.federation.practitioners import look_up, resources_of
from tests.federation.prepared import prepared
from tests.federation.records import condition, consent, immunization, national_id, observation, patient, transaction

from health_exchange.model.purposes import Purpose
from health_exchange.protocol.exchange_ids import exchange_id

CARE = purposes("TREAT", "HPAYMT", "HOPERAT")
PAST, THIS_YEAR = {"start": "2020-01-01", "end": "2023-12-31"}, {"start": "2026-01-01", "end": "2026-12-31"}
PUSHED = frozenset({"p1", "o2025", "o2026", "i2026"})
USUAL, ALL = frozenset({"general", "label", "PSY"}), frozenset({"general", "label", "PSY", "HIV"})
NOTHING: frozenset[str] = frozenset()
NORMAL = frozenset({"general"})
OF_KIND = {
    "general": PUSHED,
    "label": frozenset({"labelled"}),
    "PSY": frozenset({"psy"}),
    "HIV": frozenset({"hiv"}),
}
RECORDS = frozenset[str]().union(*OF_KIND.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One consent and what follows from it.

    Attributes:
        provision: The base provision.
        policy: Code of a policy rule.
        status: Of the Consent.
        pushed: What of the person's records the nation has, the Consent aside.
        ours: Categories that a clinician of our hospital is answered, for treatment.
        others: The same for another hospital.
        given: What a look-up by our hospital, for treatment, brings of the records; by default what ``ours`` names.
        glass: The same for whoever breaks the glass with a reason.
        found: Whether the nation knows where something of the person is.
    """

    provision: dict[str, Any] | None = None
    policy: str = ""
    status: str = "active"
    pushed: frozenset[str] = PUSHED
    ours: frozenset[str] = USUAL
    others: frozenset[str] = USUAL
    glass: frozenset[str] = ALL
    found: bool = True
    given: frozenset[str] | None = None

    @property
    def brought(self) -> frozenset[str]:
        """What a look-up by our hospital brings."""
        return frozenset[str]().union(*(OF_KIND[kind] for kind in self.ours)) if self.given is None else self.given


@dataclass(frozen=True, slots=True)
class Refused(Case):
    """A case in which nothing is pushed and nobody is answered, but for broken glass."""

    pushed: frozenset[str] = field(default=NOTHING, kw_only=True)
    ours: frozenset[str] = field(default=NOTHING, kw_only=True)
    others: frozenset[str] = field(default=NOTHING, kw_only=True)


CASES = {
    "nothing said": Case(status="inactive", policy="OPTOUT"),
    "basic: treat": Case(provision=permit(purpose=CARE)),
    "basic: treat, whatever actions are named": Case(
        provision=permit(
            action=[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "access"}]}]
        )
    ),
    "basic: reject": Refused(provision=deny(purpose=CARE)),
    "basic: reject everything": Refused(provision=deny(), found=False),
    "basic: opt out": Refused(policy="OPTOUT", found=False),
    "basic: reject, taken back": Case(provision=deny(), status="inactive"),
    "basic: treat, expired": Case(provision=permit(purpose=CARE, period=PAST)),
    "basic: reject, expired": Case(provision=deny(period=PAST)),
    "intermediate: only data of a time frame": Refused(
        provision=permit(purpose=CARE, dataPeriod=THIS_YEAR),
        pushed=frozenset({"o2026", "i2026"}),
        given=frozenset({"o2026", "i2026", "labelled"}),
    ),
    "intermediate: not data of a time frame": Refused(
        provision=permit(purpose=CARE, provision=[deny(dataPeriod=THIS_YEAR)]),
        pushed=frozenset({"o2025"}),
        given=frozenset({"o2025"}),
    ),
    "intermediate: within a time frame": Refused(provision=deny(period=THIS_YEAR), found=False),
    "intermediate: not with a named organisation": Case(
        provision=permit(provision=[deny(actor=recipient(OTHER_HOSPITAL))]), others=NOTHING
    ),
    "intermediate: only with a named organisation": Refused(
        provision=permit(actor=recipient(OUR_HOSPITAL)), ours=USUAL
    ),
    "intermediate: reject but for a named organisation": Refused(
        provision=deny(provision=[permit(actor=recipient(OUR_HOSPITAL))]), ours=USUAL
    ),
    "intermediate: only for a purpose": Refused(provision=permit(purpose=purposes("PUBHLTH"))),
    "intermediate: not for a purpose": Case(provision=permit(provision=[deny(purpose=purposes("PUBHLTH"))])),
    "intermediate: reject but for broken glass": Refused(provision=deny(provision=[permit(purpose=purposes("BTG"))])),
    "intermediate: only named data, which no class tells apart": Refused(
        provision=permit(purpose=CARE, data=[{"meaning": "instance", "reference": {"reference": "Observation/o2026"}}]),
        found=False,
    ),
    "intermediate: not named data, which no class tells apart": Refused(
        provision=permit(
            provision=[deny(data=[{"meaning": "instance", "reference": {"reference": "Observation/o2026"}}])]
        ),
        found=False,
    ),
    "advanced: normal": Case(provision=permit(purpose=CARE, securityLabel=labels("N")), ours=NORMAL, others=NORMAL),
    "advanced: normal and restricted": Case(provision=permit(purpose=CARE, securityLabel=labels("N", "R"))),
    "advanced: normal and not restricted": Case(
        provision=permit(purpose=CARE, securityLabel=labels("N"), provision=[deny(securityLabel=labels("R"))]),
        ours=NORMAL,
        others=NORMAL,
    ),
    "advanced: normal, and mental health for a named organisation": Case(
        provision=permit(
            purpose=CARE,
            securityLabel=labels("N"),
            provision=[permit(securityLabel=labels("R", "PSY"), actor=recipient(OUR_HOSPITAL))],
        ),
        ours=frozenset({"general", "PSY"}),
        others=NORMAL,
    ),
    "advanced: normal, and restricted behind glass": Case(
        provision=permit(
            purpose=CARE,
            securityLabel=labels("N"),
            provision=[permit(securityLabel=labels("R"), purpose=purposes("BTG"))],
        ),
        ours=NORMAL,
        others=NORMAL,
    ),
    "advanced: not a named category": Case(
        provision=deny(securityLabel=labels("PSY")),
        ours=frozenset({"general", "label"}),
        others=frozenset({"general", "label"}),
    ),
    "advanced: a named category granted": Case(provision=permit(securityLabel=labels("HIV")), ours=ALL, others=ALL),
    "advanced: a named category granted to a named organisation": Case(
        provision=permit(securityLabel=labels("HIV"), actor=recipient(OUR_HOSPITAL)), ours=ALL
    ),
    "advanced: a named category granted until last year": Case(
        provision=permit(securityLabel=labels("HIV"), period=PAST)
    ),
    "advanced: a label that we do not know rejected": Refused(provision=deny(securityLabel=labels("XYZ")), found=False),
    "advanced: a label that we do not know granted": Case(provision=permit(securityLabel=labels("XYZ"))),
}


ONE_IN = 3
"""One case in so many is fast, of every level some."""


async def a_persons_records(network: Network) -> None:
    earlier = {**observation("o2025", "p1"), "effectiveDateTime": "2025-06-01T08:00:00+08:00"}
    records = [patient("p1", identity=national_id(1)), earlier, observation("o2026", "p1"), immunization("i2026", "p1")]
    restricted = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    records += [{**observation("labelled", "p1"), "meta": {"security": [restricted]}}]
    records += [condition("psy", "p1", "F32.9"), condition("hiv", "p1", "B20")]
    assert {record["id"] for record in records} == RECORDS
    await network.admit(COUNTY, transaction(*records), "r1")
    await network.settle()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name, marks=[] if number % ONE_IN == 0 else pytest.mark.slow)
        for number, (name, case) in enumerate(CASES.items())
    ],
)
async def test_a_consent_case_of_ihe_pcf_comes_to_this(case: Case, tmp_path: Path) -> None:
    network = await prepared(tmp_path, a_persons_records)
    said = consent("n1", "p1", case.provision, status=case.status, policy=case.policy)
    await network.admit(COUNTY, transaction(said), "r2")
    await network.settle()

    assert pushed(network, RECORDS) == case.pushed
    assert bool(told(network, person_of(network))) == case.found
    assert may_look_up(network, OUR_HOSPITAL) == case.ours
    assert may_look_up(network, OTHER_HOSPITAL) == case.others
    assert may_look_up(network, OTHER_HOSPITAL, Purpose.BREAK_THE_GLASS, reasoned=True) == case.glass
    assert may_look_up(network, OTHER_HOSPITAL, Purpose.BREAK_THE_GLASS) == NOTHING
    brought = {each["id"] for each in resources_of(await look_up(network, national_id(1)))}
    assert brought - {"n1"} == case.brought
    assert network.log_failures() == []


def pushed(network: Network, names: frozenset[str]) -> set[str]:
    """Those of the county's records that the nation keeps, by their ids at the county."""
    keys = network[COUNTY].parts.keys.exchange_ids
    kept = {name for _kind, name in network.kept("cn")}
    kinds = {kind for kind, _name in network.kept(COUNTY)}
    return {name for name in names if any(exchange_id(keys, kind, name) in kept for kind in kinds)}

"""Provisions of Consents as their authors write them, and what the nation and holders make of them."""

from functools import partial
from typing import Any

from tests.federation.network import Network

from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.policy.consent_rules import combined, effective
from health_exchange.policy.decisions import Action, Principal
from health_exchange.policy.engine import decide
from health_exchange.store import locators, subjects

COUNTY = "cn/33/3305/330521"
OUR_HOSPITAL, OTHER_HOSPITAL = "121000001000791901", "12330000470051726F"
CREDIT_CODES = "urn:oid:2.16.156.10011.1.5"
CATEGORIES = {
    "general": (Sensitivity.CLINICAL, SensitiveCategory.GENERAL),
    "label": (Sensitivity.SENSITIVE, SensitiveCategory.GENERAL),
    "PSY": (Sensitivity.SENSITIVE, SensitiveCategory.PSYCHIATRIC),
    "HIV": (Sensitivity.RESTRICTED, SensitiveCategory.HIV),
}


def permit(**conditions: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a provision holds
    """A provision that permits."""
    return {"type": "permit", **conditions}


def deny(**conditions: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a provision holds
    """A provision that denies."""
    return {"type": "deny", **conditions}


def purposes(*codes: str) -> list[dict[str, str]]:
    """What a provision is for."""
    return [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code} for code in codes]


def labels(*codes: str) -> list[dict[str, str]]:
    """Labels of the records that a provision is about."""
    act, confidentiality = (
        f"http://terminology.hl7.org/CodeSystem/v3-{name}" for name in ("ActCode", "Confidentiality")
    )
    return [{"system": confidentiality if len(code) == 1 else act, "code": code} for code in codes]


def recipient(code: str) -> list[dict[str, Any]]:
    """An organisation that may receive, by its credit code."""
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
    reference = {"type": "Organization", "identifier": {"system": CREDIT_CODES, "value": code}}
    return [{"role": role, "reference": reference}]


def clinician(organization: str) -> Principal:
    """A clinician of another province who looks up."""
    return Principal(kind="clinician", id="dr", organization=organization, address="cn/51/5100")


def person_of(network: Network, local_id: str = "p1", origin: str = COUNTY) -> Pseudonym:
    """Who a Patient is."""
    subject = network[origin].parts.store.read_now(lambda tx: subjects.by_anchor(tx, f"Patient/{local_id}"))
    assert subject is not None
    assert subject.pseudonym is not None
    return subject.pseudonym


def said_at(network: Network, address: str, person: Pseudonym) -> set[str]:
    """The consent texts that a node keeps of a person's subjects."""
    found = network[address].parts.store.read_now(lambda tx: subjects.subjects_of(tx, person))
    return {subject.consent for subject in found}


def told(network: Network, person: Pseudonym) -> dict[str, str]:
    """By holder, the consent text that the nation attaches to look-ups."""
    holdings = network["cn"].parts.store.read_now(lambda tx: locators.holders_of(tx, person))
    return {str(holding.node): holding.consent for holding in holdings}


def may_look_up(
    network: Network,
    organization: str,
    purpose: Purpose = Purpose.TREATMENT,
    *,
    reasoned: bool = False,
    data_at: str | None = None,
) -> set[str]:
    """The categories that the county answers a clinician of an organisation, by its own and all attached consents."""
    person = person_of(network)
    (own,) = said_at(network, COUNTY, person)
    text = combined(own, told(network, person).values())
    at = network.clock.now()
    plain = effective(text, at=at, organization=organization, purpose=purpose, data_at=data_at)
    asked = partial(
        decide, network["cn"].parts.policies, clinician(organization), Action.LOOK_UP, purpose=purpose, consent=plain
    )
    return {
        name
        for name, (level, category) in CATEGORIES.items()
        if asked(
            ResourceClass(type="Observation", sensitivity=level, category=category, jurisdiction=COUNTY),
            reasoned=reasoned,
        ).allowed
    }

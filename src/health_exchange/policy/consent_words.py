"""What a consent text says, in sentences that its person can read."""

from collections.abc import Mapping
from types import MappingProxyType

from health_exchange.model.sensitivity import SensitiveCategory
from health_exchange.policy.consent_rules import EVERYTHING, Scope, read_rules
from health_exchange.policy.consents import RESTRICTED

KINDS: Mapping[str, str] = MappingProxyType(
    {
        SensitiveCategory.GENERAL: "ordinary care",
        SensitiveCategory.PSYCHIATRIC: "mental health",
        SensitiveCategory.REPRODUCTIVE: "sexual and reproductive health",
        SensitiveCategory.GENETIC: "genetics",
        SensitiveCategory.ABUSE: "abuse and violence",
        SensitiveCategory.SUBSTANCE: "substance use",
        SensitiveCategory.HIV: "HIV",
        RESTRICTED: "anything else marked restricted",
    }
)
PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "TREAT": "treatment",
        "ETREAT": "emergency treatment",
        "BTG": "breaking the glass in an emergency",
        "HPAYMT": "payment",
        "HOPERAT": "running a care facility",
        "HSYSADMIN": "running this system",
        "PUBHLTH": "public health",
        "HRESCH": "research",
        "PATRQT": "the person's own request",
        "HLEGAL": "an audit",
    }
)


def words_of(text: str) -> list[str]:
    """A sentence for each objection and each grant; none where nothing is said."""
    rules = read_rules(text)
    sentences = []
    for objection in rules.objections:
        sentence = f"Do not share {_scope(objection)}"
        if objection.exceptions:
            sentence += "; except " + " and ".join(_scope(each) for each in objection.exceptions)
        sentences.append(f"{sentence}.")
    return [*sentences, *(f"Share even strictly restricted {_scope(grant)}." for grant in rules.grants)]


def _scope(scope: Scope) -> str:
    """A scope in words."""
    whole = set(scope.kinds) >= EVERYTHING
    words = "any record" if whole else f"records of {', '.join(KINDS[kind] for kind in scope.kinds)}"
    if scope.data_since or scope.data_until:
        words += f" dated{_span(scope.data_since, scope.data_until)}"
    if scope.organizations is not None:
        words += f" with {' or '.join(scope.organizations)}"
    if scope.purposes is not None:
        words += f" for {' or '.join(PURPOSES.get(purpose, purpose) for purpose in scope.purposes)}"
    if scope.since or scope.until:
        words += f", holding{_span(scope.since, scope.until)}"
    return words


def _span(since: str, until: str) -> str:
    """From when until when, in words."""
    return (f" from {since}" if since else "") + (f" before {until}" if until else "")

"""What a person's Consents come to: one short text per subject, the same for all who say the same.

The store keeps the text, policy decides by it. Only objections to sharing count, and they count in full: a condition
that we cannot honour exactly (an actor, a period, a resource type, an exception) makes the objection wider, never
narrower. A Consent is read as the record that it is; who may write one is policy's matter.

Source: FHIR R4 Consent (http://hl7.org/fhir/R4/consent.html), labels of HL7 v3 ActCode.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from health_exchange.model.sensitivity import SensitiveCategory
from health_exchange.policy.code_tables import LABEL_CATEGORIES

NOTHING_SAID = ""
OBJECTS_TO_ALL = "deny:*"
_PREFIX = "deny:"
_GRANTS = "permit:"
_NESTING_MAX = 16

# Scopes of Consents that are not about sharing records.
_OTHER_SCOPES = frozenset({"research", "treatment", "adr"})
_OPT_OUT = frozenset({"OPTOUT", "OPTOUTE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentClass:
    """What a person objects to, and what strictly restricted records the person lets be shared.

    Attributes:
        objects: To all sharing, even to telling where there is something.
        objections: To sharing records of these categories.
        grants: Sharing of strictly restricted records of these categories.
    """

    objects: bool = False
    objections: frozenset[str] = frozenset()
    grants: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """The text that stands for it: equal classes have equal texts."""
        if self.objects:
            return OBJECTS_TO_ALL
        denied = _PREFIX + ",".join(sorted(self.objections)) if self.objections else ""
        granted = _GRANTS + ",".join(sorted(self.grants)) if self.grants else ""
        return ";".join(part for part in (denied, granted) if part) or NOTHING_SAID


@lru_cache(maxsize=1024)
def read_consent_class(text: str) -> ConsentClass:
    """The class that ``text`` stands for; a text that we did not write objects to everything."""
    said = {"deny": frozenset[str](), "permit": frozenset[str]()}
    for part in text.split(";") if text != NOTHING_SAID else ():
        verb, _colon, names = part.partition(":")
        said[verb] = frozenset(names.split(","))
    if said.keys() == {"deny", "permit"} and said["deny"] | said["permit"] <= set(SensitiveCategory):
        found = ConsentClass(objections=said["deny"], grants=said["permit"])
        if str(found) == text:
            return found
    return ConsentClass(objects=True)


def joined(texts: Iterable[str]) -> str:
    """The text for what several classes say of one person together: every objection stands, no grant does.

    A grant is for the records of the origin where it was given.
    """
    said = [read_consent_class(text) for text in texts]
    if any(each.objects for each in said):
        return OBJECTS_TO_ALL
    return str(ConsentClass(objections=frozenset[str]().union(*(each.objections for each in said))))


def with_objections(own: str, others: str) -> str:
    """The text for one origin's own class under the objections that the person has made elsewhere."""
    mine, theirs = read_consent_class(own), read_consent_class(others)
    if mine.objects or theirs.objects:
        return OBJECTS_TO_ALL
    return str(ConsentClass(objections=mine.objections | theirs.objections, grants=mine.grants))


def consent_class(consents: Iterable[Mapping[str, object]]) -> str:
    """The text for all that ``consents`` (decoded FHIR Consents of one subject) say together; empty for no objection.

    Only active ones count. Of several, each objection stands.
    """
    objections: set[str] = set()
    for consent in consents:
        if consent.get("status") != "active" or _OTHER_SCOPES & set(_codes(consent.get("scope"))):
            continue
        said = _objections(consent)
        if said.objects:
            return OBJECTS_TO_ALL
        objections |= said.objections
    return str(ConsentClass(objections=frozenset(objections)))


def _objections(consent: Mapping[str, object]) -> ConsentClass:
    """What one active Consent objects to."""
    if _OPT_OUT & set(_codes(consent.get("policyRule"))):
        return ConsentClass(objects=True)
    objections: set[str] = set()
    for provision, depth in _provisions(consent.get("provision"), 0):
        if depth > _NESTING_MAX:
            return ConsentClass(objects=True)
        if provision.get("type") != "deny":
            continue
        labels = [str(label.get("code", "")) for label in _maps(provision.get("securityLabel"))]
        if not labels or any(label not in LABEL_CATEGORIES for label in labels):
            return ConsentClass(objects=True)
        objections.update(LABEL_CATEGORIES[label] for label in labels)
    return ConsentClass(objections=frozenset(objections))


def _provisions(value: object, depth: int) -> Iterator[tuple[Mapping[str, object], int]]:
    """Every provision, outermost first, with its depth."""
    for provision in _maps(value if isinstance(value, list) else [value]):
        yield provision, depth
        if depth <= _NESTING_MAX:
            yield from _provisions(provision.get("provision"), depth + 1)


def _codes(concept: object) -> Iterator[str]:
    """Codes of a CodeableConcept."""
    if isinstance(concept, Mapping):
        for coding in _maps(concept.get("coding")):
            yield str(coding.get("code", ""))


def _maps(values: object) -> Iterator[Mapping[str, object]]:
    """The objects in a JSON array; none where it is no array."""
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, Mapping))

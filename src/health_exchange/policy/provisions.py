"""FHIR Consents as consent rules.

Sharing for care is the rule here, and a Consent is an objection to it or a grant beyond it. A base provision ``deny``
(or the policy rule OPTOUT) objects, nested permits are its exceptions. A base provision ``permit`` with an actor, a
purpose, a data period or a confidentiality label permits only that: it objects to the rest. A permit that names a
sensitive category grants its strictly restricted records. The base provision's period bounds all of a Consent.

What cannot be honoured exactly widens an objection and narrows a grant or an exception. A Consent is read as the record
that it is; who may write one is policy's matter. ``Consent.organization`` is who keeps the consent, not who is meant.

Source: FHIR R4 Consent (http://hl7.org/fhir/R4/consent.html), IHE ITI PCF, labels of HL7 v3 ActCode.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import SensitiveCategory
from health_exchange.policy.code_tables import LABEL_CATEGORIES
from health_exchange.policy.consent_rules import EVERYTHING, ConsentRules, Objection, Scope, write_rules
from health_exchange.policy.consents import RESTRICTED
from health_exchange.policy.periods import Span, read_period

CREDIT_CODE_SYSTEM = "urn:oid:2.16.156.10011.1.5"
"""Identifiers of institutions: unified social credit codes among them."""
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")
_NESTING_MAX = 16
_ALL = tuple(sorted(EVERYTHING))

# Scopes of Consents that are not about sharing records.
_OTHER_SCOPES = frozenset({"research", "treatment", "adr"})
_OPT_OUT = frozenset({"OPTOUT", "OPTOUTE"})
_RECIPIENTS = frozenset({"IRCP", "PRCP"})
_SHARING = frozenset({"access", "disclose"})
_READ = frozenset(
    {"id", "type", "period", "actor", "action", "securityLabel", "purpose", "dataPeriod", "provision", "extension"}
)
_NO_CONDITION = frozenset({"id", "type", "period", "provision", "action", "extension"})
_OWN = frozenset({"id", "type", "provision", "securityLabel", "extension"})
"""What a provision says for itself; everything else of the provision around it is a condition of its own, too."""
_NORMAL = frozenset({"U", "L", "M", "N"})
_CONFIDENTIAL = frozenset({*_NORMAL, "R", "V"})
_SENSITIVE = frozenset({str(category) for category in SensitiveCategory} - {str(SensitiveCategory.GENERAL)})
_HIV = str(SensitiveCategory.HIV)
_PURPOSES: Mapping[str, frozenset[str]] = {
    **{str(purpose): frozenset({str(purpose)}) for purpose in Purpose},
    "TREAT": frozenset({"TREAT", "ETREAT"}),
}

OrganizationOf = Callable[[str], str]
"""The unified social credit code of an Organization by a reference's text; empty where it has none that we know."""


def consent_class(consents: Iterable[Mapping[str, object]], organization_of: OrganizationOf = lambda _text: "") -> str:
    """The text for all that ``consents`` (decoded FHIR Consents of one subject) say together; empty for nothing.

    Only active ones count. Of several, each objection stands.
    """
    objections: list[Objection] = []
    grants: list[Scope] = []
    for consent in consents:
        if consent.get("status") == "active" and not _OTHER_SCOPES & set(_codes(consent.get("scope"))):
            said = _Reader(organization_of=_with_contained(consent, organization_of)).read(consent)
            objections += said.objections
            grants += said.grants
    return write_rules(ConsentRules(objections=tuple(objections), grants=tuple(grants)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Reads one Consent into objections and grants."""

    organization_of: OrganizationOf
    objections: list[Objection] = field(default_factory=list)
    grants: list[Scope] = field(default_factory=list)

    def read(self, consent: Mapping[str, object]) -> ConsentRules:
        """What one active Consent says."""
        base = next(_maps([consent.get("provision")]), {})
        bounds = read_period(base.get("period"))
        if "modifierExtension" in {*consent, *base} or _depth(base) > _NESTING_MAX or bounds is None:
            return ConsentRules(objections=(Objection(kinds=_ALL),))
        opted_out = bool(_OPT_OUT & set(_codes(consent.get("policyRule"))))
        verb = "deny" if opted_out else str(base.get("type", ""))
        if verb == "deny":
            self._object(base, bounds, as_base=opted_out)
        elif verb == "permit":
            self._permit_only(base, bounds)
        for nested in _maps(base.get("provision")):
            self._nested(nested, base, bounds)
        return ConsentRules(objections=tuple(self.objections), grants=tuple(self.grants))

    def _nested(self, provision: Mapping[str, object], parent: Mapping[str, object], bounds: Span) -> None:
        """A provision inside another one: a denial stands by itself, a permit may also grant."""
        inherited = {name: value for name, value in parent.items() if name not in _OWN}
        whole = {**inherited, **provision}
        if provision.get("type") == "deny":
            self._object(provision, bounds)
        elif provision.get("type") == "permit":
            self._grant(whole, bounds)
        for nested in _maps(provision.get("provision")):
            self._nested(nested, whole, bounds)

    def _object(self, provision: Mapping[str, object], bounds: Span, *, as_base: bool = False) -> None:
        """An objection with the permits directly under it as exceptions.

        Args:
            provision: Of type ``deny``, or the base of a Consent that opts out.
            bounds: Of the whole Consent.
            as_base: The policy rule opts out: only the period of the base provision limits that.
        """
        permits = [each for each in _maps(provision.get("provision")) if each.get("type") == "permit"]
        permits += [provision] if as_base and provision.get("type") == "permit" else []
        scope = self._widest({"period": provision.get("period")} if as_base else provision, bounds)
        exceptions = [found for each in permits if (found := self._exception(each, bounds)) is not None]
        self.objections.append(Objection(**msgspec.structs.asdict(scope), exceptions=tuple(exceptions)))

    def _exception(self, permit: Mapping[str, object], bounds: Span) -> Scope | None:
        """A permit inside an objection; ``None`` where it covers nothing, or everything: that says nothing."""
        scope = self._narrowest(permit, bounds)
        if scope is None or scope.picks_askers or scope.picks_data or "period" in permit:
            return scope
        return None if set(scope.kinds) == EVERYTHING else scope

    def _permit_only(self, base: Mapping[str, object], bounds: Span) -> None:
        """A base permit: what it names is granted; with conditions it is all that is permitted."""
        self._grant(base, bounds)
        labels = _labels(base)
        names_categories = bool(labels) and not labels & _CONFIDENTIAL
        if not names_categories and (labels or base.keys() - _NO_CONDITION):
            self._object({"provision": [base, *_maps(base.get("provision"))]}, bounds)

    def _grant(self, permit: Mapping[str, object], bounds: Span) -> None:
        """A grant of the strictly restricted records of the categories that a permit names.

        Every condition of the provisions around it that it does not state itself is its own: a grant is never wider.
        """
        scope = self._narrowest(permit, bounds)
        named = _granted(_labels(permit))
        if scope is not None and named:
            self.grants.append(msgspec.structs.replace(scope, kinds=tuple(sorted(named))))

    def _widest(self, provision: Mapping[str, object], bounds: Span) -> Scope:
        """What a denial covers, at least."""
        if provision.keys() - _READ:
            provision = {"securityLabel": provision.get("securityLabel"), "period": provision.get("period")}
        organizations = [self._organization(actor) for actor in _maps(provision.get("actor"))]
        purposes = _purposes(provision)
        own = read_period(provision.get("period")) or Span()
        data = read_period(provision.get("dataPeriod")) or Span()
        return _scope(
            kinds=_denied(_labels(provision)),
            organizations=organizations if organizations and all(organizations) else None,
            purposes=[code for codes in purposes for code in codes] if purposes and all(purposes) else None,
            span=own.within(bounds),
            data=data,
        )

    def _narrowest(self, provision: Mapping[str, object], bounds: Span) -> Scope | None:
        """What a permit covers, at most; ``None`` for nothing."""
        actions = [code for action in _maps(provision.get("action")) for code in _codes(action)]
        own, data = read_period(provision.get("period")), read_period(provision.get("dataPeriod"))
        if provision.keys() - _READ or own is None or data is None or (actions and not _SHARING & set(actions)):
            return None
        organizations = [self._organization(actor) for actor in _maps(provision.get("actor"))]
        purposes = _purposes(provision)
        kinds = _permitted(_labels(provision))
        known = [code for codes in purposes for code in codes]
        # A group that the consent leaves to the holder's rules (who may break the glass) is policy's matter.
        if known == [str(Purpose.BREAK_THE_GLASS)]:
            organizations = []
        if not kinds or (organizations and not any(organizations)) or (purposes and not known):
            return None
        return _scope(
            kinds=kinds,
            organizations=list(filter(None, organizations)) or None,
            purposes=known or None,
            span=own.within(bounds),
            data=data,
        )

    def _organization(self, actor: Mapping[str, object]) -> str:
        """The credit code of the organisation that an actor names as a recipient; empty where that is not clear."""
        reference = next(_maps([actor.get("reference")]), {})
        if not _RECIPIENTS & set(_codes(actor.get("role"))):
            return ""
        identifier = next(_maps([reference.get("identifier")]), {})
        return _credit_code([identifier]) or self.organization_of(str(reference.get("reference", "")))


def organization_code(organization: Mapping[str, object]) -> str:
    """The unified social credit code of a decoded Organization; empty where it has none."""
    return _credit_code(_maps(organization.get("identifier")))


def _credit_code(identifiers: Iterable[Mapping[str, object]]) -> str:
    for identifier in identifiers:
        code = str(identifier.get("value", ""))
        if identifier.get("system") == CREDIT_CODE_SYSTEM and _CREDIT_CODE.fullmatch(code):
            return code
    return ""


def _with_contained(consent: Mapping[str, object], outside: OrganizationOf) -> OrganizationOf:
    """``outside``, with the Organizations that the Consent contains."""
    contained = {
        f"#{each.get('id')}": organization_code(each)
        for each in _maps(consent.get("contained"))
        if each.get("resourceType") == "Organization"
    }
    return lambda text: contained.get(text) or ("" if text.startswith("#") else outside(text))


def _scope(
    *,
    kinds: Iterable[str],
    organizations: Iterable[str] | None,
    purposes: Iterable[str] | None,
    span: Span,
    data: Span,
) -> Scope:
    return Scope(
        kinds=tuple(kinds),
        organizations=tuple(organizations) if organizations is not None else None,
        purposes=tuple(purposes) if purposes is not None else None,
        since=span.since,
        until=span.until,
        data_since=data.since,
        data_until=data.until,
    )


def _labels(provision: Mapping[str, object]) -> set[str]:
    """Codes of the labels that a provision names."""
    return {str(label.get("code", "")) for label in _maps(provision.get("securityLabel"))}


def _denied(labels: set[str]) -> Iterable[str]:
    """What a denial of labels covers, at least; a label that we do not know may be anything."""
    if not labels or labels - LABEL_CATEGORIES.keys() - _CONFIDENTIAL:
        return _ALL
    kinds = {str(LABEL_CATEGORIES[label]) for label in labels if label in LABEL_CATEGORIES}
    if labels & {"R", "V"}:
        kinds |= {*_SENSITIVE, RESTRICTED}
    if labels & _NORMAL:
        kinds.add(str(SensitiveCategory.GENERAL))
    return sorted(kinds)


def _permitted(labels: set[str]) -> Iterable[str]:
    """What a permit of labels covers, at most; a category beside a confidentiality narrows it."""
    if not labels:
        return _ALL
    kinds = {str(LABEL_CATEGORIES[label]) for label in labels if label in LABEL_CATEGORIES}
    if not kinds and "R" in labels:
        kinds |= {*_SENSITIVE, RESTRICTED} - {_HIV}
    if "V" in labels and not kinds:
        kinds.add(_HIV)
    if labels & _NORMAL:
        kinds.add(str(SensitiveCategory.GENERAL))
    return sorted(kinds)


def _granted(labels: set[str]) -> set[str]:
    """Categories whose strictly restricted records a permit of labels grants: those it names."""
    kinds = {str(LABEL_CATEGORIES[label]) for label in labels if label in LABEL_CATEGORIES}
    return kinds or ({_HIV, str(SensitiveCategory.GENERAL)} if "V" in labels else set())


def _purposes(provision: Mapping[str, object]) -> list[frozenset[str]]:
    """For each purpose that a provision names, the codes it covers; none for one that we do not know."""
    return [_PURPOSES.get(str(each.get("code", "")), frozenset()) for each in _maps(provision.get("purpose"))]


def _depth(provision: Mapping[str, object]) -> int:
    """How deep provisions are nested, counted to one beyond the bound."""
    depth, level = 0, [provision]
    while level and depth <= _NESTING_MAX:
        depth, level = depth + 1, [nested for each in level for nested in _maps(each.get("provision"))]
    return depth


def _codes(concept: object) -> Iterator[str]:
    """Codes of a CodeableConcept."""
    if isinstance(concept, Mapping):
        for coding in _maps(concept.get("coding")):
            yield str(coding.get("code", ""))


def _maps(values: object) -> Iterator[Mapping[str, object]]:
    """The objects in a JSON array; none where it is no array."""
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, Mapping))

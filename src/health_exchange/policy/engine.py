"""Decisions by Cedar policies: parsed and checked once, asked per class of resource, refused on any doubt.

Cedar skips a policy that errs, a ``forbid`` too, so a decision counts as Allow only where Cedar says Allow and reports
no error; and what could err is refused when policies are loaded: they must fit the schema, no attribute is optional,
nothing is calculated. The base set is for the whole country; a tier may add ``forbid`` and nothing else.

Source: Cedar, https://docs.cedarpolicy.com (authorization algorithm, validation).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import cedarpy

from health_exchange.model.errors import Category, ExchangeError
from health_exchange.model.purposes import Purpose
from health_exchange.model.sensitivity import ResourceClass
from health_exchange.policy.conditions import Fact, facts_in, is_patterned, values_in
from health_exchange.policy.consents import read_consent_class
from health_exchange.policy.decisions import Action, Decision, Principal, PrincipalKind

_CACHED = 65_536
_ENTITIES_CACHED = 8_192

_ENTITY_TYPES: Mapping[str, str] = {kind: kind.capitalize() for kind in PrincipalKind}

# What an action is about where it is not about records.
HOLDINGS: Mapping[Action, str] = {
    Action.LOCATE: "Locator",
    Action.READ_LOG: "Log",
    Action.VIEW_DISCLOSURES: "Log",
    Action.VIEW_STATISTICS: "Statistics",
}

# Operators of Cedar's JSON form that may err at run time (overflow), or ask for what may be absent.
_UNSAFE_OPERATORS = frozenset({"+", "-", "*", "neg", "has", "getTag", "hasTag"})
_OPTIONAL_ATTRIBUTE = re.compile(r"\?\s*:")
_COMMENT = re.compile(r"//[^\n]*")


class BadPolicyError(ExchangeError):
    """Policies that must not be used: they do not parse, do not fit the schema, or may err or loosen."""

    category = Category.INCORRECT
    code = "bad-policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy as people know it.

    Attributes:
        name: Its ``@id``, unique in the set.
        reason: Its ``@reason``: a sentence for whoever it allows or refuses.
        permits: Whether it permits; otherwise it forbids.
        actions: Names of the actions it speaks of; ``None`` for all.
        kind: Entity type of principals it is limited to in its head; empty for all.
        facts: What it looks at.
        values: Texts that its conditions name.
        is_patterned: Whether it compares texts with patterns.
    """

    name: str
    reason: str
    permits: bool
    actions: frozenset[str] | None
    kind: str
    facts: frozenset[Fact]
    values: frozenset[str]
    is_patterned: bool

    def speaks_of(self, action: Action) -> bool:
        """Whether it may decide about ``action``."""
        return self.actions is None or action in self.actions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicySet:
    """Checked policies, ready to decide. Made by :meth:`load`.

    Attributes:
        digest: SHA-256 in hex over names and texts of all policies and the schema.
        rules: Each policy by its ``@id``.
    """

    digest: str
    rules: Mapping[str, Rule]
    _texts: Mapping[str, str] = field(repr=False)
    _schema_text: str = field(repr=False)
    _parsed: Any = field(repr=False)  # cedarpy is an untyped library
    _schema: Any = field(repr=False)

    @classmethod
    def load(cls, texts: Mapping[str, str], schema: str) -> Self:
        """Check and parse.

        Args:
            texts: Cedar policies by file name.
            schema: The Cedar schema they must fit.

        Raises:
            BadPolicyError: One does not parse or fit the schema, lacks ``@id`` or ``@reason``, repeats an ``@id``, is a
                template, calculates, or asks for what may be absent.
        """
        if _OPTIONAL_ATTRIBUTE.search(_COMMENT.sub("", schema)):
            raise BadPolicyError("the schema has an optional attribute; give it a value that means none")
        parsed_schema = _parse(cedarpy.Schema.from_str, schema, "the schema")
        rules: dict[str, Rule] = {}
        for name, text in sorted(texts.items()):
            for rule in _rules_in(name, text):
                if rule.name in rules:
                    raise BadPolicyError(f"{name}: @id {rule.name} occurs twice")
                rules[rule.name] = rule
        everything = "\n".join(text for _name, text in sorted(texts.items()))
        result = cedarpy.validate_policies(everything, schema)
        if not result.validation_passed:
            names = result.id_annotations_by_policy_id
            problems = "; ".join(
                f"{names.get(error.policy_id, error.policy_id)}: {error.error}" for error in result.errors
            )
            raise BadPolicyError(f"policies do not fit the schema: {problems}")
        return cls(
            digest=_digest(texts, schema),
            rules=rules,
            _texts=dict(texts),
            _schema_text=schema,
            _parsed=_parse(cedarpy.PolicySet.from_str, everything, "the policies"),
            _schema=parsed_schema,
        )

    def load_additions(self, texts: Mapping[str, str]) -> Self:
        """This set with a lower tier's own policies, which may only forbid.

        Raises:
            BadPolicyError: As :meth:`load`, or one of them permits, or a file's name is taken.
        """
        taken = sorted(self._texts.keys() & texts.keys())
        if taken:
            raise BadPolicyError(f"the base set already has {', '.join(taken)}")
        for name, text in sorted(texts.items()):
            for rule in _rules_in(name, text):
                if rule.permits:
                    raise BadPolicyError(f"{name}: {rule.name} permits; a tier may only add forbid")
        return type(self).load({**self._texts, **texts}, self._schema_text)

    def evaluate(self, request: dict[str, Any], entities: Any) -> Decision:  # noqa: ANN401  # an untyped library's
        """Cedar's answer to one request about ``entities`` (JSON, or parsed); anything but a clean Allow refuses."""
        answer = cedarpy.is_authorized(request, self._parsed, entities, self._schema)
        names = answer.diagnostics.id_annotations_by_reason
        decisive = sorted(names[number] for number in answer.diagnostics.reasons if number in names)
        if answer.diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
            return Decision(
                allowed=False,
                policies=tuple(decisive),
                reasons=("policy could not decide, and refuses what it cannot decide; tell the node's operator",),
                digest=self.digest,
            )
        return Decision(
            allowed=answer.decision is cedarpy.Decision.Allow,
            policies=tuple(decisive),
            reasons=tuple(self.rules[name].reason for name in decisive),
            digest=self.digest,
        )


def decide(
    policies: PolicySet,
    principal: Principal,
    action: Action,
    resource_class: ResourceClass | None,
    *,
    purpose: Purpose,
    consent: str = "",
    reasoned: bool = False,
) -> Decision:
    """Whether ``principal`` may do ``action`` with every resource of a class.

    Decisions are remembered (the latest 65,536), so ask per class, not per resource.

    Args:
        policies: Who decides.
        principal: Who asks.
        action: What for.
        resource_class: About what; ``None`` for a node's log, counts and locators.
        purpose: Why.
        consent: What the person objects to and grants, as ``consents.consent_class`` writes it.
        reasoned: Whether whoever breaks the glass has said why.
    """
    return _decide(policies, principal, action, resource_class, purpose, consent, reasoned)


@lru_cache(maxsize=_CACHED)
def _decide(
    policies: PolicySet,
    principal: Principal,
    action: Action,
    resource_class: ResourceClass | None,
    purpose: Purpose,
    consent: str,
    reasoned: bool,  # noqa: FBT001  # the cache keys by position
) -> Decision:
    kind = _ENTITY_TYPES.get(principal.kind)
    holding = HOLDINGS.get(action)
    if kind is None or (resource_class is None and holding is None):
        reason = "policies know no such kind of principal" if kind is None else f"{action} needs a class of resource"
        return Decision(allowed=False, policies=(), reasons=(reason,), digest=policies.digest)
    said = read_consent_class(consent)
    request = {
        "principal": _uid(kind, principal.id),
        "action": _uid("Action", action),
        "resource": _target_uid(holding, resource_class),
        "context": {
            "purpose": str(purpose),
            "objects": said.objects,
            "objections": sorted(said.objections),
            "grants": sorted(said.grants),
            "reasoned": reasoned,
        },
    }
    decision = policies.evaluate(request, _entities(kind, principal, holding, resource_class))
    return decision if decision.reasons else _default_refusal(policies, principal, action, kind)


def _default_refusal(policies: PolicySet, principal: Principal, action: Action, kind: str) -> Decision:
    """A refusal because nothing permits: what does permit the action, this kind of principal's own ways first."""
    permits = [rule for rule in policies.rules.values() if rule.permits and rule.speaks_of(action)]
    own = [rule.reason for rule in permits if rule.kind in {"", kind}] or [rule.reason for rule in permits]
    reason = f"no policy lets this {principal.kind} {action} for this purpose"
    if own:
        reason = f"{reason}; allowed is: {'; '.join(own)}"
    return Decision(allowed=False, policies=(), reasons=(reason,), digest=policies.digest)


@lru_cache(maxsize=_ENTITIES_CACHED)
def _entities(kind: str, principal: Principal, holding: str | None, resource_class: ResourceClass | None) -> Any:  # noqa: ANN401  # cedarpy is an untyped library
    """Who asks about what, with the places they lie in, as Cedar holds it; parsing it costs as much as a decision."""
    entities = [_principal_entity(kind, principal), *_places(principal.address)]
    if holding is not None or resource_class is None:
        entities.append({"uid": _target_uid(holding, None), "attrs": {}, "parents": []})
    else:
        entities += [*_places(resource_class.jurisdiction), _record_entity(resource_class)]
    unique = {(entity["uid"]["type"], entity["uid"]["id"]): entity for entity in entities}
    return cedarpy.Entities.from_json_str(json.dumps(list(unique.values())))


def _target_uid(holding: str | None, resource_class: ResourceClass | None) -> dict[str, str]:
    """Names what is asked about."""
    if holding is not None or resource_class is None:
        return _uid(holding or "", "here")
    return _uid("Record", _record_name(resource_class))


def _record_name(resource_class: ResourceClass) -> str:
    """Names a class, as Cedar's entities need names."""
    parts = (resource_class.type, int(resource_class.sensitivity), resource_class.category, resource_class.jurisdiction)
    return "|".join(map(str, parts))


def _principal_entity(kind: str, principal: Principal) -> dict[str, Any]:
    own = {"tier": principal.tier} if kind == "Node" else {"organization": principal.organization}
    place = {"__entity": _uid("Place", principal.address)}
    attributes = {**own, "address": principal.address, "place": place}
    return {"uid": _uid(kind, principal.id), "attrs": attributes, "parents": []}


def _record_entity(resource_class: ResourceClass) -> dict[str, Any]:
    return {
        "uid": _target_uid(None, resource_class),
        "attrs": {
            "kind": resource_class.type,
            "sensitivity": int(resource_class.sensitivity),
            "category": str(resource_class.category),
            "origin": {"__entity": _uid("Place", resource_class.jurisdiction)},
        },
        "parents": [_uid("Place", resource_class.jurisdiction)],
    }


def _places(address: str) -> Iterator[dict[str, Any]]:
    """The place and all it lies in."""
    segments = address.split("/")
    for depth in range(len(segments), 0, -1):
        above = [_uid("Place", "/".join(segments[: depth - 1]))] if depth > 1 else []
        yield {"uid": _uid("Place", "/".join(segments[:depth])), "attrs": {}, "parents": above}


def _uid(entity_type: str, name: str) -> dict[str, str]:
    return {"type": entity_type, "id": str(name)}


def _rules_in(file: str, text: str) -> Iterator[Rule]:
    """The policies of one file.

    Raises:
        BadPolicyError: As :meth:`PolicySet.load`.
    """
    document = json.loads(_parse(cedarpy.policies_to_json_str, text, file))
    if document["templates"]:
        raise BadPolicyError(f"{file}: templates have no place here")
    for policy in document["staticPolicies"].values():
        annotations = policy.get("annotations", {})
        name, reason = annotations.get("id"), annotations.get("reason")
        if not name or not reason:
            raise BadPolicyError(f"{file}: every policy carries @id and @reason, {name or 'one'} does not")
        unsafe = sorted(set(_keys(policy["conditions"])) & _UNSAFE_OPERATORS)
        if unsafe:
            raise BadPolicyError(f"{file}: {name} uses {', '.join(unsafe)}, which may err; compare only")
        principal = policy["principal"]
        yield Rule(
            name=name,
            reason=reason,
            permits=policy["effect"] == "permit",
            actions=_actions(policy["action"]),
            kind=principal.get("entity_type", "") if principal["op"] == "is" else "",
            facts=facts_in(policy),
            values=values_in(policy),
            is_patterned=is_patterned(policy),
        )


def _actions(scope: Mapping[str, Any]) -> frozenset[str] | None:
    """The actions that a policy's head names."""
    if scope["op"] == "All":
        return None
    named = scope["entities"] if "entities" in scope else [scope["entity"]]
    return frozenset(each["id"] for each in named)


def _keys(value: object) -> Iterator[str]:
    """Every key anywhere in a decoded JSON value: operators of Cedar's JSON form among them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _parse(parser: Any, text: str, name: str) -> Any:  # noqa: ANN401  # cedarpy is an untyped library
    """What ``parser`` makes of ``text``; raises :class:`BadPolicyError`."""
    try:
        return parser(text)
    except ValueError as error:
        problem = str(error)
    raise BadPolicyError(f"{name} cannot be read: {problem}")


def _digest(texts: Mapping[str, str], schema: str) -> str:
    """SHA-256 over all names and texts, each with its length."""
    digest = hashlib.sha256()
    for name, text in [*sorted(texts.items()), ("", schema)]:
        for part in (name.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()

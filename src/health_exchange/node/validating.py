"""Judging a resource without keeping it: what ``$validate`` tells.

Pure. What is judged is what admission would judge of the resource alone: FHIR R4, and the identities of a Patient.
Whether its references lead anywhere is not asked, nor is any profile: who names one is told so.

Source: FHIR R4, OperationDefinition Resource-validate.
"""

from collections.abc import Mapping
from enum import StrEnum

from health_exchange.fhir.faults import Fault
from health_exchange.fhir.splicing import JsonBytes, fields, items, kind_of, text
from health_exchange.fhir.validation import all_faults, validate
from health_exchange.model.errors import Category, ExchangeError, MalformedResourceError
from health_exchange.node.findings import findings_of

FAULTS_MAX = 100
_WRAPPER = "Parameters"


class BadValidationError(ExchangeError):
    """The operation's parameters cannot be."""

    category = Category.INCORRECT
    code = "bad-parameter"


class ProfileNotKnownError(ExchangeError):
    """It asks to validate against a profile."""

    category = Category.UNSUPPORTED
    code = "profile-not-supported"


class Mode(StrEnum):
    """What the resource is meant for."""

    CREATE = "create"
    UPDATE = "update"


def judged(raw: bytes, resource_type: str, resource_id: str | None, mode: str, profile: str) -> list[Fault]:
    """Everything wrong with what a request sends, up to ``FAULTS_MAX`` faults.

    Args:
        raw: A resource, or Parameters that hold one. Untrusted.
        resource_type: In the URL.
        resource_id: In the URL, where it names one.
        mode: As in the URL; empty for none.
        profile: As in the URL; empty for none.

    Raises:
        MalformedResourceError: The body is no Parameters that hold a resource.
        BadValidationError: A mode that the operation does not have, or a parameter that is given twice.
        ProfileNotKnownError: It names a profile.
    """
    if resource_type != _WRAPPER and _type_in(raw) == _WRAPPER:
        validate_wrapper(raw)
        given = _parameters(raw)
        mode, profile = _said(given, "mode") or mode, _said(given, "profile") or profile
        raw = bytes(given.get("resource", b""))
        if not raw:
            raise MalformedResourceError("the Parameters hold no resource", where="Parameters.parameter")
    if profile:
        raise ProfileNotKnownError("no profiles are known here: validate without one", where="profile")
    if mode and mode not in set(Mode):
        raise BadValidationError(f"mode is one of {', '.join(Mode)}", where="mode")
    faults = all_faults(raw, most=FAULTS_MAX)
    return faults or _misfits(raw, resource_type, resource_id, mode)


def validate_wrapper(raw: bytes) -> None:
    """Check Parameters, but for what is in the resource that they hold: that is what is asked about.

    Raises:
        MalformedResourceError: They are none.
    """
    for fault in all_faults(raw, most=FAULTS_MAX):
        if ".resource" not in fault.where:
            raise MalformedResourceError(fault.detail, where=fault.where)


def _misfits(raw: bytes, resource_type: str, resource_id: str | None, mode: str) -> list[Fault]:
    """What is wrong with a sound resource where it is sent to."""
    view = validate(raw)
    if view.type != resource_type:
        return [Fault(detail=f"the URL says {resource_type}, the resource is a {view.type}", where=view.type)]
    if mode == Mode.UPDATE and view.id is None:
        return [Fault(detail="an update brings the resource's id", where=f"{view.type}.id")]
    if resource_id is not None and view.id not in {None, resource_id}:
        return [Fault(detail="the resource's id is not the one in the URL", where=f"{view.type}.id")]
    try:
        findings_of(view, where=view.type)
    except ExchangeError as error:
        return [Fault(detail=error.detail, where=error.where)]
    return []


def _type_in(raw: bytes) -> str:
    """The resource type that a body names; empty where it names none."""
    try:
        named = fields(raw).get("resourceType", b"")
        return text(named) if kind_of(named) == '"' else ""
    # Nothing has looked at the body yet: it may be no UTF-8, or nest without end.
    except (MalformedResourceError, UnicodeDecodeError, RecursionError):
        return ""


def _parameters(raw: bytes) -> Mapping[str, JsonBytes]:
    """The values of checked Parameters by name, as their bytes."""
    given: dict[str, JsonBytes] = {}
    for parameter in items(fields(raw).get("parameter", b"[]")):
        members = fields(parameter)
        value = next((members[name] for name in members if name == "resource" or name.startswith("value")), b"")
        # Where the resource is no sound JSON, nothing beside it was checked.
        if kind_of(members.get("name", b"")) != '"':
            raise MalformedResourceError("a parameter has a name", where="Parameters.parameter")
        name = text(members["name"])
        if name in given:
            raise BadValidationError("a parameter is given once", where="Parameters.parameter")
        given[name] = value
    return given


def _said(given: Mapping[str, JsonBytes], name: str) -> str:
    """A parameter that is a string."""
    value = given.get(name, b"")
    return text(value) if kind_of(value) == '"' else ""

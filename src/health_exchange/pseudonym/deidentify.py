"""What leaves an origin: derived from the original by the row of its type, never by a model.

Only ``id``, ``meta``, references and what is removed differ from the original; numbers and instants keep their bytes.
The label ``PSEUDED`` says what the result is: pseudonymised personal information, never anonymous. Content may still
identify: exact dates of care stay, and with them a newborn's first encounter tells its birthday.

The function is pure. ``VERSION`` changes with every change of rule, so that what left under older rules can be found.

Source: DESIGN.md, sections "De-identification" and "Resources above the origin".
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec import Raw

from health_exchange.fhir.splicing import fields, items, join_array, join_object, quote, text
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.identifiers import Pseudonym
from health_exchange.pseudonym.cleaners import HeldResourceError, Journey, Rewrite, clean_coding
from health_exchange.pseudonym.identities import looks_like_national_id
from health_exchange.pseudonym.rules.rows import Disposition, Rule, read_rules
from health_exchange.pseudonym.trees import tree_of

VERSION = 1
RULES: Mapping[str, Rule] = read_rules()
"""Every type that may leave; a type without a row is origin-only."""

_PSEUDED = b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"PSEUDED"}'
_LABEL_SYSTEMS = (
    b'"http://terminology.hl7.org/CodeSystem/v3-Confidentiality"',
    b'"http://terminology.hl7.org/CodeSystem/v3-ActCode"',
)
_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * 17
_MAYBE_ID = re.compile(r"(?=([0-9]{17}[0-9Xx]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A resource as it leaves.

    Attributes:
        body: The bytes.
        masked: Paths of elements that stayed or were masked, without any content.
    """

    body: bytes
    masked: tuple[str, ...]


def disposition_of(resource_type: str) -> Disposition:
    """Whose record a type is; ``ORIGIN_ONLY`` for every type without a row."""
    rule = RULES.get(resource_type)
    return Disposition.ORIGIN_ONLY if rule is None else rule.disposition


def deidentify(
    raw: bytes,
    *,
    rewrite: Rewrite,
    subject: Pseudonym | None,
    source: NodeAddress,
    version: int,
    changed_at: str,
) -> Outgoing:
    """The resource as it may leave its origin.

    Args:
        raw: A validated R4 resource with its id at the origin and with references ``Type/id``.
        rewrite: The exchange id of a resource of this origin; ``None`` for one that is not ours.
        subject: The person it is about; ``None`` for a directory resource.
        source: The origin.
        version: The origin's version id.
        changed_at: The instant of that version, as text.

    Raises:
        HeldResourceError: It may not leave. Codes: ``origin-only``, ``no-identity``, ``no-subject``,
            ``unknown-modifier``, ``implicit-rules``, ``no-exchange-id``, ``looks-like-id``.
    """
    given = fields(raw)
    resource_type, resource_id = text(given["resourceType"]), text(given["id"])
    rule = RULES.get(resource_type)
    if rule is None:
        raise HeldResourceError("origin-only", "resources of this type stay at their origin")
    _hold_implicit_rules(given)
    directory = rule.disposition is Disposition.DIRECTORY
    if subject is None and not directory:
        raise HeldResourceError("no-identity", "its person has no pseudonym yet", where=resource_type)
    journey = Journey(
        rewrite=rewrite,
        subject=None if directory else _subject_of(rule, given, resource_id),
        directory=directory,
        changed_at=changed_at,
    )
    contained = _name_contained(given, journey)
    exchange_id = rewrite(resource_type, resource_id)
    if exchange_id is None:
        raise HeldResourceError("no-exchange-id", "it has no id above its origin", where=resource_type)
    kept = tree_of(resource_type).clean_members(given, journey)
    head = [
        ("resourceType", bytes(given["resourceType"])),
        ("id", quote(exchange_id)),
        ("meta", _meta(given.get("meta"), source=source, version=version, changed_at=changed_at)),
    ]
    if journey.wanted:
        head.append(("contained", _clean_contained(contained, journey)))
    body = join_object(head + kept)
    _hold_national_ids(body, journey)
    return Outgoing(body=body, masked=tuple(dict.fromkeys(journey.masked)))


def _subject_of(rule: Rule, given: Mapping[str, Raw], resource_id: str) -> str:
    """The reference that stands for the person in this resource; every other person's stays at the origin."""
    if not rule.subject_path:
        return f"Patient/{resource_id}"
    members = fields(given[rule.subject_path]) if rule.subject_path in given else {}
    reference = text(members["reference"]).partition("/_history/")[0] if "reference" in members else ""
    if not reference.startswith("Patient/"):
        raise HeldResourceError(
            "no-subject", "it names no patient it is about", where=f"{rule.type}.{rule.subject_path}"
        )
    return reference


def _hold_implicit_rules(given: Mapping[str, Raw]) -> None:
    if "implicitRules" in given or "_implicitRules" in given:
        raise HeldResourceError("implicit-rules", "rules outside the resource decide what it means")


def _meta(raw: Raw | None, *, source: NodeAddress, version: int, changed_at: str) -> bytes:
    """Version and instant of the origin, where it came from, its security labels and ours."""
    labels = [_PSEUDED]
    given = fields(raw)["security"] if raw is not None and b'"security"' in bytes(raw) else None
    for item in items(given) if given is not None else ():
        label = clean_coding(item)
        if label is not None and label.startswith(tuple(b'{"system":' + system for system in _LABEL_SYSTEMS)):
            labels.append(label)
    return join_object(
        [
            ("versionId", quote(str(version))),
            ("lastUpdated", quote(changed_at)),
            ("source", quote(f"urn:health-exchange:{source}")),
            ("security", join_array(labels)),
        ]
    )


def _name_contained(given: Mapping[str, Raw], journey: Journey) -> dict[str, Mapping[str, Raw]]:
    """The contained resources that may leave, by local id, each given a new local id that says nothing."""
    contained: dict[str, Mapping[str, Raw]] = {}
    for raw in items(given["contained"]) if "contained" in given else ():
        members = fields(raw)
        rule = RULES.get(text(members["resourceType"]))
        allowed = rule is not None and rule.type != "Patient"
        if rule is not None and journey.directory:
            allowed = rule.disposition is Disposition.DIRECTORY
        if not allowed or "id" not in members:
            journey.masked.append("contained")
            continue
        _hold_implicit_rules(members)
        local = text(members["id"])
        contained[local] = members
        journey.contained[local] = f"c{len(contained)}"
    return contained


def _clean_contained(contained: Mapping[str, Mapping[str, Raw]], journey: Journey) -> bytes:
    """Those contained resources that something which leaves points at, each by the row of its own type."""
    cleaned = []
    for local in journey.wanted:  # grows while we walk: a contained resource may point at another
        members = contained[local]
        kept = tree_of(text(members["resourceType"])).clean_members(members, journey)
        head = [("resourceType", bytes(members["resourceType"])), ("id", quote(journey.contained[local]))]
        cleaned.append(join_object(head + kept))
    return join_array(cleaned)


def _hold_national_ids(body: bytes, journey: Journey) -> None:
    """Raise if a string or a whole number that leaves is a national ID; fractions (``0.30000000000000004``) are not."""
    found = list(journey.names)
    if _LONG_NUMBER in body.translate(_DIGITS):
        found += [match[1] for value in _texts(json.loads(body)) for match in _MAYBE_ID.finditer(value)]
    if any(looks_like_national_id(value) for value in found):
        raise HeldResourceError("looks-like-id", "something in it looks like a national ID")


def _texts(value: object) -> Iterator[str]:
    """Every string of a decoded resource, and every whole number as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int):
        yield str(value)

"""The people of the sample records, as far as the demo needs them: whom it looks up, and where they have been."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from health_exchange.cli.demo.samples import SampleBundle, Samples
from health_exchange.model.addresses import NodeAddress
from health_exchange.pseudonym.identities import NATIONAL_ID_SYSTEMS

RESTRICTED = ("B20", "B24", "Z21")
"""ICD-10 codes of the samples that are strictly restricted (level 5)."""


@dataclass(slots=True, kw_only=True)
class SamplePerson:
    """Somebody invented, and where records of them are.

    Attributes:
        identity: National ID.
        patients: By admitting node, the local Patient and who sent it.
        is_restricted: Whether there is a strictly restricted diagnosis.
    """

    identity: str = field(repr=False)
    patients: dict[NodeAddress, tuple[str, SampleBundle]] = field(default_factory=dict)
    is_restricted: bool = False

    @property
    def provinces(self) -> set[str]:
        """Where they have been."""
        return {str(address).split("/")[1] for address in self.patients}


def sample_people(samples: Samples) -> list[SamplePerson]:
    """Everybody with a national ID, whoever has been in most places first."""
    people: dict[str, SamplePerson] = {}
    for address, bundles in samples.bundles.items():
        for bundle in bundles:
            named: dict[str, str] = {}
            for url, resource in _entries(bundle):
                identity = named[url] = _national_id(resource)
                if identity:
                    person = people.setdefault(identity, SamplePerson(identity=identity))
                    person.patients.setdefault(address, (str(resource["id"]), bundle))
                elif _is_restricted(resource) and (whose := named.get(resource["subject"]["reference"])):
                    people[whose].is_restricted = True
    return sorted(people.values(), key=lambda person: (-len(person.provinces), -len(person.patients), person.identity))


def _entries(bundle: SampleBundle) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a Bundle writes, under its full URL, in order."""
    for entry in msgspec.json.decode(bundle.path.read_bytes())["entry"]:
        if isinstance(entry.get("resource"), dict):
            yield entry.get("fullUrl", ""), entry["resource"]


def _national_id(resource: Mapping[str, Any]) -> str:
    """A Patient's national ID; empty where there is none."""
    if resource["resourceType"] != "Patient" or "id" not in resource:
        return ""
    identifiers = resource.get("identifier", [])
    return next((str(each["value"]) for each in identifiers if each.get("system") in NATIONAL_ID_SYSTEMS), "")


def _is_restricted(resource: Mapping[str, Any]) -> bool:
    """Whether it is a strictly restricted diagnosis."""
    codings = resource.get("code", {}).get("coding", []) if resource["resourceType"] == "Condition" else []
    return any(str(coding.get("code", "")).startswith(RESTRICTED) for coding in codings)

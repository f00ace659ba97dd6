"""One visit of one person to one facility, written down as a FHIR transaction.

The Patient, the Organization and the practitioner come first, each as that facility does it (see ``facilities``).
Everything added later refers to them. ``fullUrl``s are name-based UUIDs, so the same seed gives the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from health_exchange.cli.samples.codes import ACT_CODE, CONFIDENTIALITY
from health_exchange.cli.samples.dice import Dice
from health_exchange.cli.samples.facilities import (
    CREDIT_CODE_SYSTEM,
    FACILITIES,
    GRADE_CODES,
    GRADE_SYSTEM,
    STAFF_SYSTEM,
    Facility,
)
from health_exchange.cli.samples.people import (
    BIRTH_CERTIFICATE_SYSTEM,
    NATIONAL_ID_SYSTEMS,
    PASSPORT_SYSTEM,
    Person,
    make_person,
)

CHINA = timezone(timedelta(hours=8))
Resource = dict[str, Any]

_CLASSES = {"AMB": "门诊", "IMP": "住院", "EMER": "急诊"}
_LABELS = {4: "R", 5: "V"}


def staff_of(facility: Facility, seed: int) -> tuple[tuple[str, Person], ...]:
    """The two clinicians of ``facility``, with their staff numbers."""
    dice = Dice(seed, "staff", facility.client_id)
    return tuple(
        (f"SP{facility.serial:02d}{number:05d}", make_person(f"staff{number}", dice, ages=(28, 60)))
        for number in (1, 2)
    )


def organization_of(facility: Facility) -> Resource:
    """The facility as an Organization."""
    return {
        "resourceType": "Organization",
        "identifier": [{"system": CREDIT_CODE_SYSTEM, "value": facility.credit_code}],
        "active": True,
        "type": [{"coding": [{"system": GRADE_SYSTEM, "code": GRADE_CODES[facility.grade]}], "text": facility.grade}],
        "name": facility.name,
    }


def practitioner_of(number: str, person: Person) -> Resource:
    """A clinician as a Practitioner."""
    return {
        "resourceType": "Practitioner",
        "identifier": [{"system": STAFF_SYSTEM, "value": number}],
        "active": True,
        "name": [_name(person)],
        "gender": person.gender,
    }


class Visit:
    """The Bundle that one facility sends about one person on one occasion."""

    def __init__(self, *, seed: int, facility: Facility, person: Person | None, at: datetime, label: str) -> None:
        self.facility = facility
        self.label = label
        self.at = at
        self.entries: list[Resource] = []
        self.sensitivity = 0
        self.encounter = ""
        self._seed = seed
        self._clock = at
        self._security: list[Resource] = []
        self.organization = self._organization()
        self.practitioner = self._practitioner()
        self.patient = self._patient(person) if person else ""

    def instant(self, minutes: int = 0) -> str:
        """The visit's clock, ``minutes`` later, as local time of China."""
        self._clock += timedelta(minutes=minutes)
        return self._clock.isoformat()

    def restrict(self, level: int, category: str) -> None:
        """Label what is added from here on as the facility does: sensitivity ``level``, for ``category``."""
        self.sensitivity = level
        self._security = [{"system": CONFIDENTIALITY, "code": _LABELS[level]}, {"system": ACT_CODE, "code": category}]

    def add(self, resource: Resource, *, put: str = "", if_none_exist: str = "") -> str:
        """Add an entry; gives its ``fullUrl`` for others to refer to.

        Args:
            resource: Without id and meta.
            put: The facility's own id, where it updates under one.
            if_none_exist: The search that finds what is already there.
        """
        kind = resource["resourceType"]
        name = f"{self._seed}/{self.facility.client_id}/{self.at.isoformat()}/{self.label}/{len(self.entries)}"
        url = f"urn:uuid:{uuid5(NAMESPACE_URL, name)}"
        head: Resource = {"resourceType": kind}
        if put:
            head["id"] = put
        if self._security:
            head["meta"] = {"security": self._security}
        request = {"method": "PUT", "url": f"{kind}/{put}"} if put else {"method": "POST", "url": kind}
        if if_none_exist:
            request["ifNoneExist"] = if_none_exist
        self.entries.append({"fullUrl": url, "resource": {**head, **resource}, "request": request})
        return url

    def about(self, resource_type: str, **elements: object) -> Resource:
        """A resource of this visit: subject and encounter filled in."""
        resource: Resource = {"resourceType": resource_type, **elements, "subject": {"reference": self.patient}}
        if self.encounter:
            resource["encounter"] = {"reference": self.encounter}
        return resource

    def open_encounter(self, kind: str, *, days: int = 0, reason: str = "") -> str:
        """Add the Encounter; ``kind`` is AMB, IMP or EMER."""
        end = self.at + (timedelta(days=days) if days else timedelta(minutes=50))
        elements: Resource = {
            "identifier": [{"system": f"{self.facility.host}/visits", "value": f"{self.at:%Y%m%d%H%M}-{self.label}"}],
            "status": "finished",
            "class": {"system": ACT_CODE, "code": kind, "display": _CLASSES[kind]},
        }
        encounter = self.about("Encounter", **elements)
        encounter["participant"] = [{"individual": {"reference": self.practitioner}}]
        encounter["period"] = {"start": self.at.isoformat(), "end": end.isoformat()}
        if reason:
            encounter["reasonCode"] = [{"text": reason}]
        encounter["serviceProvider"] = {"reference": self.organization}
        self.encounter = self.add(encounter)
        return self.encounter

    def resource(self, url: str) -> Resource:
        """What was added under ``url``, to complete it."""
        found: Resource = next(entry["resource"] for entry in self.entries if entry["fullUrl"] == url)
        return found

    def _organization(self) -> str:
        query = f"identifier={CREDIT_CODE_SYSTEM}|{self.facility.credit_code}"
        if self.facility.refers and self.label != "set-up":
            return f"Organization?{query}"
        return self.add(organization_of(self.facility), if_none_exist=query)

    def _practitioner(self) -> str:
        staff = staff_of(self.facility, self._seed)
        number, person = staff[self.at.day % 2]
        query = f"identifier={STAFF_SYSTEM}|{number}"
        if self.facility.refers and self.label != "set-up":
            return f"Practitioner?{query}"
        return self.add(practitioner_of(number, person), if_none_exist=query)

    def _patient(self, person: Person) -> str:
        system = f"{self.facility.host}/mrn"
        number = person.record_numbers[self.facility.client_id]
        patient: Resource = {
            "resourceType": "Patient",
            "identifier": [{"use": "usual", "system": system, "value": number}, *_identities(person, self.facility)],
            "active": True,
            "name": [_name(person)],
            "gender": person.gender,
            "birthDate": person.born.isoformat(),
            "address": [{"use": "home", "text": f"样例路{1 + int(number) % 97}号", "country": "CN"}],
            "managingOrganization": {"reference": self.organization},
        }
        if self.facility.assigns_ids:
            return self.add(patient, put=local_id(self.facility, person))
        return self.add(patient, if_none_exist=f"identifier={system}|{number}")


def local_id(facility: Facility, person: Person) -> str:
    """The id under which a facility that assigns ids keeps ``person``."""
    return f"{facility.client_id}-{person.record_numbers[facility.client_id]}"


def _name(person: Person) -> Resource:
    if person.is_foreign:
        text = f"{person.given} {person.family}"
        return {"use": "official", "text": text, "family": person.family, "given": [person.given]}
    if not person.given:
        return {"use": "temp", "text": f"{person.family}某"}
    text = person.family + person.given
    return {"use": "official", "text": text, "family": person.family, "given": [person.given]}


def _identities(person: Person, facility: Facility) -> list[Resource]:
    system = NATIONAL_ID_SYSTEMS[facility.credit_code[-1] in "02468ACEGJLNQTW"]
    pairs = (
        (system, person.national_id),
        (PASSPORT_SYSTEM, person.passport),
        (BIRTH_CERTIFICATE_SYSTEM, person.birth_certificate),
    )
    return [{"use": "official", "system": system, "value": value} for system, value in pairs if value]


@dataclass(kw_only=True)
class Tale:
    """One person's way through care, being told.

    Attributes:
        home: The facilities of the person's region, by role.
        away: Those of where the person works or stays in between.
        start: The first day of it.
    """

    seed: int
    person: Person
    dice: Dice
    home: Mapping[str, str]
    away: Mapping[str, str]
    start: date
    visits: list[Visit] = field(default_factory=list)
    persons: list[Person] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    """For the manifest: kinds of planted trouble, each with what identifies it."""

    def visit(self, place: str, day: int, label: str, *, person: Person | None = None) -> Visit:
        """Someone comes to ``place`` on the ``day``-th day of the tale."""
        person = person or self.person
        if person not in self.persons:
            self.persons.append(person)
        facility = FACILITIES[place]
        dice = Dice(self.seed, "mrn", facility.client_id, person.key)
        person.record_numbers.setdefault(facility.client_id, f"{dice.between(100000, 999999)}")
        on = self.start + timedelta(days=day)
        at = datetime(on.year, on.month, on.day, self.dice.between(8, 16), self.dice.below(60), tzinfo=CHINA)
        visit = Visit(seed=self.seed, facility=facility, person=person, at=at, label=label)
        self.visits.append(visit)
        return visit

    def note(self, kind: str, what: str) -> None:
        """Remember ``what`` for the manifest."""
        self.notes.setdefault(kind, []).append(what)

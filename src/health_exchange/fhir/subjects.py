"""Whose record a resource belongs to: one row per type of the patient compartment.

Of the compartment's several parameters the row names the one that says who the record is *about*; an author or
performer who happens to be a patient makes no record his.

Source: FHIR R4, CompartmentDefinition/patient.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

_SUBJECT = ("Account AdverseEvent CarePlan CareTeam ChargeItem ClinicalImpression Communication CommunicationRequest "
    "Composition Condition DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference "
    "Encounter Flag Goal Invoice List MeasureReport Media MedicationAdministration MedicationDispense "
    "MedicationRequest MedicationStatement Observation Procedure QuestionnaireResponse RequestGroup RiskAssessment "
    "ImagingStudy ServiceRequest Specimen")  # fmt: skip
_PATIENT = ("AllergyIntolerance BodyStructure Claim ClaimResponse Consent CoverageEligibilityRequest "
    "CoverageEligibilityResponse DetectedIssue EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Immunization "
    "ImmunizationEvaluation ImmunizationRecommendation MolecularSequence NutritionOrder RelatedPerson SupplyDelivery "
    "VisionPrescription")  # fmt: skip

SUBJECT_PATHS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(_SUBJECT.split(), "subject")
    | dict.fromkeys(_PATIENT.split(), "patient")
    | {
        "Appointment": "participant.actor",
        "AppointmentResponse": "actor",
        "Basic": "subject",
        "Coverage": "beneficiary",
        "Device": "patient",  # outside the compartment, yet an implant tells of its bearer
        "EnrollmentRequest": "candidate",
        "Person": "link.target",
        "ResearchSubject": "individual",
        "Schedule": "actor",
        "SupplyRequest": "deliverTo",
        "Task": "for",
    }
)
"""Type to the element that holds the reference; types without a row are about no single patient."""

_TYPED = re.compile(r"(?:^|/)([A-Z][A-Za-z]{1,63})/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?$")


def subject_references(resource_type: str, decoded: Mapping[str, object]) -> list[str]:
    """Texts of the references of which the first to a patient says whose record this is.

    They are as they stand in the resource: relative, absolute, a urn of the same transaction, conditional
    (``Patient?…``) or contained (``#p``). What a transaction has not rewritten yet may turn out to be anything.
    """
    path = SUBJECT_PATHS.get(resource_type)
    return list(_references(decoded, path.split("."))) if path is not None else []


def may_be_patient(text: str) -> bool:
    """Whether nothing about a reference's text says that it is to something else than a patient."""
    typed = _TYPED.search(text)
    if typed:
        return typed[1] == "Patient"
    return "?" not in text or text.startswith("Patient?")


def _references(value: object, path: list[str]) -> Iterator[str]:
    """Texts of the references at ``path`` that are not declared to be to another type."""
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner, path)
    elif isinstance(value, dict):
        if path:
            yield from _references(value.get(path[0]), path[1:])
        elif isinstance(text := value.get("reference"), str) and value.get("type", "Patient") == "Patient":
            yield text

"""What places write down during a visit: findings, results, diagnoses, prescriptions, reports.

Each function adds to the visit and gives the ``fullUrl`` of the main resource.
"""

import base64
from decimal import Decimal

from health_exchange.cli.samples.codes import (
    ANALYTES,
    ATC,
    DIAGNOSES,
    DRUGS,
    ICD10,
    ICD10_CLINICAL,
    LOINC,
    OBSERVATION_CATEGORY,
    UCUM,
    VITALS,
    Concept,
)
from health_exchange.cli.samples.dice import Dice
from health_exchange.cli.samples.visit import Resource, Visit

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_DIAGNOSTIC_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"


def concept(system: str, code: str, display: str) -> Concept:
    """A concept with one code."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def disease(name: str) -> Concept:
    """A disease in both editions of ICD-10."""
    row = DIAGNOSES[name]
    clinical = {"system": ICD10_CLINICAL, "code": row.clinical, "display": row.display}
    return {"coding": [clinical, {"system": ICD10, "code": row.international}], "text": row.display}


def quantity(value: Decimal, unit: str) -> Resource:
    """A measured value in UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def diagnose(visit: Visit, code: Concept, *, chronic: bool = False, certain: bool = True) -> str:
    """Add a Condition, and name it in the Encounter, which it names too: a circle R4 permits."""
    status = "confirmed" if certain else "provisional"
    condition = visit.about(
        "Condition",
        clinicalStatus={"coding": [{"system": _CLINICAL, "code": "active" if chronic else "resolved"}]},
        verificationStatus={"coding": [{"system": _VERIFICATION, "code": status}]},
        category=[{"coding": [{"system": _CONDITION_CATEGORY, "code": "encounter-diagnosis"}]}],
        code=code,
    )
    if visit.encounter:
        condition["recordedDate"] = visit.instant(3)
    url = visit.add(condition)
    if visit.encounter:
        visit.resource(visit.encounter).setdefault("diagnosis", []).append({"condition": {"reference": url}})
    return url


def _observe(visit: Visit, category: str, code: Concept, *, put: str = "", **value: object) -> str:
    observation = visit.about(
        "Observation",
        status="final",
        category=[{"coding": [{"system": OBSERVATION_CATEGORY, "code": category}]}],
        code=code,
    )
    observation["effectiveDateTime"] = visit.instant(1)
    observation["performer"] = [{"reference": visit.practitioner}]
    observation.update(value)
    return visit.add(observation, put=put)


def measure(visit: Visit, dice: Dice, *names: str, raised: str = "") -> None:
    """Add vital signs; the one named ``raised`` is above its range."""
    for name in names:
        loinc, display, unit, low, high = VITALS[name]
        value = dice.decimal(low, high)
        if name == raised:
            value = (Decimal(high) * Decimal("1.05")).quantize(Decimal(high))
        _observe(visit, "vital-signs", concept(LOINC, loinc, display), valueQuantity=quantity(value, unit))


def measure_pressure(visit: Visit, dice: Dice, *, high: bool) -> None:
    """Add a blood pressure with its two components."""
    systolic, diastolic = (dice.decimal("142", "178"), dice.decimal("88", "104"))
    if not high:
        systolic, diastolic = (dice.decimal("108", "134"), dice.decimal("66", "84"))
    parts = (("8480-6", "收缩压", systolic), ("8462-4", "舒张压", diastolic))
    components = [
        {"code": concept(LOINC, code, display), "valueQuantity": quantity(value, "mm[Hg]")}
        for code, display, value in parts
    ]
    _observe(visit, "vital-signs", concept(LOINC, "85354-9", "血压"), component=components)


def _analyte(visit: Visit, local: str) -> Concept:
    row = ANALYTES[local]
    coding: list[Resource] = [{"system": f"{visit.facility.host}/lab-codes", "code": local, "display": row.display}]
    if row.loinc:
        coding.append({"system": LOINC, "code": row.loinc})
    return {"coding": coding, "text": row.display}


def assay(visit: Visit, dice: Dice, local: str, *, factor: str = "1", put: str = "") -> str:
    """Add one laboratory result; ``factor`` above 1 makes it abnormal."""
    row = ANALYTES[local]
    value = dice.decimal(row.low, row.high)
    if factor != "1":
        value = (Decimal(row.high) * Decimal(factor)).quantize(Decimal(row.high))
    code = "H" if value > Decimal(row.high) else "N"
    system = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
    reference_range = {"low": quantity(Decimal(row.low), row.unit), "high": quantity(Decimal(row.high), row.unit)}
    return _observe(
        visit,
        "laboratory",
        _analyte(visit, local),
        put=put,
        valueQuantity=quantity(value, row.unit),
        interpretation=[{"coding": [{"system": system, "code": code}]}],
        referenceRange=[reference_range],
    )


def panel(visit: Visit, dice: Dice, title: str, locals_: tuple[str, ...], *, raised: tuple[str, ...] = ()) -> str:
    """Add a laboratory report over its specimen and results; those in ``raised`` are above their range."""
    specimen = visit.add(
        {
            "resourceType": "Specimen",
            "status": "available",
            "type": {"text": "脑脊液" if any(local.startswith("NJ") for local in locals_) else "静脉血"},
            "subject": {"reference": visit.patient},
            "receivedTime": visit.instant(5),
        }
    )
    results = [assay(visit, dice, local, factor="1.60" if local in raised else "1") for local in locals_]
    for url in results:
        visit.resource(url)["specimen"] = {"reference": specimen}
    report = _report(visit, "LAB", {"text": title})
    report["specimen"] = [{"reference": specimen}]
    report["result"] = [{"reference": url} for url in results]
    return visit.add(report)


def _report(visit: Visit, section: str, code: Concept) -> Resource:
    category = [{"coding": [{"system": _DIAGNOSTIC_SECTION, "code": section}]}]
    report = visit.about("DiagnosticReport", status="final", category=category, code=code)
    report["effectiveDateTime"] = visit.instant(10)
    report["issued"] = visit.instant(40)
    report["performer"] = [{"reference": visit.organization}]
    return report


def image(visit: Visit, title: str, modality: str, findings: str) -> str:
    """Add order, study and free-text report of an image."""
    order = visit.about("ServiceRequest", status="completed", intent="order", code={"text": title})
    order["authoredOn"] = visit.instant(5)
    order["requester"] = {"reference": visit.practitioner}
    ordered = visit.add(order)
    study = visit.about("ImagingStudy", status="available")
    study["started"] = visit.instant(20)
    study["basedOn"] = [{"reference": ordered}]
    study["modality"] = [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality}]
    studied = visit.add(study)
    report = _report(visit, "RAD", {"text": title})
    report["basedOn"] = [{"reference": ordered}]
    report["imagingStudy"] = [{"reference": studied}]
    report["conclusion"] = findings
    return visit.add(report)


def prescribe(visit: Visit, name: str, *, days: int, reason: Concept | None = None, dispensed: bool = False) -> str:
    """Add a prescription with dose in UCUM; optionally what the pharmacy handed out."""
    row = DRUGS[name]
    coding: list[Resource] = [{"system": f"{visit.facility.host}/drug-codes", "code": row.local}]
    if row.atc:
        coding.append({"system": ATC, "code": row.atc})
    medication = {"coding": coding, "text": row.display}
    repeat = {"frequency": row.times_a_day, "period": Decimal(1), "periodUnit": "d"}
    request = visit.about("MedicationRequest", status="active", intent="order", medicationCodeableConcept=medication)
    request["authoredOn"] = visit.instant(5)
    request["requester"] = {"reference": visit.practitioner}
    if reason:
        request["reasonCode"] = [reason]
    dose = {"doseQuantity": quantity(Decimal(row.amount), row.unit)}
    request["dosageInstruction"] = [{"timing": {"repeat": repeat}, "doseAndRate": [dose]}]
    supply = {"value": Decimal(days), "unit": "天", "system": UCUM, "code": "d"}
    request["dispenseRequest"] = {"expectedSupplyDuration": supply}
    url = visit.add(request)
    if dispensed:
        visit.add(
            {
                "resourceType": "MedicationDispense",
                "status": "completed",
                "medicationCodeableConcept": medication,
                "subject": {"reference": visit.patient},
                "authorizingPrescription": [{"reference": url}],
                "whenHandedOver": visit.instant(10),
            }
        )
    return url


def perform(visit: Visit, title: str, *, code: str = "") -> str:
    """Add a Procedure; ``code`` is of the national clinical edition of ICD-9-CM-3."""
    named = concept("urn:oid:2.16.156.10011.2.3.3.12", code, title) if code else {"text": title}
    procedure = visit.about("Procedure", status="completed", code=named)
    procedure["performedDateTime"] = visit.instant(30)
    return visit.add(procedure)


def refer(visit: Visit, reason: Concept, to: str) -> str:
    """Add a referral; ``to`` is named in words, the other hospital keeps records of its own."""
    request = visit.about("ServiceRequest", status="active", intent="order", code={"text": f"转诊至{to}"})
    request["authoredOn"] = visit.instant(15)
    request["requester"] = {"reference": visit.practitioner}
    request["reasonCode"] = [reason]
    return visit.add(request)


def discharge(visit: Visit, text: str) -> str:
    """Add the discharge summary as a document with its text inside."""
    content = base64.b64encode(text.encode()).decode()
    document: Resource = {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": concept(LOINC, "18842-5", "出院小结"),
        "subject": {"reference": visit.patient},
        "date": visit.resource(visit.encounter)["period"]["end"],
        "author": [{"reference": visit.practitioner}],
        "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": content}}],
        "context": {"encounter": [{"reference": visit.encounter}]},
    }
    return visit.add(document)


def allergic(visit: Visit, substance: str) -> str:
    """Add an allergy in words."""
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
    return visit.add(
        {
            "resourceType": "AllergyIntolerance",
            "clinicalStatus": {"coding": [{"system": system, "code": "active"}]},
            "code": {"text": substance},
            "patient": {"reference": visit.patient},
            "recordedDate": visit.instant(2),
        }
    )


def vaccinate(visit: Visit, name: str) -> str:
    """Add an Immunization."""
    return visit.add(
        {
            "resourceType": "Immunization",
            "status": "completed",
            "vaccineCode": {"text": name},
            "patient": {"reference": visit.patient},
            "occurrenceDateTime": visit.instant(10),
            "lotNumber": f"YL{visit.at:%y%m}01",
        }
    )


def plan(visit: Visit, title: str, conditions: list[str]) -> str:
    """Add a CarePlan for chronic disease."""
    care = visit.about("CarePlan", status="active", intent="plan", title=title)
    care["period"] = {"start": visit.at.date().isoformat()}
    care["addresses"] = [{"reference": url} for url in conditions]
    return visit.add(care)


def aim(visit: Visit, text: str) -> str:
    """Add a Goal in words."""
    goal: Resource = {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": text}}
    goal["subject"] = {"reference": visit.patient}
    goal["startDate"] = visit.at.date().isoformat()
    return visit.add(goal)


def inherit(visit: Visit, name: str) -> str:
    """Add that the father had the disease ``name``."""
    system = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
    history: Resource = {"resourceType": "FamilyMemberHistory", "status": "completed"}
    history["patient"] = {"reference": visit.patient}
    history["relationship"] = {"coding": [{"system": system, "code": "FTH"}]}
    history["condition"] = [{"code": disease(name)}]
    return visit.add(history)


def state_medication(visit: Visit, name: str) -> str:
    """Add what the person says to be taking."""
    row = DRUGS[name]
    taken: Resource = {"resourceType": "MedicationStatement", "status": "active"}
    taken["medicationCodeableConcept"] = {"coding": [{"system": ATC, "code": row.atc}], "text": row.display}
    taken["subject"] = {"reference": visit.patient}
    taken["dateAsserted"] = visit.instant(2)
    return visit.add(taken)


def name_mother(visit: Visit, name: str) -> str:
    """Add the mother as a RelatedPerson: it names a second person, so it never leaves the admitting node."""
    system = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
    mother: Resource = {"resourceType": "RelatedPerson", "active": True, "patient": {"reference": visit.patient}}
    mother["relationship"] = [{"coding": [{"system": system, "code": "MTH"}]}]
    mother["name"] = [{"text": name}]
    return visit.add(mother)

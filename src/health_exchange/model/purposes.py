"""Why somebody asks: HL7 v3 PurposeOfUse codes, and ours for what nodes do on their own account.

Source: http://terminology.hl7.org/ValueSet/v3-PurposeOfUse (R4).
"""

from enum import StrEnum


class Purpose(StrEnum):
    """One code per reason; part of every request, decision and audit entry."""

    TREATMENT = "TREAT"
    EMERGENCY_TREATMENT = "ETREAT"
    BREAK_THE_GLASS = "BTG"
    PAYMENT = "HPAYMT"
    OPERATIONS = "HOPERAT"
    SYSTEM_ADMINISTRATION = "HSYSADMIN"
    PUBLIC_HEALTH = "PUBHLTH"
    RESEARCH = "HRESCH"
    PATIENT_REQUEST = "PATRQT"
    AUDIT = "HLEGAL"

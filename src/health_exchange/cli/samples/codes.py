"""The vocabularies the samples speak, as rows.

National clinical edition of ICD-10 beside the international one, GB/T 15657 for Chinese medicine, LOINC where a
laboratory mapped its own code, ATC and local drug codes, UCUM.
"""

from dataclasses import dataclass
from typing import Any

ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CLINICAL = "urn:oid:2.16.156.10011.2.3.3.11"
TCM = "urn:oid:2.16.156.10011.2.3.3.14"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ATC = "http://www.whocc.no/atc"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

Concept = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A disease in the national clinical edition (six characters and extension) and the international one."""

    clinical: str
    display: str
    international: str


DIAGNOSES = {
    name: Diagnosis(clinical=clinical, display=display, international=international)
    for name, clinical, display, international in (
        ("hypertension", "I10.x00x002", "高血压", "I10"),
        ("diabetes", "E11.900", "2型糖尿病", "E11.9"),
        ("fever", "R50.900", "发热", "R50.9"),
        ("cold", "J06.900", "急性上呼吸道感染", "J06.9"),
        ("encephalitis", "A86.x00", "病毒性脑炎", "A86"),
        ("pneumonia", "J18.900", "肺炎", "J18.9"),
        ("stroke", "I63.900", "脑梗死", "I63.9"),
        ("coma", "R40.200", "昏迷", "R40.2"),
        ("pregnancy", "Z34.900", "正常妊娠监督", "Z34.9"),
        ("delivery", "O80.000", "头位自然临产", "O80.0"),
        ("newborn", "Z38.000", "单胎活产，在医院内出生", "Z38.0"),
        ("jaundice", "P59.900", "新生儿黄疸", "P59.9"),
        ("gastroenteritis", "A09.900", "胃肠炎", "A09.9"),
        ("fracture", "S52.500", "桡骨下端骨折", "S52.5"),
        ("hiv", "B24.x00", "人类免疫缺陷病毒病", "B24"),
        ("depression", "F32.900", "抑郁发作", "F32.9"),
        ("checkup", "Z00.000", "一般性健康查体", "Z00.0"),
        ("gastritis", "K29.700", "胃炎", "K29.7"),
        ("dyslipidaemia", "E78.500", "高脂血症", "E78.5"),
    )
}

DIZZINESS = ("A17.07", "眩晕")
LIVER_YANG = ("B04.02.01.04.02.01", "肝阳上亢证")


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyte:
    """What a laboratory measures: its own code first, LOINC where someone mapped it."""

    local: str
    display: str
    loinc: str
    unit: str
    low: str
    high: str


ANALYTES = {
    local: Analyte(local=local, display=display, loinc=loinc, unit=unit, low=low, high=high)
    for local, display, loinc, unit, low, high in (
        ("XY-WBC", "白细胞计数", "6690-2", "10*9/L", "3.50", "9.50"),
        ("XY-RBC", "红细胞计数", "", "10*12/L", "3.80", "5.80"),
        ("XY-HGB", "血红蛋白", "718-7", "g/L", "115", "175"),
        ("XY-PLT", "血小板计数", "", "10*9/L", "125", "350"),
        ("XY-NEU", "中性粒细胞百分比", "", "%", "40.0", "75.0"),
        ("XY-CRP", "C反应蛋白", "", "mg/L", "0.50", "10.00"),
        ("SH-GLU", "葡萄糖", "14771-0", "mmol/L", "3.90", "6.10"),
        ("SH-HBA1C", "糖化血红蛋白", "4548-4", "%", "4.00", "6.00"),
        ("SH-CHOL", "总胆固醇", "", "mmol/L", "2.80", "5.70"),
        ("SH-TG", "甘油三酯", "", "mmol/L", "0.45", "1.70"),
        ("SH-LDL", "低密度脂蛋白胆固醇", "", "mmol/L", "1.50", "3.40"),
        ("SH-CREA", "肌酐", "14682-9", "umol/L", "44.0", "106.0"),
        ("SH-UREA", "尿素", "", "mmol/L", "2.60", "7.50"),
        ("SH-UA", "尿酸", "", "umol/L", "155", "428"),
        ("SH-ALT", "丙氨酸氨基转移酶", "", "U/L", "7", "40"),
        ("SH-AST", "天门冬氨酸氨基转移酶", "", "U/L", "13", "35"),
        ("SH-K", "钾", "2823-3", "mmol/L", "3.50", "5.30"),
        ("SH-NA", "钠", "", "mmol/L", "137.0", "147.0"),
        ("NJ-WBC", "脑脊液白细胞计数", "", "10*6/L", "0", "8"),
        ("NJ-PRO", "脑脊液蛋白", "", "g/L", "0.15", "0.45"),
        ("MY-HCG", "人绒毛膜促性腺激素", "", "[IU]/L", "0.0", "5.0"),
        ("MY-CD4", "CD4细胞计数", "24467-3", "/uL", "410", "1590"),
        ("MY-HIVRNA", "HIV-1核酸定量", "", "/mL", "0", "50"),
        ("SH-TBIL", "总胆红素", "", "umol/L", "3.4", "20.5"),
    )
}

BLOOD_COUNT = ("XY-WBC", "XY-RBC", "XY-HGB", "XY-PLT", "XY-NEU")
LIPIDS = ("SH-CHOL", "SH-TG", "SH-LDL")
KIDNEY = ("SH-CREA", "SH-UREA", "SH-UA")
LIVER = ("SH-ALT", "SH-AST")

VITALS = {
    name: (loinc, display, unit, low, high)
    for name, loinc, display, unit, low, high in (
        ("temperature", "8310-5", "体温", "Cel", "36.2", "37.0"),
        ("pulse", "8867-4", "脉搏", "/min", "60", "95"),
        ("weight", "29463-7", "体重", "kg", "48.50", "82.00"),
        ("child-weight", "29463-7", "体重", "kg", "12.50", "24.00"),
        ("height", "8302-2", "身高", "cm", "150.0", "182.0"),
        ("saturation", "2708-6", "血氧饱和度", "%", "95", "99"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drug:
    """A medicine with its ATC code, empty where only the facility's own code exists (Chinese medicines)."""

    local: str
    display: str
    atc: str
    amount: str
    unit: str
    times_a_day: int


DRUGS = {
    name: Drug(local=local, display=display, atc=atc, amount=amount, unit=unit, times_a_day=times)
    for name, local, display, atc, amount, unit, times in (
        ("amlodipine", "YP0101", "苯磺酸氨氯地平片 5mg", "C08CA01", "5.0", "mg", 1),
        ("metformin", "YP0202", "盐酸二甲双胍片 0.5g", "A10BA02", "0.50", "g", 2),
        ("atorvastatin", "YP0305", "阿托伐他汀钙片 20mg", "C10AA05", "20", "mg", 1),
        ("aspirin", "YP0306", "阿司匹林肠溶片 100mg", "B01AC06", "100", "mg", 1),
        ("paracetamol", "YP0401", "对乙酰氨基酚混悬液", "N02BE01", "2.50", "mL", 3),
        ("amoxicillin", "YP0501", "阿莫西林胶囊 0.5g", "J01CA04", "0.50", "g", 3),
        ("ceftriaxone", "YP0502", "注射用头孢曲松钠 2g", "J01DD04", "2.0", "g", 1),
        ("aciclovir", "YP0601", "注射用阿昔洛韦", "J05AB01", "0.25", "g", 3),
        ("efavirenz", "YP0701", "依非韦伦片 600mg", "J05AG03", "600", "mg", 1),
        ("sertraline", "YP0801", "盐酸舍曲林片 50mg", "N06AB06", "50", "mg", 1),
        ("folic-acid", "YP0901", "叶酸片 0.4mg", "B03BB01", "0.40", "mg", 1),
        ("omeprazole", "YP1001", "奥美拉唑肠溶胶囊 20mg", "A02BC01", "20", "mg", 1),
        ("tianma", "ZY2001", "天麻钩藤颗粒", "", "5.0", "g", 3),
    )
}

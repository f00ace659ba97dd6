"""Pneumonia: township, county ward, and a check-up elsewhere."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT, KIDNEY, LIVER
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """Five weeks; the control film is taken where the person lives by then."""
    dice = tale.dice
    township = tale.visit(tale.home["township"], 0, "cough")
    township.open_encounter("AMB", reason="咳嗽咳痰5天")
    clinical.measure(township, dice, "temperature", "pulse", "saturation", raised="temperature")
    clinical.panel(township, dice, "血常规", (*BLOOD_COUNT, "XY-CRP"), raised=("XY-WBC", "XY-CRP"))
    clinical.diagnose(township, clinical.disease("cold"), certain=False)
    clinical.prescribe(township, "amoxicillin", days=3, dispensed=True)

    ward = tale.visit(tale.home["county"], 3, "inpatient")
    ward.open_encounter("IMP", days=7, reason="咳嗽加重伴高热")
    clinical.allergic(ward, "青霉素皮试阳性")
    clinical.measure(ward, dice, "temperature", "pulse", "saturation", "weight", raised="temperature")
    clinical.panel(ward, dice, "血常规", (*BLOOD_COUNT, "XY-CRP"), raised=("XY-WBC", "XY-CRP"))
    clinical.panel(ward, dice, "肝肾功能", (*LIVER, *KIDNEY))
    clinical.image(ward, "胸部CT平扫", "CT", "右肺下叶见斑片状高密度影，边界模糊，考虑炎症。")
    clinical.diagnose(ward, clinical.disease("pneumonia"))
    clinical.prescribe(ward, "ceftriaxone", days=7)
    clinical.discharge(ward, "出院诊断：右下肺肺炎。抗感染治疗后体温正常，咳嗽减轻，一月后复查胸部影像。")

    control = tale.visit(tale.away["county"], 35 + dice.below(6), "control")
    control.open_encounter("AMB", reason="肺炎复查")
    clinical.measure(control, dice, "temperature", "saturation")
    clinical.panel(control, dice, "血常规", BLOOD_COUNT)
    clinical.image(control, "胸部X线正位片", "DX", "双肺纹理清晰，原右下肺炎症已吸收。")
    clinical.diagnose(control, clinical.disease("pneumonia"))

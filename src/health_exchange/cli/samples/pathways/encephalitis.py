"""A child's fever, taken for a cold in the township, that turns out to be encephalitis and is referred."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT, LIVER
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """Eleven days, three places."""
    dice = tale.dice
    township = tale.visit(tale.home["township"], 0, "fever")
    township.open_encounter("AMB", reason="发热1天")
    clinical.measure(township, dice, "temperature", "pulse", "child-weight", raised="temperature")
    clinical.panel(township, dice, "血常规", (*BLOOD_COUNT, "XY-CRP"), raised=("XY-WBC",))
    clinical.diagnose(township, clinical.disease("cold"), certain=False)
    clinical.prescribe(township, "paracetamol", days=3, dispensed=True)

    county = tale.visit(tale.home["county"], 2, "emergency")
    county.open_encounter("EMER", reason="发热3天，头痛呕吐，嗜睡")
    clinical.measure(county, dice, "temperature", "pulse", "saturation", raised="temperature")
    clinical.panel(county, dice, "血常规", (*BLOOD_COUNT, "XY-CRP"), raised=("XY-WBC", "XY-CRP"))
    clinical.image(county, "头颅CT平扫", "CT", "脑实质未见明显异常密度影，建议结合临床，必要时MRI检查。")
    clinical.diagnose(county, clinical.disease("fever"))
    clinical.diagnose(county, clinical.disease("encephalitis"), certain=False)
    clinical.refer(county, clinical.disease("encephalitis"), "上级医院儿科")

    top = tale.visit("sc-maternal" if tale.home["top"] == "sc-general" else tale.home["top"], 3, "inpatient")
    top.open_encounter("IMP", days=8, reason="发热4天，抽搐1次")
    clinical.measure(top, dice, "temperature", "pulse", "saturation", "child-weight", raised="temperature")
    clinical.perform(top, "腰椎穿刺术", code="03.3100")
    clinical.panel(top, dice, "脑脊液检查", ("NJ-WBC", "NJ-PRO"), raised=("NJ-WBC", "NJ-PRO"))
    clinical.panel(top, dice, "生化", (*LIVER, "SH-K", "SH-NA"))
    clinical.image(top, "头颅MRI", "MR", "双侧颞叶见片状长T1长T2信号影，考虑脑炎改变。")
    clinical.diagnose(top, clinical.disease("encephalitis"))
    for drug in ("aciclovir", "ceftriaxone"):
        clinical.prescribe(top, drug, days=7)
    clinical.discharge(top, "入院诊断：病毒性脑炎。经抗病毒治疗，体温正常，无抽搐，予出院，门诊随访。")

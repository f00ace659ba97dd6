"""A stroke: found in the county, thrombectomy in the provincial hospital, rehabilitation back home.

In the variant nobody knows who the person is: unconscious, without papers, admitted all the same.
"""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT, KIDNEY, LIPIDS
from health_exchange.cli.samples.visit import Tale, local_id


def tell(tale: Tale) -> None:
    """Three places in three weeks."""
    _county(tale)
    _provincial(tale)
    _rehabilitation(tale)


def tell_unknown(tale: Tale) -> None:
    """Someone without papers, identified by the family on the fourth day."""
    _without_papers(tale, identified=True)


def tell_never_known(tale: Tale) -> None:
    """Someone without papers who leaves before anyone learns who it was."""
    _without_papers(tale, identified=False)


def _without_papers(tale: Tale, *, identified: bool) -> None:
    person = tale.person
    known = (person.national_id, person.given)
    person.national_id, person.given = "", ""
    visit = tale.visit(tale.home["county"], 0, "unknown")
    visit.open_encounter("EMER", reason="路人发现昏迷，身份不明")
    clinical.measure(visit, tale.dice, "temperature", "pulse", "saturation")
    clinical.measure_pressure(visit, tale.dice, high=True)
    clinical.panel(visit, tale.dice, "急诊生化", ("SH-GLU", "SH-K", "SH-NA", *KIDNEY))
    clinical.image(visit, "头颅CT平扫", "CT", "左侧基底节区见低密度影，考虑脑梗死。")
    clinical.diagnose(visit, clinical.disease("coma"))
    tale.note("without_identity", f"Patient/{local_id(visit.facility, person)}")
    if not identified:
        tale.note("never_identified", f"Patient/{local_id(visit.facility, person)}")
        return
    person.national_id, person.given = known
    named = tale.visit(tale.home["county"], 4, "identified")
    tale.note("released", f"Patient/{local_id(named.facility, person)}")
    named.open_encounter("IMP", days=6, reason="家属确认身份")
    clinical.diagnose(named, clinical.disease("stroke"))
    clinical.prescribe(named, "aspirin", days=30)
    _rehabilitation(tale)


def _county(tale: Tale) -> None:
    visit = tale.visit(tale.home["county"], 0, "emergency")
    visit.open_encounter("EMER", reason="右侧肢体无力2小时")
    clinical.measure(visit, tale.dice, "pulse", "saturation")
    clinical.measure_pressure(visit, tale.dice, high=True)
    clinical.panel(visit, tale.dice, "急诊血常规", BLOOD_COUNT)
    clinical.panel(visit, tale.dice, "急诊生化", ("SH-GLU", "SH-K", *KIDNEY))
    clinical.image(visit, "头颅CT平扫", "CT", "未见出血，左侧大脑中动脉高密度征可疑。")
    clinical.diagnose(visit, clinical.disease("stroke"), certain=False)
    clinical.refer(visit, clinical.disease("stroke"), "省级医院卒中中心")


def _provincial(tale: Tale) -> None:
    visit = tale.visit(tale.home["top"], 1, "inpatient")
    visit.open_encounter("IMP", days=12, reason="急性脑梗死，由县医院转入")
    clinical.measure(visit, tale.dice, "pulse", "saturation", "weight")
    clinical.image(visit, "头颅MRI+MRA", "MR", "左侧大脑中动脉M1段闭塞，左侧基底节及额叶急性梗死灶。")
    clinical.perform(visit, "大脑中动脉机械取栓术", code="39.7400x002")
    clinical.panel(visit, tale.dice, "血脂", LIPIDS, raised=("SH-LDL",))
    for name in ("stroke", "hypertension"):
        clinical.diagnose(visit, clinical.disease(name), chronic=name == "hypertension")
    for drug in ("aspirin", "atorvastatin", "amlodipine"):
        clinical.prescribe(visit, drug, days=30)
    clinical.discharge(visit, "出院诊断：急性脑梗死，取栓术后。右侧肢体肌力4级，回当地康复。")


def _rehabilitation(tale: Tale) -> None:
    visit = tale.visit(tale.away["county"], 20 + tale.dice.below(8), "rehabilitation")
    visit.open_encounter("AMB", reason="脑梗死康复")
    clinical.measure_pressure(visit, tale.dice, high=False)
    clinical.diagnose(visit, clinical.disease("stroke"))
    clinical.perform(visit, "运动疗法")
    clinical.state_medication(visit, "atorvastatin")
    clinical.prescribe(visit, "aspirin", days=90, dispensed=True)

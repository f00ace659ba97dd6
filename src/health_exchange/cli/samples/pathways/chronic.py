"""Hypertension and type 2 diabetes: village, township, county, and refills where the person works."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT, KIDNEY, LIPIDS, LIVER
from health_exchange.cli.samples.visit import Tale

_BOTH = ("hypertension", "diabetes")


def tell(tale: Tale) -> None:
    """A year of follow-up."""
    dice = tale.dice
    first = tale.visit(tale.home["township"], 0, "first")
    first.open_encounter("AMB", reason="头晕，口渴")
    clinical.measure(first, dice, "pulse", "weight", "height")
    clinical.measure_pressure(first, dice, high=True)
    clinical.panel(first, dice, "生化", ("SH-GLU", "SH-HBA1C", *LIPIDS), raised=("SH-GLU", "SH-HBA1C"))
    found = [clinical.diagnose(first, clinical.disease(name), chronic=True) for name in _BOTH]
    clinical.plan(first, "高血压糖尿病随访", found)
    clinical.aim(first, "血压低于140/90mmHg，糖化血红蛋白低于7%")
    clinical.inherit(first, "hypertension")
    for drug in ("amlodipine", "metformin"):
        clinical.prescribe(first, drug, days=30, dispensed=True)
    _follow_up(tale, "clinic", 31 + dice.below(9), high=True)
    county = tale.visit(tale.home["county"], 90 + dice.below(20), "yearly")
    county.open_encounter("AMB", reason="慢病年度检查")
    clinical.measure_pressure(county, dice, high=dice.below(2) == 0)
    clinical.panel(county, dice, "血常规", BLOOD_COUNT)
    clinical.panel(county, dice, "生化", (*KIDNEY, *LIVER, "SH-HBA1C", "SH-K"), raised=("SH-HBA1C",))
    for name in (*_BOTH, "dyslipidaemia"):
        clinical.diagnose(county, clinical.disease(name), chronic=True)
    clinical.prescribe(county, "atorvastatin", days=28)
    _work_away(tale)
    _follow_up(tale, "clinic", 300 + dice.below(20), high=False)


def _follow_up(tale: Tale, role: str, day: int, *, high: bool) -> None:
    visit = tale.visit(tale.home[role], day, "follow-up")
    visit.open_encounter("AMB")
    clinical.measure_pressure(visit, tale.dice, high=high)
    clinical.assay(visit, tale.dice, "SH-GLU", factor="1.25")
    clinical.diagnose(visit, clinical.disease("hypertension"), chronic=True)


def _work_away(tale: Tale) -> None:
    visit = tale.visit(tale.away["county"], 180 + tale.dice.below(40), "refill")
    visit.open_encounter("AMB", reason="配药")
    clinical.measure_pressure(visit, tale.dice, high=False)
    clinical.panel(visit, tale.dice, "血糖", ("SH-GLU", "SH-HBA1C"), raised=("SH-GLU",))
    clinical.diagnose(visit, clinical.disease("diabetes"), chronic=True)
    clinical.prescribe(visit, "metformin", days=90, dispensed=True)
    clinical.prescribe(visit, "amlodipine", days=90)

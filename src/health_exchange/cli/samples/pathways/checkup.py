"""A yearly check-up full of local laboratory codes, and a cold elsewhere."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT, KIDNEY, LIPIDS, LIVER
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """Two check-ups a year apart, in two places."""
    for place, day, label in ((tale.home["county"], 0, "checkup"), (tale.away["county"], 360, "checkup-again")):
        visit = tale.visit(place, day, label)
        visit.open_encounter("AMB", reason="健康体检")
        clinical.measure(visit, tale.dice, "pulse", "weight", "height", "temperature")
        clinical.measure_pressure(visit, tale.dice, high=False)
        clinical.panel(visit, tale.dice, "血常规", BLOOD_COUNT)
        clinical.panel(visit, tale.dice, "生化全套", (*LIPIDS, *KIDNEY, *LIVER, "SH-GLU", "SH-K", "SH-NA"))
        clinical.image(visit, "胸部X线正位片", "DX", "双肺、心膈未见明显异常。")
        clinical.diagnose(visit, clinical.disease("checkup"))
    cold = tale.visit(tale.home["clinic"], 200, "cold")
    cold.open_encounter("AMB", reason="鼻塞咽痛")
    clinical.diagnose(cold, clinical.disease("cold"))
    clinical.vaccinate(cold, "流感病毒裂解疫苗")

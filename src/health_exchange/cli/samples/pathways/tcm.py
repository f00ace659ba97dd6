"""Chinese medicine: disease and syndrome of GB/T 15657 beside the western diagnosis."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import DIZZINESS, LIVER_YANG, TCM
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """A course of granules and acupuncture, the pressure checked elsewhere."""
    visit = tale.visit("dq-tcm", 0, "tcm")
    visit.open_encounter("AMB", reason="眩晕，头胀痛，急躁易怒")
    clinical.measure_pressure(visit, tale.dice, high=True)
    for code in (DIZZINESS, LIVER_YANG):
        clinical.diagnose(visit, clinical.concept(TCM, *code))
    clinical.diagnose(visit, clinical.disease("hypertension"), chronic=True)
    clinical.prescribe(visit, "tianma", days=7, dispensed=True)
    clinical.perform(visit, "普通针刺")
    again = tale.visit("dq-tcm", 8, "second")
    again.open_encounter("AMB", reason="复诊，眩晕减轻")
    clinical.diagnose(again, clinical.concept(TCM, *DIZZINESS))
    clinical.prescribe(again, "tianma", days=7)
    other = tale.visit(tale.away["clinic"], 60, "pressure")
    other.open_encounter("AMB")
    clinical.measure_pressure(other, tale.dice, high=False)
    clinical.diagnose(other, clinical.disease("hypertension"), chronic=True)
    clinical.prescribe(other, "amlodipine", days=30)

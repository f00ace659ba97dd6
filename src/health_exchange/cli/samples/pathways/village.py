"""A village clinic writes a diagnosis in words only; the county codes it."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT
from health_exchange.cli.samples.visit import Tale

_IN_WORDS = ("吃坏了肚子，拉稀", "肚子受凉，腹泻待查", "饮食不洁后呕吐腹泻")


def tell(tale: Tale) -> None:
    """Three visits, the last while travelling."""
    clinic = tale.visit(tale.home["clinic"], 0, "words")
    clinic.open_encounter("AMB", reason="腹泻")
    clinical.measure(clinic, tale.dice, "temperature")
    url = clinical.diagnose(clinic, {"text": tale.dice.pick(_IN_WORDS)}, certain=False)
    tale.note("text_only_diagnosis", url)
    county = tale.visit(tale.home["county"], 1, "outpatient")
    county.open_encounter("AMB", reason="腹泻2天")
    clinical.measure(county, tale.dice, "temperature", "pulse", raised="temperature")
    clinical.panel(county, tale.dice, "血常规", BLOOD_COUNT, raised=("XY-WBC",))
    clinical.panel(county, tale.dice, "电解质", ("SH-K", "SH-NA"))
    clinical.diagnose(county, clinical.disease("gastroenteritis"))
    away = tale.visit(tale.away["clinic"], 120 + tale.dice.below(60), "travel")
    away.open_encounter("AMB", reason="咳嗽流涕")
    clinical.measure(away, tale.dice, "temperature")
    clinical.diagnose(away, clinical.disease("cold"))
    clinical.prescribe(away, "paracetamol", days=3)

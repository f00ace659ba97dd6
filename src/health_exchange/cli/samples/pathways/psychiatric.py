"""Depression: level 4, by label in one hospital and by the code alone in the other."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """Two hospitals, and gastritis in a third place."""
    depression = clinical.disease("depression")
    first = tale.visit(tale.home["county"], 0, "start")
    first.restrict(4, "PSY")
    first.open_encounter("AMB", reason="情绪低落2月")
    clinical.diagnose(first, depression)
    clinical.prescribe(first, "sertraline", days=28, reason=depression)
    stomach = tale.visit(tale.home["township"], 20, "stomach")
    stomach.open_encounter("AMB", reason="上腹不适")
    clinical.diagnose(stomach, clinical.disease("gastritis"))
    clinical.prescribe(stomach, "omeprazole", days=14, dispensed=True)
    second = tale.visit(tale.away["county"], 40, "follow-up")
    second.open_encounter("AMB", reason="复诊")
    clinical.diagnose(second, depression)
    clinical.prescribe(second, "sertraline", days=56, reason=depression)

"""HIV: everything labelled at level 5 by the hospitals that keep it."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """Start of treatment at one hospital, refill at another; the cold in between is nobody's secret."""
    dice, hiv = tale.dice, clinical.disease("hiv")
    first = tale.visit(tale.home["top"], 0, "start")
    first.restrict(5, "HIV")
    first.open_encounter("AMB", reason="启动抗病毒治疗")
    clinical.panel(first, dice, "HIV监测", ("MY-CD4",))
    clinical.assay(first, dice, "MY-HIVRNA", factor="920")
    clinical.diagnose(first, hiv, chronic=True)
    clinical.prescribe(first, "efavirenz", days=90, reason=hiv)
    cold = tale.visit(tale.home["clinic"], 60, "cold")
    cold.open_encounter("AMB", reason="流涕")
    clinical.measure(cold, dice, "temperature")
    clinical.diagnose(cold, clinical.disease("cold"))
    refill = tale.visit(tale.away["county"], 90, "refill")
    refill.restrict(5, "HIV")
    refill.open_encounter("AMB", reason="随访")
    clinical.panel(refill, dice, "HIV监测", ("MY-CD4", "MY-HIVRNA"))
    clinical.diagnose(refill, hiv, chronic=True)
    clinical.prescribe(refill, "efavirenz", days=90, reason=hiv)

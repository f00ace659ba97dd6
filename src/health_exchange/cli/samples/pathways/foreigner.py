"""A guest with a passport: a wrist broken on a journey, a check where the person works."""

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.visit import Tale


def tell(tale: Tale) -> None:
    """Two provinces, one passport."""
    county = tale.visit(tale.home["county"], 0, "fall")
    county.open_encounter("EMER", reason="骑行摔伤右腕")
    clinical.measure(county, tale.dice, "pulse")
    clinical.image(county, "右腕关节正侧位片", "DX", "右桡骨远端骨折，断端稍移位。")
    clinical.perform(county, "桡骨骨折闭合复位石膏外固定", code="79.0200x001")
    clinical.diagnose(county, clinical.disease("fracture"))
    city = tale.visit(tale.away["top"], 14, "control")
    city.open_encounter("AMB", reason="骨折复查")
    clinical.image(city, "右腕关节正侧位片", "DX", "骨折对位对线好，可见骨痂。")
    clinical.diagnose(city, clinical.disease("fracture"))
    clinical.diagnose(city, {"text": "Jet lag, patient reports poor sleep"}, certain=False)

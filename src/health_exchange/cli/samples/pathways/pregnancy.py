"""Pregnancy, birth, and a newborn who has no identity until a birth certificate or an ID comes."""

from datetime import timedelta

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT
from health_exchange.cli.samples.dice import Dice
from health_exchange.cli.samples.people import Person, make_national_id, make_newborn
from health_exchange.cli.samples.visit import Tale, local_id

_BIRTH = 210
_REGISTERED = 225


def tell(tale: Tale) -> None:
    """The child is identified by its birth certificate."""
    child = _tell(tale)
    child.birth_certificate = "Y" + Dice(tale.seed, child.key, "certificate").digits(9)
    _register(tale, child)


def tell_with_id(tale: Tale) -> None:
    """The child is identified by its national ID."""
    child = _tell(tale)
    child.national_id = make_national_id(Dice(tale.seed, child.key, "id"), child.born, child.gender)
    _register(tale, child)


def _tell(tale: Tale) -> Person:
    _prenatal(tale, tale.home["township"], 0, "first")
    _prenatal(tale, tale.away["county"], 80, "second")
    _prenatal(tale, tale.home["county"], 150, "third")
    born = tale.start + timedelta(days=_BIRTH)
    child = make_newborn(f"{tale.person.key}-child", Dice(tale.seed, tale.person.key, "child"), tale.person, born)
    _deliver(tale)
    _newborn(tale, child)
    return child


def _hospital(tale: Tale) -> str:
    return "sc-maternal" if tale.home["top"] == "sc-general" else tale.home["top"]


def _prenatal(tale: Tale, place: str, day: int, label: str) -> None:
    visit = tale.visit(place, day, f"prenatal-{label}")
    visit.open_encounter("AMB", reason="产前检查")
    clinical.measure(visit, tale.dice, "weight", "pulse")
    clinical.measure_pressure(visit, tale.dice, high=False)
    clinical.panel(visit, tale.dice, "产前检验", (*BLOOD_COUNT, "SH-GLU"))
    if label == "first":
        clinical.assay(visit, tale.dice, "MY-HCG", factor="2400.0")
    clinical.image(visit, "产科超声", "US", "宫内妊娠，胎心搏动规律，羊水量正常。")
    clinical.diagnose(visit, clinical.disease("pregnancy"))
    clinical.prescribe(visit, "folic-acid", days=30)


def _deliver(tale: Tale) -> None:
    visit = tale.visit(_hospital(tale), _BIRTH, "delivery")
    visit.open_encounter("IMP", days=3, reason="规律宫缩")
    clinical.measure_pressure(visit, tale.dice, high=False)
    clinical.panel(visit, tale.dice, "血常规", BLOOD_COUNT)
    clinical.perform(visit, "手法助产", code="73.5900")
    clinical.diagnose(visit, clinical.disease("delivery"))
    clinical.discharge(visit, "孕39周，头位自然临产，母婴平安，产后3天出院。")


def _newborn(tale: Tale, child: Person) -> None:
    visit = tale.visit(_hospital(tale), _BIRTH + 1, "newborn", person=child)
    visit.open_encounter("IMP", days=3)
    clinical.measure(visit, tale.dice, "temperature", "saturation")
    clinical.diagnose(visit, clinical.disease("newborn"))
    clinical.vaccinate(visit, "乙型肝炎疫苗（第1剂）")
    clinical.vaccinate(visit, "卡介苗")
    clinical.name_mother(visit, tale.person.family + tale.person.given)
    tale.note("without_identity", f"Patient/{local_id(visit.facility, child)}")


def _register(tale: Tale, child: Person) -> None:
    child.given = Dice(tale.seed, child.key, "given").pick(("安", "宁", "乐", "晨", "禾"))
    visit = tale.visit(_hospital(tale), _REGISTERED, "identified", person=child)
    tale.note("released", f"Patient/{local_id(visit.facility, child)}")
    visit.open_encounter("AMB", reason="黄疸复查")
    clinical.assay(visit, tale.dice, "SH-TBIL", factor="3.0")
    clinical.diagnose(visit, clinical.disease("jaundice"))
    later = tale.visit(tale.home["clinic"], _REGISTERED + 20, "vaccination", person=child)
    later.open_encounter("AMB")
    clinical.vaccinate(later, "乙型肝炎疫苗（第2剂）")
    clinical.diagnose(later, clinical.disease("checkup"))

"""What was written down wrong and is put right: an ID of another number, a result of another tube."""

from copy import deepcopy

from health_exchange.cli.samples import clinical
from health_exchange.cli.samples.codes import BLOOD_COUNT
from health_exchange.cli.samples.dice import Dice
from health_exchange.cli.samples.people import make_national_id
from health_exchange.cli.samples.visit import Tale, local_id


def tell_wrong_id(tale: Tale) -> None:
    """The desk types a valid number that is not this person's; an update of the Patient corrects it."""
    person = tale.person
    right = person.national_id
    person.national_id = make_national_id(Dice(tale.seed, person.key, "wrong"), person.born, person.gender)
    first = tale.visit(tale.home["county"], 0, "wrong-id")
    first.open_encounter("AMB", reason="咳嗽")
    clinical.measure(first, tale.dice, "temperature", "pulse")
    clinical.panel(first, tale.dice, "血常规", BLOOD_COUNT)
    clinical.diagnose(first, clinical.disease("cold"))
    person.national_id = right
    tale.visit(tale.home["county"], 6, "corrected-id")
    tale.note("corrected_identity", f"Patient/{local_id(first.facility, person)}")
    _elsewhere(tale)


def tell_wrong_result(tale: Tale) -> None:
    """A potassium that no one could live with came from another tube: entered in error, taken again."""
    first = tale.visit(tale.home["county"], 0, "wrong-result")
    own_id = f"{first.facility.client_id}-k-{first.at:%Y%m%d}-{tale.person.record_numbers[first.facility.client_id]}"
    first.open_encounter("AMB", reason="乏力")
    wrong = clinical.assay(first, tale.dice, "SH-K", factor="1.80", put=own_id)
    clinical.diagnose(first, clinical.disease("gastroenteritis"))
    withdrawn = tale.visit(tale.home["county"], 1, "entered-in-error")
    observation = deepcopy(first.resource(wrong))
    del observation["id"]
    del observation["encounter"]
    observation["status"] = "entered-in-error"
    observation["subject"] = {"reference": withdrawn.patient}
    observation["performer"] = [{"reference": withdrawn.practitioner}]
    withdrawn.add(observation, put=own_id)
    clinical.assay(withdrawn, tale.dice, "SH-K")
    tale.note("entered_in_error", f"Observation/{own_id}")
    _elsewhere(tale)


def _elsewhere(tale: Tale) -> None:
    visit = tale.visit(tale.away["county"], 50, "elsewhere")
    visit.open_encounter("AMB", reason="胃痛")
    clinical.diagnose(visit, clinical.disease("gastritis"))
    clinical.prescribe(visit, "omeprazole", days=14)

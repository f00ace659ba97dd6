"""What search parameters mean, told by going through a resource: for the few that the oracle is asked.

Source: FHIR R4, sections 3.1.1.4 "Parameters" and 3.1.1.5.1 "Sorting".
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.oracle.server import Oracle

Body = Mapping[str, Any]
Interval = tuple[datetime, datetime]
"""From the first instant on, up to before the second."""
LOCAL = timezone(timedelta(hours=8))
"""Where a date without a zone is: what FHIR leaves to the server."""
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
_WHERE = {"birthdate": "birthDate", "date": "effectiveDateTime"}


def holds(oracle: "Oracle", body: Body, name: str, value: str) -> bool:
    """Whether a resource matches one parameter, any of whose values will do."""
    if name.startswith("subject:Patient."):
        subject = body.get("subject", {}).get("reference", "")
        person = oracle.body(("Patient", subject.removeprefix("Patient/"))) if subject.startswith("Patient/") else None
        return person is not None and holds(oracle, person, name.removeprefix("subject:Patient."), value)
    if name.startswith("_has:Observation:subject:"):
        asked, here = name.removeprefix("_has:Observation:subject:"), f"Patient/{body['id']}"
        return any(
            (oracle.body(each) or {}).get("subject", {}).get("reference") == here
            for each in oracle.found("Observation", [(asked, value)])
        )
    parameter, _colon, modifier = name.partition(":")
    if modifier == "missing":
        return (value == "true") != bool(_values(body, parameter))
    any_holds = any(_one_holds(body, parameter, modifier, each) for each in value.split(","))
    return any_holds != (modifier == "not")


def sort_key(body: Body, rank: str) -> Any:  # noqa: ANN401  # one kind of value for each parameter
    """What a resource is ranked by; ``None`` where it has no such value."""
    name = rank.removeprefix("-")
    if name == "_id":
        return body["id"]
    texts = _values(body, name)
    return interval(texts[0])[0] if texts else None


def interval(text: str) -> Interval:
    """The time that a date or an instant stands for."""
    if "T" in text:
        start = datetime.fromisoformat(text).astimezone(UTC)
        return start, start + timedelta(milliseconds=1 if "." in text else 1000)
    year, month, day = ([int(part) for part in text.split("-")] + [0, 0])[:3]
    start = datetime(year, month or 1, day or 1, tzinfo=LOCAL)
    if day:
        return start, start + timedelta(days=1)
    if month:
        return start, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=LOCAL)
    return start, datetime(year + 1, 1, 1, tzinfo=LOCAL)


def _values(body: Body, parameter: str) -> Sequence[str]:
    """What a resource has of a parameter, as texts."""
    read: dict[str, Callable[[], Any]] = {
        "_id": lambda: [body["id"]],
        "_lastUpdated": lambda: [body["meta"]["lastUpdated"]],
        "identifier": lambda: [f"{each['system']}|{each['value']}" for each in body.get("identifier", [])],
        "family": lambda: [each["family"] for each in body.get("name", [])],
        "gender": lambda: [body["gender"]] if "gender" in body else [],
        "status": lambda: [body["status"]] if "status" in body else [],
        "code": lambda: [f"{each['system']}|{each['code']}" for each in body.get("code", {}).get("coding", [])],
        "subject": lambda: [body["subject"]["reference"]] if "subject" in body else [],
        "value-quantity": lambda: [str(body["valueQuantity"]["value"])] if "valueQuantity" in body else [],
    }
    if parameter in _WHERE:
        return [body[_WHERE[parameter]]] if _WHERE[parameter] in body else []
    found: Sequence[str] = read["subject" if parameter == "patient" else parameter]()
    return found


def _one_holds(body: Body, parameter: str, modifier: str, wanted: str) -> bool:
    """Whether a resource matches one value."""
    return any(_matches(text, parameter, modifier, wanted) for text in _values(body, parameter))


def _matches(text: str, parameter: str, modifier: str, wanted: str) -> bool:
    """Whether a text of a resource is one that is asked for."""
    prefix, rest = (wanted[:2], wanted[2:]) if wanted[:2] in PREFIXES else ("eq", wanted)
    system, bar, code = wanted.rpartition("|")
    if parameter in {"birthdate", "date", "_lastUpdated"}:
        holds = _compares(prefix, interval(text), interval(rest))
    elif parameter == "value-quantity":
        number, bound = int(text), int(rest)
        compared = {"eq": number == bound, "ne": number != bound, "gt": number > bound, "lt": number < bound}
        holds = (compared | {"ge": number >= bound, "le": number <= bound})[prefix]
    elif parameter == "family" and modifier != "exact":
        holds = folded(wanted) in folded(text) if modifier == "contains" else folded(text).startswith(folded(wanted))
    elif parameter in {"identifier", "code"}:
        has_system, _bar, has_code = text.rpartition("|")
        holds = (not bar or system == has_system) and code in {"", has_code}
    elif parameter in {"subject", "patient"}:
        holds = text in {wanted, f"Patient/{wanted}"}
    else:
        holds = text == wanted
    return holds


def _compares(prefix: str, has: Interval, asked: Interval) -> bool:
    """Whether a time stands to one that is asked for as the prefix says."""
    inside = asked[0] <= has[0] and has[1] <= asked[1]
    return {
        "eq": inside,
        "ne": not inside,
        "gt": has[1] > asked[1],
        "lt": has[0] < asked[0],
        "ge": has[1] > asked[1] or inside,
        "le": has[0] < asked[0] or inside,
        "sa": has[0] >= asked[1],
        "eb": has[1] <= asked[0],
    }[prefix]


def folded(text: str) -> str:
    """A text without case and accents."""
    return "".join(each for each in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(each))

"""Strategies: records of a few people, writes of them, and questions about them, so few that they meet each other."""

from typing import Any, NamedTuple

from hypothesis import strategies as st
from tests.oracle.matching import PREFIXES
from tests.oracle.server import Body, Pairs

SYSTEM = "http://hospital.example"
CODES = "http://codes.example"
FAMILIES = ("Li", "Lin", "Müller", "王")
BIRTHS = ("1970", "1970-05", "1970-05-03", "1971-01-31")
DATES = ("2024", "2024-02", "2024-02-29", "2024-02-29T10:00:00Z", "2024-03-01T00:30:00+08:00")
TYPES = ("Patient", "Observation")


class Wish(NamedTuple):
    """A write that is wished for, before it is known what there is.

    Attributes:
        method: As in HTTP.
        type: Resource type.
        place: Which resource, where there is no condition.
        body: The resource, or the operations of a patch.
        condition: A query.
        brings: Which id an update by a condition brings; -1 for none.
        match: Which version is in If-Match: ``none``, ``right``, ``wrong``, or ``new`` for If-None-Match.
    """

    method: str
    type: str
    place: int
    body: Any
    condition: Pairs
    brings: int
    match: str


places = st.integers(0, 5)
numbers = st.integers(0, 2)
identifiers = numbers.map(str)


@st.composite
def people(draw: st.DrawFn) -> Body:
    """A Patient without an id."""
    body: Body = {"resourceType": "Patient", "name": [{"family": draw(st.sampled_from(FAMILIES))}]}
    held = draw(st.lists(identifiers, max_size=2, unique=True))
    body |= {"identifier": [{"system": SYSTEM, "value": each} for each in held]} if held else {}
    gender, born = draw(st.sampled_from((None, "male", "female"))), draw(st.sampled_from((None, *BIRTHS)))
    return body | ({"gender": gender} if gender else {}) | ({"birthDate": born} if born else {})


@st.composite
def results(draw: st.DrawFn) -> Body:
    """An Observation without an id; its subject may be nobody who is here."""
    body: Body = {"resourceType": "Observation", "status": draw(st.sampled_from(("final", "amended")))}
    body["code"] = {"coding": [{"system": CODES, "code": draw(st.sampled_from("abc"))}]}
    subject = draw(
        st.one_of(
            st.none(),
            places.map(lambda place: f"Patient/p{place}"),
            st.integers(0, 3).map(lambda number: f"urn:uuid:00000000-0000-4000-8000-00000000000{number}"),
            identifiers.map(lambda number: f"Patient?identifier={SYSTEM}|{number}"),
        )
    )
    date, value = draw(st.sampled_from((None, *DATES))), draw(st.one_of(st.none(), numbers))
    body |= {"subject": {"reference": subject}} if subject else {}
    body |= {"effectiveDateTime": date} if date else {}
    return body | ({"valueQuantity": {"value": value}} if value is not None else {})


bodies = {"Patient": people(), "Observation": results()}


def _patches(resource_type: str) -> st.SearchStrategy[Any]:
    """JSON Patches, of which some do not apply and some leave no resource."""
    members = {
        "Patient": [("gender", ("male", "female")), ("birthDate", BIRTHS)],
        "Observation": [("status", ("final", "amended")), ("effectiveDateTime", DATES)],
    }
    operations = st.sampled_from(members[resource_type]).flatmap(
        lambda each: st.fixed_dictionaries(
            {
                "op": st.sampled_from(("add", "replace", "test", "remove")),
                "path": st.just(f"/{each[0]}"),
                "value": st.sampled_from(each[1]),
            }
        )
    )
    plain = operations.map(lambda each: {k: v for k, v in each.items() if each["op"] != "remove" or k != "value"})
    return st.lists(plain, min_size=1, max_size=2)


def conditions(resource_type: str) -> st.SearchStrategy[Pairs]:
    """What conditional writes ask."""
    by_number = identifiers.map(lambda number: (("identifier", f"{SYSTEM}|{number}"),))
    if resource_type == "Patient":
        by_name = st.sampled_from(FAMILIES).map(lambda family: (("family:exact", family), ("gender", "male")))
        return st.one_of(by_number, by_number, by_name)
    code, status = st.sampled_from("abc"), st.sampled_from(("final", "amended"))
    return st.one_of(
        st.tuples(code.map(lambda each: ("code", f"{CODES}|{each}")), status.map(lambda each: ("status", each))),
        st.tuples(places.map(lambda each: ("subject", f"Patient/p{each}")), code.map(lambda each: ("code", each))),
    )


@st.composite
def writes(draw: st.DrawFn, *, by_condition: bool | None = None) -> Wish:
    """A write of any kind."""
    kind = draw(st.sampled_from(TYPES))
    method = draw(st.sampled_from(("POST", "PUT", "PUT", "PATCH", "DELETE")))
    conditional = draw(st.booleans()) if by_condition is None else by_condition
    body = None if method == "DELETE" else draw(_patches(kind) if method == "PATCH" else bodies[kind])
    matches = {"POST": ("none",), "PUT": ("none", "right", "wrong", "new")}.get(method, ("none", "right", "wrong"))
    return Wish(
        method=method,
        type=kind,
        place=draw(places),
        body=body,
        condition=draw(conditions(kind)) if conditional else (),
        brings=draw(st.sampled_from((-1, -1, 0, 1, 2))),
        match=draw(st.sampled_from(("none", *matches))),
    )


def _dated(name: str, dates: tuple[str, ...]) -> st.SearchStrategy[tuple[str, str]]:
    """A date parameter with any prefix."""
    return st.tuples(st.sampled_from(("", *PREFIXES)), st.sampled_from(dates)).map(lambda each: (name, "".join(each)))


_ASKED: dict[str, st.SearchStrategy[tuple[str, str]]] = {
    "Patient": st.one_of(
        identifiers.map(lambda number: ("identifier", f"{SYSTEM}|{number}")),
        st.sampled_from((*FAMILIES, "l", "MULL")).map(lambda text: ("family", text)),
        st.sampled_from(FAMILIES).map(lambda text: ("family:exact", text)),
        st.sampled_from(("i", "ull", "王")).map(lambda text: ("family:contains", text)),
        st.sampled_from(("male", "female", "male,female")).map(lambda text: ("gender", text)),
        st.sampled_from(("male", "female")).map(lambda text: ("gender:not", text)),
        st.sampled_from(("true", "false")).map(lambda text: ("birthdate:missing", text)),
        places.map(lambda place: ("_id", f"p{place},p0")),
        _dated("birthdate", ("1970", "1970-05", "1970-05-03", "1971")),
        st.sampled_from("abc").map(lambda code: ("_has:Observation:subject:code", code)),
    ),
    "Observation": st.one_of(
        st.sampled_from(("a", "b", f"{CODES}|c", f"{CODES}|", "|a", "a,b")).map(lambda code: ("code", code)),
        st.sampled_from("abc").map(lambda code: ("code:not", code)),
        st.sampled_from(("final", "amended")).map(lambda status: ("status", status)),
        places.map(lambda place: ("patient", f"p{place}")),
        places.map(lambda place: ("subject", f"Patient/p{place}")),
        st.sampled_from(("true", "false")).map(lambda text: ("subject:missing", text)),
        st.sampled_from(FAMILIES).map(lambda text: ("subject:Patient.family", text)),
        _dated("date", ("2024", "2024-02", "2024-02-29", "2024-02-29T10:00:00Z", "2024-03")),
        st.tuples(st.sampled_from(("", "ne", "gt", "lt", "ge", "le")), identifiers).map(
            lambda each: ("value-quantity", "".join(each))
        ),
    ),
}
_SORTS = {
    "Patient": ("_id", "-_id", "birthdate", "-birthdate,_id", "-_lastUpdated"),
    "Observation": ("_id", "date", "-date,-_id", "_lastUpdated,_id"),
}
_BESIDE = {"Patient": ("_revinclude", "Observation:subject"), "Observation": ("_include", "Observation:subject")}


@st.composite
def questions(draw: st.DrawFn, *, paged: bool = False) -> tuple[str, Pairs]:
    """A search: its type and its parameters."""
    kind = draw(st.sampled_from(TYPES))
    pairs = draw(st.lists(_ASKED[kind], max_size=1 if paged else 3))
    sort = draw(st.sampled_from(("", *_SORTS[kind])))
    pairs += [("_sort", sort)] if sort else []
    pairs += [_BESIDE[kind]] if draw(st.booleans()) else []
    return kind, (*pairs, ("_count", str(draw(st.integers(1, 3)) if paged else draw(st.sampled_from((0, 1, 2, 50))))))

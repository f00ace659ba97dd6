"""What the oracle is for: a node with one slip in it is told from one without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.oracle.machine import Machine
from tests.oracle.wishes import CODES, SYSTEM, Wish

from health_exchange.node import conditions, searching, snapshots
from health_exchange.search import finding
from health_exchange.search import histories as versions
from health_exchange.search.finding import FoundPage
from health_exchange.search.matching import Matcher

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]


def shorter(find: Callable[..., FoundPage]) -> Callable[..., FoundPage]:
    """Pages that go on one row too far."""

    def found(*arguments: Any) -> FoundPage:  # noqa: ANN401  # as they come
        page = find(*arguments)
        return page if page.after is None else FoundPage(resources=page.resources, after=page.after - 1)

    return found


SLIPS: dict[str, tuple[object, str, Callable[[Any], Any]]] = {
    "a version in If-Match is not looked at": (
        snapshots,
        "check_version",
        lambda check: (
            lambda planned, kept: check(
                msgspec.structs.replace(planned, request=msgspec.structs.replace(planned.request, if_match=None)), kept
            )
        ),
    ),
    "a condition is not asked again when it is written": (
        snapshots.Snapshot,
        "still_holds",
        lambda _holds: lambda _self, _tx: True,
    ),
    "what the index offers is taken for what matches": (Matcher, "matches", lambda _matches: lambda *_each: True),
    "a page goes on one row too far": (searching, "find", shorter),
    "a total counts one too many": (searching, "total", lambda total: lambda *each: (total(*each) or 0) + 1),
    "nothing is included": (finding, "included", lambda _included: lambda *_each: []),
    "a history leaves out what was made at the very instant": (
        versions.Period,
        "may_hold",
        lambda may: lambda self, made: may(self, made) and (self.since is None or made.start > self.since),
    ),
    "a conditional reference finds what was there before": (
        conditions.Finder,
        "ids_after",
        lambda _after: (
            lambda self, tx, asked, *_more: {each: [kept.id for kept in self.found(tx, each)] for each in asked}
        ),
    ),
    "what is deleted beside it is found": (snapshots, "_doomed", lambda _doomed: lambda *_each: set()),
}


def wish(method: str, kind: str, place: int, body: object = None, **more: Any) -> Wish:  # noqa: ANN401  # its fields
    """A write without a condition, unless it is said."""
    return Wish(
        **{
            "method": method,
            "type": kind,
            "place": place,
            "body": body,
            "condition": (),
            "brings": -1,
            "match": "none",
            **more,
        }
    )


def play(machine: Machine) -> None:
    """A little of everything, as hypothesis might do it."""
    number = {each: (("identifier", f"{SYSTEM}|{each}"),) for each in "12"}
    people = {
        each: {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": each}], "gender": "male"}
        for each in "012"
    }
    results = [
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": CODES, "code": "a"}]},
            "valueQuantity": {"value": value},
            "subject": {"reference": "Patient/p0"},
        }
        for value in range(3)
    ]
    machine.write(wish("PUT", "Patient", 0, people["0"]), minimal=False)
    for place, body in enumerate(results):
        machine.write(wish("PUT", "Observation", place, body), minimal=False)
    machine.write(wish("PUT", "Patient", 0, people["0"], match="wrong"), minimal=False)
    machine.search(("Observation", (("value-quantity", "1"), ("_count", "50"))))
    machine.search(("Observation", (("_include", "Observation:subject"), ("_count", "1"))))
    machine.read_history("", 0, 2, 1)
    by_number = {**results[0], "subject": {"reference": f"Patient?identifier={SYSTEM}|2"}}
    machine.transact(
        [wish("POST", "Observation", 0, by_number), wish("POST", "Patient", 0, people["2"])], minimal=False
    )
    gone = wish("DELETE", "Patient", 0, condition=number["2"])
    machine.transact([gone, wish("POST", "Patient", 0, people["2"], condition=number["2"])], minimal=False)
    machine.write_at_once([wish("POST", "Patient", 0, people["1"], condition=number["1"])] * 4, [])


def played(folder: Path) -> None:
    """Play it at a new node."""
    machine = Machine(folder / "node", f"sqlite:///{folder}/node.db")
    try:
        play(machine)
    except BaseException:
        machine.fits = False
        raise
    finally:
        machine.teardown()


def test_what_is_played_fits_where_there_is_no_slip(tmp_path: Path) -> None:
    played(tmp_path)


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_found(tmp_path: Path, slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, changed = SLIPS[slip]
    monkeypatch.setattr(where, name, changed(getattr(where, name)))

    with pytest.raises(AssertionError):
        played(tmp_path)

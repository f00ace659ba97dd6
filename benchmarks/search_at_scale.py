"""Searches in a database of many resources and in one of few: the median and the slowest, in process.

    python -m benchmarks.search_at_scale --folder DIR [--postgres] --fill 2000000 --name many --seconds 150
    python -m benchmarks.search_at_scale --folder DIR [--postgres] [--only CASE]
    python -m benchmarks.search_at_scale --folder DIR [--postgres] --mix few many

A database stays in the folder and is filled further by every call with ``--fill``. What is measured is a whole search:
reading what was asked, rights, chains, a page, its total; without HTTP and the entry in the log. ``--mix`` asks
one mix in two databases by turns, so that whatever else the machine does weighs on both alike.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from types import MappingProxyType

from benchmarks.databases import Databases, databases, print_sizes
from benchmarks.filling import fill, opened, patients
from benchmarks.machine import describe_machine, yardstick_ms

from health_exchange.search import reindexing
from health_exchange.search.candidates import TooCostlyError
from health_exchange.search.chains import followed
from health_exchange.search.finding import find, total
from health_exchange.search.permission import Permitted, classes_of, consents_of
from health_exchange.search.query import parse_over_types
from health_exchange.store import generations, tallies
from health_exchange.store.engine import Store, Transaction

Asked = tuple[str, str, str]
"""Type, query, and the Patient whose compartment is searched."""
Case = Callable[[Random, int], Asked]

CODES = ("72514-3", "8302-2", "2339-0", "6299-2", "38483-4", "2093-3", "718-7", "4548-4")
FAMILIES = ("Marquardt", "Smith", "Johns", "Ku", "Bar", "Rodr", "Keeling", "Abbott")


def _patient(dice: Random, people: int) -> str:
    return f"{dice.randrange(people)}-0"


def _chain_of(alternatives: int) -> Case:
    def case(dice: Random, people: int) -> Asked:
        ids = ",".join(_patient(dice, people) for _each in range(alternatives))
        return "Observation", f"patient._id={ids}&code={dice.choice(CODES)}", ""

    return case


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "newest 20 of a patient by code": lambda dice, people: (
            "Observation",
            f"patient={_patient(dice, people)}&code={dice.choice(CODES)}&_sort=-date&_count=20",
            "",
        ),
        "the same, by date": lambda dice, people: (
            "Observation",
            f"patient={_patient(dice, people)}&code={dice.choice(CODES)}&date=ge2010&_sort=-date&_count=20",
            "",
        ),
        "newest 20 of a patient": lambda dice, people: (
            "Observation",
            f"patient={_patient(dice, people)}&_sort=-date&_count=20",
            "",
        ),
        "token and date": lambda dice, _people: (
            "Observation",
            f"code={dice.choice(CODES)}&date=ge{dice.randint(2005, 2018)}-{dice.randint(1, 12):02}",
            "",
        ),
        "token and month": lambda dice, _people: (
            "Observation",
            f"code={dice.choice(CODES)}&date={dice.randint(2005, 2018)}-{dice.randint(1, 12):02}",
            "",
        ),
        "code only": lambda dice, _people: ("Observation", f"code={dice.choice(CODES)}", ""),
        "code that there is not": lambda dice, _people: ("Observation", f"code=none-{dice.randint(1, 99)}", ""),
        "two-hop chain": lambda dice, people: (
            "DiagnosticReport",
            f"encounter.patient._id={_patient(dice, people)}",
            "",
        ),
        "two-hop chain by name": lambda dice, _people: (
            "Observation",
            f"encounter.patient.family={dice.choice(FAMILIES)}",
            "",
        ),
        "chain of 1": _chain_of(1),
        "chain of 10": _chain_of(10),
        "chain of 50": _chain_of(50),
        "_has": lambda dice, _people: ("Patient", f"_has:Observation:patient:code={dice.choice(CODES)}", ""),
        "_include": lambda dice, _people: (
            "Observation",
            f"code={dice.choice(CODES)}&_include=Observation:patient&_include=Observation:encounter",
            "",
        ),
        "_revinclude": lambda dice, people: (
            "Encounter",
            f"patient={_patient(dice, people)}&_count=5&_revinclude=Observation:encounter",
            "",
        ),
        "count by code": lambda dice, _people: ("Observation", f"code={dice.choice(CODES)}&_summary=count", ""),
        "count by code and status": lambda dice, _people: (
            "Observation",
            f"code={dice.choice(CODES)}&status=final&_summary=count",
            "",
        ),
        "count of a patient": lambda dice, people: (
            "Observation",
            f"patient={_patient(dice, people)}&_summary=count",
            "",
        ),
        "name": lambda dice, _people: ("Patient", f"name={dice.choice(FAMILIES)}", ""),
        "compartment": lambda dice, people: ("Observation", f"code={dice.choice(CODES)}", _patient(dice, people)),
        "everything of a type": lambda _dice, _people: ("Immunization", "_count=20", ""),
    }
)


MIX = ("token and date", "code only", "two-hop chain", "_has", "_include", "count by code")
"""What the aim for throughput is about, each as often as the others."""


def _permitted(tx: Transaction) -> Permitted:
    """All there is."""
    return Permitted(classes=dict.fromkeys(consents_of(tx), frozenset(classes_of(tx))), is_whole=True)


def ask(store: Store, asked: Asked) -> int:
    """How many one search puts on its page."""
    from urllib.parse import parse_qsl

    resource_type, text, patient = asked
    query = parse_over_types([resource_type], parse_qsl(text), patient=patient)

    def search(tx: Transaction) -> int:
        permitted = _permitted(tx)
        plain = followed(tx, query, permitted)
        page = find(tx, plain, permitted)
        total(tx, plain, permitted, page)
        return len(page.resources)

    return store.read_now(search)


def _steps(tx: Transaction) -> bool:
    """Twenty steps in one commit; whether there may be more."""
    return all(reindexing.step(tx) for _each in range(20))


def reindexed(store: Store, seconds: float) -> int:
    """How many rows were given this release's tokens in some seconds."""
    began, start = time.monotonic(), store.read_now(generations.place)
    while time.monotonic() - began < seconds and store.write_now(_steps):
        pass
    return store.read_now(generations.place) - start


def measure(store: Store, people: int, *, times: int, only: str) -> Iterator[tuple[str, str]]:
    """Each case with what it took: median and 99th percentile in milliseconds, matches on a page, refusals."""
    for name, case in CASES.items():
        if only and only not in name:
            continue
        dice = Random(name)
        took, found, refused = [], 0, 0
        ends = time.monotonic() + 8
        for _each in range(times + 5):
            asked = case(dice, people)
            began = time.perf_counter()
            try:
                found += ask(store, asked)
            except TooCostlyError:
                refused += 1
            took.append(1e3 * (time.perf_counter() - began))
            if time.monotonic() > ends and len(took) > 7:
                break
        took = took[5:]
        each = found / (len(took) + 5)
        yield name, f"{median(took):8.2f} {max(took):8.2f} ms of {len(took)}  {each:6.1f} found  {refused or ''}"


def measure_one(where: Databases, name: str, *, times: int, only: str) -> None:
    """Measure in one database, and print."""
    store = opened(where.new(name))
    people = patients(store)
    print(f"{name}: {people:,} patients; median and slowest, matches on a page, refused of {times}")
    for case, line in measure(store, people, times=times, only=only):
        print(f"{line}  {case}", flush=True)
    store.close()


def mixed(where: Databases, names: Sequence[str], *, rounds: int) -> None:
    """Ask the mix in each of some databases by turns, and print how many searches each answers in a second."""
    stores = {name: opened(where.new(name)) for name in names}
    people = {name: patients(store) for name, store in stores.items()}
    took: dict[str, dict[str, list[float]]] = {name: {case: [] for case in MIX} for name in names}
    for turn in range(-2, rounds):
        for case in MIX:
            for name, store in stores.items():
                asked = CASES[case](Random(f"{case} {turn}"), people[name])
                began = time.perf_counter()
                ask(store, asked)
                # The first rounds warm up.
                took[name][case] += [1e3 * (time.perf_counter() - began)] if turn >= 0 else []
    rates = {}
    for name, cases in took.items():
        rates[name] = 1e3 * rounds * len(MIX) / sum(map(sum, cases.values()))
        print(f"{name}: {people[name]:,} patients; {rates[name]:.1f} searches/s; median and slowest of {rounds}")
        for case, each in cases.items():
            print(f"{median(each):8.2f} {max(each):8.2f} ms  {case}")
    first, *others = rates.values()
    print("throughput of the first against the others: " + ", ".join(f"{first / other:.2f}" for other in others))
    for store in stores.values():
        store.close()


def main() -> None:
    """Fill, or measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the databases are")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own, kept in the folder")
    parser.add_argument("--name", default="many", help="of the database")
    parser.add_argument("--fill", type=int, default=0, help="fill it with as many resources")
    parser.add_argument("--seconds", type=float, default=150, help="fill no longer than this")
    parser.add_argument("--reindex", action="store_true", help="give its rows this release's tokens, as a node does")
    parser.add_argument("--sizes", action="store_true", help="print what a resource takes, and tidy up before")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--mix", nargs="+", default=[], metavar="NAME", help="databases to ask the mix in, by turns")
    arguments = parser.parse_args()
    with databases(arguments.folder, postgresql=arguments.postgres, kept=True) as where:
        if arguments.fill:
            store = opened(where.new(arguments.name))
            began = time.monotonic()
            there = fill(store, arguments.fill, seconds=arguments.seconds)
            print(f"{there:,} resources in {arguments.name}, {time.monotonic() - began:.0f} s")
            store.close()
            return
        if arguments.reindex:
            store = opened(where.new(arguments.name))
            print(f"{reindexed(store, arguments.seconds)} more rows of {arguments.name} have been gone through")
            store.close()
            return
        if arguments.sizes:
            sizes = where.sizes(arguments.name)
            store = opened(where.new(arguments.name))
            print(f"stored bytes per resource in {arguments.name}")
            print_sizes(sizes, store.read_now(tallies.kept).resources)
            store.close()
            return
        print(describe_machine())
        print(f"a core does the yardstick in {yardstick_ms():.0f} ms (docs/design/performance.md: 12 ms)")
        if arguments.mix:
            mixed(where, arguments.mix, rounds=arguments.times)
            return
        measure_one(where, arguments.name, times=arguments.times, only=arguments.only)


if __name__ == "__main__":
    main()

"""How much is kept, remembered, so that telling it costs the same however much it is.

Whoever writes resources adds rows of changes, which nobody else waits for: one shared count would hold every writer up
until the one before has committed. A turn folds them into the tally of each subject, and from there into the totals.
The number of resources counts what is not yet folded too; persons are as of the last fold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, bindparam, delete, func, select, update

from health_exchange.store import counters
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.schema import subjects, tallies, tally_changes
from health_exchange.store.transaction import Transaction, chunks

RESOURCES, PERSONS, ACROSS = "kept:resources", "kept:persons", "kept:persons-across-provinces"
PROVINCE_CHARACTERS = 5
"""Length of ``cn/33``."""

_TAKE = delete(tally_changes).returning(tally_changes.c.sid, tally_changes.c.origin, tally_changes.c.amount)
_UNFOLDED = select(func.coalesce(func.sum(tally_changes.c.amount), 0))
_ANY = select(tally_changes.c.sid).limit(1)
_OF = select(tallies).where(tallies.c.sid.in_(bindparam("sids", expanding=True)))
_PEOPLE = select(subjects.c.sid, subjects.c.pseudonym).where(subjects.c.sid.in_(bindparam("sids", expanding=True)))
_PLACES = select(tallies.c.pseudonym, tallies.c.province).where(
    tallies.c.pseudonym.in_(bindparam("people", expanding=True))
)
_CHANGE = (
    update(tallies)
    .where(tallies.c.sid == bindparam("of"))
    .values(pseudonym=bindparam("who"), province=bindparam("at"), resources=bindparam("number"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How many current resources are kept, of how many persons, of whom how many have some of several provinces."""

    resources: int
    persons: int
    persons_across_provinces: int


def change(tx: Transaction, amounts: Mapping[tuple[int, str], int]) -> None:
    """Note that a subject has more or fewer current resources, by subject and origin (empty where unknown)."""
    tx.insert_many(tally_changes, [(sid, origin, amount) for (sid, origin), amount in amounts.items() if amount])


def touch(tx: Transaction, sids: Iterable[int]) -> None:
    """Note that subjects belong to somebody else than before, or to nobody."""
    tx.insert_many(tally_changes, [(sid, "", 0) for sid in sids])


def kept(tx: Transaction) -> Kept:
    """What is kept."""
    unfolded: int = tx.execute(_UNFOLDED).scalar_one()
    return Kept(
        resources=counters.value(tx, RESOURCES, ALL_DAYS) + int(unfolded),
        persons=counters.value(tx, PERSONS, ALL_DAYS),
        persons_across_provinces=counters.value(tx, ACROSS, ALL_DAYS),
    )


def has_work(tx: Transaction) -> bool:
    """Whether changes wait to be folded."""
    return tx.execute(_ANY).first() is not None


def fold(tx: Transaction) -> None:
    """Fold all changes into tallies and totals. Linear in the changes and in their persons' subjects."""
    # Taken and forgotten by one statement: what is added meanwhile by others is seen by the next fold.
    changes: list[Row[tuple[int, str, int]]] = list(tx.execute(_TAKE))
    amounts: dict[int, int] = {}
    origins: dict[int, str] = {}
    for row in changes:
        amounts[row.sid] = amounts.get(row.sid, 0) + row.amount
        if row.origin:
            origins[row.sid] = row.origin[:PROVINCE_CHARACTERS]
    known = {row.sid: row for chunk in chunks(amounts) for row in tx.execute(_OF, {"sids": chunk})}
    now = {row.sid: row.pseudonym for chunk in chunks(amounts) for row in tx.execute(_PEOPLE, {"sids": chunk})}
    people = {row.pseudonym for row in known.values()} | set(now.values())
    before = _provinces(tx, people)
    _apply(tx, amounts, origins, known, now)
    after = _provinces(tx, people)
    counters.add(tx, RESOURCES, ALL_DAYS, sum(amounts.values()))
    for total, places in ((PERSONS, 1), (ACROSS, 2)):
        gained = sum((len(after.get(who, ())) >= places) - (len(before.get(who, ())) >= places) for who in people)
        if gained:
            counters.add(tx, total, ALL_DAYS, gained)


def _apply(
    tx: Transaction,
    amounts: Mapping[int, int],
    origins: Mapping[int, str],
    known: Mapping[int, Row[tuple[int, str | None, str, int]]],
    now: Mapping[int, str | None],
) -> None:
    """Bring the subjects' tallies up to date; whoever has nothing has no row."""
    new: list[tuple[object, ...]] = []
    changed: list[Mapping[str, object]] = []
    empty: list[int] = []
    for sid, amount in amounts.items():
        row = known.get(sid)
        number = amount + (row.resources if row is not None else 0)
        province = origins.get(sid) or (row.province if row is not None else "")
        if row is None and number > 0:
            new.append((sid, now.get(sid), province, number))
        elif row is not None and number > 0:
            changed.append({"of": sid, "who": now.get(sid), "at": province, "number": number})
        elif row is not None:
            empty.append(sid)
    tx.insert_many(tallies, new)
    tx.run_many(_CHANGE, changed)
    for chunk in chunks(empty):
        tx.execute(delete(tallies).where(tallies.c.sid.in_(chunk)))


def _provinces(tx: Transaction, people: Iterable[str | None]) -> Mapping[str | None, set[str]]:
    """By person, the provinces that current resources come from."""
    found: dict[str | None, set[str]] = {}
    wanted: Sequence[str] = sorted(name for name in people if name is not None)
    for chunk in chunks(wanted):
        for row in tx.execute(_PLACES, {"people": chunk}):
            found.setdefault(row.pseudonym, set()).add(row.province)
    return found

"""Adding up what the logs of different nodes say of each other, so that what one of them keeps quiet shows.

Key holders count what each node asks them to evaluate; the nodes above see whose records arrive from it; holders of
records know what they answered. A node that asks for pseudonyms of persons it never delivers and never looks up is
trying numbers out. A principal who opens record after record of people never seen at his node is walking through a
town. An answer that only one of its two ends has logged was given without a trace.

Pure, over opened entries. Every number here is about conduct; persons are told apart and never named.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from health_exchange.audit.entries import AuditEntry

TOLERANCE = 20
"""Evaluations, or strangers' records, of one day that nobody has to explain."""
KINDS = ("evaluate", "write", "receive", "look-up", "answer", "refuse", "read", "log-read")
"""Kinds of entries that reconciliation looks at."""

PROBING = "probing"
KEPT_BACK = "kept-back"
UNFINISHED = "unfinished"
WALKING = "walking"
UNLOGGED_LOOK_UP = "unlogged-look-up"
UNLOGGED_ANSWER = "unlogged-answer"
UNLOGGED_TICKET = "unlogged-ticket"

_LOOK_UP = "look-up"
_ANSWERED = "answered: "
_NOT_PEOPLE = frozenset({"node", "auditor"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """One asking node's day.

    Attributes:
        node: Which node asked.
        day: ISO date, UTC.
        evaluations: Pseudonyms that enough key holders helped it to, outside look-ups.
        delivered: Persons of whom it sent something for the first time.
        audits: Questions of its auditors about one person.
        look_ups: Look-ups that key holders entered.
        unexplained: Evaluations that neither of these explains, on that day or later.
        kept: Of these, how many may be persons whose records it keeps back, by its own word.
        unfinished: Evaluations that fewer key holders logged than it takes.
    """

    node: str
    day: str
    evaluations: int
    delivered: int
    audits: int
    look_ups: int
    unexplained: int
    kept: int
    unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """One thing to look into: what kind, at which node, on which day, by whom, and why it stands out."""

    kind: str
    node: str
    day: str
    who: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The result: all days in numbers, and what stands out."""

    balances: tuple[Balance, ...]
    suspicions: tuple[Suspicion, ...]


@dataclass(slots=True)
class _Round:
    """One batch of blinded elements: who asked, when, how many, and which holders logged it."""

    node: str
    day: str
    count: int
    holders: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _LookUp:
    """One look-up as its ends tell it: who logged what."""

    day: str
    who: str = ""
    tickets: set[str] = field(default_factory=set)
    asked: bool = False
    answered: tuple[str, ...] = ()
    answers: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Seen:
    """Everything the entries say, in the form it is added up in."""

    rounds: dict[tuple[str, str], _Round] = field(default_factory=dict)
    look_ups: dict[tuple[str, str], _LookUp] = field(default_factory=dict)
    delivered: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    received: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    written: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    audits: dict[tuple[str, str], str] = field(default_factory=dict)
    touched: defaultdict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))


def reconcile(
    entries: Iterable[AuditEntry],
    *,
    logs: frozenset[str],
    threshold: int,
    since: str = "",
    tolerance: int = TOLERANCE,
) -> Reconciliation:
    """Add up and find what stands out.

    Args:
        entries: Of all logs, in any order, from their beginning: who was known before must be known.
        logs: Nodes whose logs are there whole; a silence of another node proves nothing.
        threshold: How many key holders' logs must show an evaluation for it to count.
        since: First day to judge.
        tolerance: What nobody has to explain, a day and node or principal.
    """
    seen = _Seen()
    for entry in entries:
        _take(seen, entry)
    balances = [each for each in _balances(seen, threshold) if each.day >= since]
    suspicions = [
        *(found for balance in balances for found in _judge(balance, tolerance)),
        *(found for found in _walks(seen, tolerance) if found.day >= since),
        *(found for found in _silences(seen, logs, threshold) if found.day >= since),
    ]
    return Reconciliation(
        balances=tuple(balances),
        suspicions=tuple(sorted(suspicions, key=lambda each: (each.day, each.node, each.kind, each.who))),
    )


def render(result: Reconciliation) -> str:
    """The result for people."""
    lines = [
        "day         node                      evaluated delivered audits look-ups unexplained kept-back unfinished"
    ]
    lines += [
        f"{each.day}  {each.node:<25} {each.evaluations:>9} {each.delivered:>9} {each.audits:>6} {each.look_ups:>8} "
        f"{each.unexplained:>11} {each.kept:>9} {each.unfinished:>10}"
        for each in result.balances
    ]
    if not result.suspicions:
        return "\n".join([*lines, "Nothing stands out."])
    lines.append(f"{len(result.suspicions)} FINDINGS:")
    lines += [
        f"  {each.day} {each.node} {each.kind}{f' by {each.who}' if each.who else ''}: {each.what}"
        for each in result.suspicions
    ]
    return "\n".join(lines)


def _take(seen: _Seen, entry: AuditEntry) -> None:
    """Enter one log entry into what is added up."""
    day = entry.at[:10]
    if entry.action == _LOOK_UP:
        _take_look_up(seen, entry, day)
    elif entry.kind == "evaluate" and isinstance(entry.count, int):
        one = seen.rounds.setdefault((entry.peer, entry.request_id), _Round(entry.peer, day, entry.count))
        one.holders.add(entry.node)
    elif entry.kind == "receive" and entry.outcome == "allowed" and entry.peer.startswith(f"{entry.node}/"):
        _first(seen.delivered[entry.peer], entry, day)
        seen.received[entry.node].update(entry.subjects)
    elif entry.kind == "write":
        _first(seen.written[entry.node], entry, day)
    elif entry.kind == "log-read" and entry.subjects and entry.peer not in {"", entry.node}:
        # The asking node's own word explains nothing; the nodes that it asked have entered the question, too.
        seen.audits.setdefault((entry.peer, entry.request_id), day)
    if entry.kind in {"read", _LOOK_UP} and entry.principal_kind not in _NOT_PEOPLE:
        seen.touched[entry.node, entry.principal, day].update(entry.subjects)


def _take_look_up(seen: _Seen, entry: AuditEntry, day: str) -> None:
    """One end's word about a look-up: a key holder's, the asking node's, or an answering holder's."""
    asker = entry.peer or entry.node
    one = seen.look_ups.setdefault((asker, entry.request_id), _LookUp(day))
    one.who = one.who or entry.principal
    if entry.kind == "evaluate":
        one.tickets.add(entry.node)
    elif entry.peer and entry.kind in {"answer", "refuse"}:
        one.answers.add(entry.node)
    elif not entry.peer:
        one.asked = True
        said = [part.removeprefix(_ANSWERED) for part in entry.summary.split("; ") if part.startswith(_ANSWERED)]
        one.answered = tuple(node for text in said for node in text.split() if node != "-")


def _first(days: dict[str, str], entry: AuditEntry, day: str) -> None:
    """Remember the first day on which each person of an entry appears."""
    for person in entry.subjects:
        days[person] = min(day, days.get(person, day))


def _balances(seen: _Seen, threshold: int) -> Iterable[Balance]:
    """Every asking node's days, in order."""
    evaluated: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    unfinished: defaultdict[tuple[str, str], int] = defaultdict(int)
    for one in seen.rounds.values():
        if len(one.holders) >= threshold:
            evaluated[one.node][one.day] += one.count
        else:
            unfinished[one.node, one.day] += one.count
    look_ups = _per_day((node, one.day) for (node, _request), one in seen.look_ups.items() if one.tickets)
    audits = _per_day((node, day) for (node, _request), day in seen.audits.items())
    nodes = sorted({*evaluated, *(node for node, _day in (*unfinished, *look_ups))})
    for node in nodes:
        delivered = _per_day((node, day) for day in seen.delivered[node].values())
        kept_back = seen.written[node].keys() - seen.delivered[node].keys()
        kept = _per_day((node, seen.written[node][person]) for person in kept_back)
        days = sorted(
            {day for table in (delivered, kept, audits, look_ups, unfinished) for at, day in table if at == node}
            | set(evaluated[node])
        )
        explained = {day: delivered.get((node, day), 0) + audits.get((node, day), 0) for day in days}
        rest = _unexplained(evaluated[node], explained)
        bare = _unexplained(rest, {day: kept.get((node, day), 0) for day in days})
        for day in days:
            yield Balance(
                node=node,
                day=day,
                evaluations=evaluated[node].get(day, 0),
                delivered=delivered.get((node, day), 0),
                audits=audits.get((node, day), 0),
                look_ups=look_ups.get((node, day), 0),
                unexplained=rest.get(day, 0),
                kept=rest.get(day, 0) - bare.get(day, 0),
                unfinished=unfinished.get((node, day), 0),
            )


def _per_day(pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
    """How often each node and day occurs."""
    counted: defaultdict[tuple[str, str], int] = defaultdict(int)
    for pair in pairs:
        counted[pair] += 1
    return counted


def _unexplained(evaluated: Mapping[str, int], explained: Mapping[str, int]) -> dict[str, int]:
    """What of each day is left once what happened that day or later has explained its part, the nearest first."""
    rest: dict[str, int] = {}
    spare = 0
    for day in sorted({*evaluated, *explained}, reverse=True):
        spare += explained.get(day, 0)
        used = min(spare, evaluated.get(day, 0))
        spare -= used
        rest[day] = evaluated.get(day, 0) - used
    return rest


def _judge(balance: Balance, tolerance: int) -> Iterable[Suspicion]:
    """What stands out in one day's numbers."""
    bare = balance.unexplained - balance.kept
    kind = what = ""
    if bare > tolerance:
        kind = PROBING
        what = f"asked key holders about {bare} identities of whom nothing was delivered, kept or looked up"
    elif balance.unexplained > tolerance:
        kind = KEPT_BACK
        what = f"asked about {balance.unexplained} identities; that it keeps their records back is its own word only"
    if kind:
        yield Suspicion(kind=kind, node=balance.node, day=balance.day, who="", what=what)
    if balance.unfinished > tolerance:
        what = (
            f"{balance.unfinished} evaluations stand in fewer key holders' logs than it takes: holders were away, or "
            "one answers without logging"
        )
        yield Suspicion(kind=UNFINISHED, node=balance.node, day=balance.day, who="", what=what)


def _walks(seen: _Seen, tolerance: int) -> Iterable[Suspicion]:
    """Principals who opened or looked up many people that their node has never seen otherwise."""
    for (node, who, day), persons in seen.touched.items():
        strangers = persons - seen.written[node].keys() - seen.delivered[node].keys() - seen.received[node]
        if len(strangers) > tolerance:
            what = f"asked for {len(strangers)} persons of whom that node has never taken in anything"
            yield Suspicion(kind=WALKING, node=node, day=day, who=who, what=what)


def _silences(seen: _Seen, logs: frozenset[str], threshold: int) -> Iterable[Suspicion]:
    """Look-ups of which somebody who took part has logged nothing."""
    for (asker, request), one in seen.look_ups.items():
        if not one.asked and asker in logs:
            what = f"request {request} stands in others' logs and not in the asking node's"
            yield Suspicion(kind=UNLOGGED_LOOK_UP, node=asker, day=one.day, who=one.who, what=what)
        # Nobody answers without the signed receipts of enough key holders, each for an entry of its own.
        if one.answered and len(one.tickets) < threshold:
            what = f"request {request} was answered and stands in the logs of {len(one.tickets)} key holders only"
            yield Suspicion(kind=UNLOGGED_TICKET, node=asker, day=one.day, who=one.who, what=what)
        for holder in one.answered:
            if holder not in one.answers and holder in logs:
                what = f"it answered request {request} of {asker} and has not logged it"
                yield Suspicion(kind=UNLOGGED_ANSWER, node=holder, day=one.day, who="", what=what)

"""What must hold after a drill, checked from outside on the nodes' databases and exported logs. Pure.

Acknowledged is what a facility was told is kept; granted is what an origin's policy let a node above have.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from health_exchange.cli.drill.load import Acknowledged
from health_exchange.model.addresses import NodeAddress
from health_exchange.wiring.counting import Account

Books = Mapping[NodeAddress, Account]
MENTIONED_MAX = 3
"""How many of a kind are named; the rest is counted."""


def all_findings(
    books: Books,
    acknowledged: Mapping[NodeAddress, Sequence[Acknowledged]],
    *,
    alarms: Collection[str],
    may_alarm: Collection[str],
) -> list[str]:
    """Everything that does not hold, in words; empty if all is well.

    Args:
        books: Every node's.
        acknowledged: By node, what its facilities were told.
        alarms: What the reasons of alarms say that must have been raised.
        may_alarm: Of those that may have been, too; no other may.
    """
    found: list[str] = []
    for address, account in books.items():
        told = acknowledged.get(address, ())
        found += _at_origin(account, told)
        found += _above(account, books)
        found += [f"{address}: the log does not verify: {each.where}: {each.what}" for each in account.log.failures]
    return found + _alarms(books, alarms, may_alarm)


def _at_origin(account: Account, told: Sequence[Acknowledged]) -> list[str]:
    """What was acknowledged is kept, once; nothing else is; every request was carried out once."""
    promised = {version for each in told for version in each.versions}
    own = {place for place, (origin, _version) in account.holdings.current.items() if origin == str(account.address)}
    kept = Counter(version for version in account.holdings.versions if told or version[:2] in own)
    found = _missing(account.address, "acknowledged and lost", promised - kept.keys())
    found += _missing(account.address, "kept and never acknowledged", kept.keys() - promised)
    found += _missing(account.address, "kept twice", [version for version, times in kept.items() if times > 1])
    unsaid = own - account.holdings.held - {place for places in account.holdings.shared.values() for place in places}
    found += _missing(account.address, "neither sent nor held back", unsaid)
    writes = Counter(
        entry.request_id for entry in account.entries if entry.kind == "write" and entry.outcome == "allowed"
    )
    found += _missing(
        account.address,
        "requests not carried out exactly once",
        [each.request_id for each in told if writes[each.request_id] != 1],
    )
    return found


def _above(account: Account, books: Books) -> list[str]:
    """A node above keeps what origins granted it in the version it has there, and nothing else; each envelope once."""
    granted = {
        origin.above[place]: (str(address), origin.holdings.current[place][1])
        for address, origin in books.items()
        for place in origin.holdings.shared.get(account.address, ())
    }
    origins = {str(address) for address, account in books.items() if account.holdings.shared}
    kept = {place: of for place, of in account.holdings.current.items() if of[0] != str(account.address)}
    found = _missing(account.address, "granted and not kept", granted.keys() - kept.keys())
    found += _missing(
        account.address,
        "kept and not granted",
        [place for place, (origin, _version) in kept.items() if place not in granted and origin in origins],
    )
    other = [place for place in granted.keys() & kept.keys() if granted[place] != kept[place]]
    found += _missing(account.address, "kept in another version than at the origin", other)
    taken = Counter(entry.summary.split(":")[0] for entry in account.entries if entry.kind == "receive")
    found += _missing(account.address, "envelopes taken twice", [name for name, times in taken.items() if times > 1])
    return found


def _alarms(books: Books, expected: Collection[str], allowed: Collection[str]) -> list[str]:
    """The alarms that should be there are, and no others."""
    raised = raised_alarms(books)
    found = [f"nobody raised the alarm {said}" for said in expected if not any(said in each for each in raised)]
    found += [
        f"an alarm that nothing here explains, {times} times: {each}"
        for each, times in raised.items()
        if not any(said in each for said in (*expected, *allowed))
    ]
    return found


def raised_alarms(books: Books) -> Counter[str]:
    """Alarms in all logs: who raised which about whom, and how often."""
    return Counter(
        f"{address}: {entry.reason} ({entry.peer})"
        for address, account in books.items()
        for entry in account.entries
        if entry.kind == "alarm"
    )


def _missing(address: NodeAddress, what: str, those: Iterable[object]) -> list[str]:
    """One sentence about all of them; none where there are none."""
    names = sorted("/".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in those)
    if not names:
        return []
    more = f" and {len(names) - MENTIONED_MAX} more" if len(names) > MENTIONED_MAX else ""
    return [f"{address}: {what}: {', '.join(names[:MENTIONED_MAX])}{more}"]

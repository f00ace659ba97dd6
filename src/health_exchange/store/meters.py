"""Counts of what one process does, on their way into the database, where those of all processes are added up.

They wait in memory and go in with a commit that happens anyway, some seconds apart, so that counting costs no commit.
What a commit that failed was to hand in waits for the next one.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from time import monotonic

from health_exchange.store import counters
from health_exchange.store.counters import ALL_DAYS
from health_exchange.store.transaction import Transaction

EVERY_S = 2.0
METRIC = "metric:"
"""What names of counters begin with."""


class Meters:
    """The counts of one process; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._handed_in_at = monotonic()

    def count(self, amounts: Mapping[str, int]) -> None:
        """Count more."""
        with self._lock:
            for name, amount in amounts.items():
                self._waiting[name] += amount

    @property
    def is_waiting(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def is_due(self) -> bool:
        """Whether something waits, for long enough."""
        return self.is_waiting and monotonic() - self._handed_in_at >= EVERY_S

    def hurry(self) -> None:
        """Have the next commit take what waits."""
        self._handed_in_at = -EVERY_S

    def hand_in(self, tx: Transaction) -> None:
        """Put what waits into the transaction; :meth:`settle` says what became of it."""
        with self._lock:
            self._under_way, self._waiting = self._waiting, Counter()
        for name, amount in sorted(self._under_way.items()):
            counters.add(tx, METRIC + name, ALL_DAYS, amount)

    def settle(self, *, is_kept: bool) -> None:
        """The transaction was committed, or not."""
        with self._lock:
            if not is_kept:
                self._waiting.update(self._under_way)
            elif self._under_way:
                self._handed_in_at = monotonic()
            self._under_way = Counter()


def kept(tx: Transaction) -> Mapping[str, int]:
    """What all processes have handed in, by name."""
    return counters.values(tx, METRIC)

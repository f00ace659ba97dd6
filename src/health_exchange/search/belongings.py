"""What belongs to a person, in the order in which it came, a page at a time.

A row keeps its number for life and new ones come behind: below the number that was the last when the first page was
read, no page repeats or skips what there was then, however much is written meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import select

from health_exchange.search.permission import Permitted, is_permitted
from health_exchange.search.spans import Span, span_of
from health_exchange.store import resources
from health_exchange.store.resources import StoredResource
from health_exchange.store.schema import resources as table
from health_exchange.store.schema import subjects
from health_exchange.store.transaction import Transaction

LAST = 2**62
"""Above every row number there is."""
OPENED_AT_ONCE = 50
"""How many are opened before it is asked whether the page has room for more."""


class Belonging(NamedTuple):
    """A resource that is not opened yet: its row, its type, when its version was made, and its clinical date."""

    rid: int
    type: str
    changed_at: str
    instant: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which of a person's resources are wanted.

    Attributes:
        types: Of these types; of all where empty.
        since: Changed at or after this.
        start: Whose clinical date does not lie before this.
        end: Whose clinical date does not lie behind this.
    """

    types: frozenset[str] = frozenset()
    since: Span | None = None
    start: Span | None = None
    end: Span | None = None

    def takes(self, one: Belonging) -> bool:
        """Whether a resource is wanted; what has no clinical date belongs to every period."""
        if self.types and one.type not in self.types:
            return False
        if self.since is not None and span_of(one.changed_at).end <= self.since.start:
            return False
        if one.instant is None:
            return True
        begins = self.start is None or one.instant >= _text(self.start.start)
        return begins and (self.end is None or one.instant < _text(self.end.end))


def belongings(
    tx: Transaction, sids: Iterable[int], permitted: Permitted, *, after: int = 0, up_to: int = LAST
) -> Sequence[Belonging]:
    """Everything of these subjects that the caller may see, between two rows, in order.

    Args:
        tx: The transaction.
        sids: Whose it is.
        permitted: What the caller may see.
        after: Behind this row.
        up_to: Up to this one, which is among them.
    """
    rows = tx.execute(
        select(table.c.rid, table.c.type, table.c.changed_at, table.c.instant)
        .join(subjects, subjects.c.sid == table.c.sid)
        .where(
            table.c.sid.in_(sorted(set(sids))),
            table.c.deleted.is_(False),
            table.c.rid > after,
            table.c.rid <= up_to,
            is_permitted(permitted),
        )
        .order_by(table.c.rid)
    )
    return [Belonging(row.rid, row.type, row.changed_at, row.instant) for row in rows]


def opened_in_order(tx: Transaction, wanted: Sequence[Belonging]) -> Iterator[StoredResource]:
    """The resources themselves, as of the same transaction; opened as they are taken, some at a time."""
    for start in range(0, len(wanted), OPENED_AT_ONCE):
        part = wanted[start : start + OPENED_AT_ONCE]
        found = resources.by_rids(tx, [one.rid for one in part])
        yield from (found[one.rid] for one in part)


def _text(at: datetime) -> str:
    """An instant as clinical dates are kept (``fhir.parameters.instant_of``)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")

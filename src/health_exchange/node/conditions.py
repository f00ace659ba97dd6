"""Conditions of writes: what each finds, at what cost, and whose that is, for the log names whom a request looks up."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from health_exchange.fhir.references import rewrite_references
from health_exchange.node.resolution import Mention
from health_exchange.node.writes import AmbiguousMatchError, WriteRequest
from health_exchange.search.candidates import TooCostlyError
from health_exchange.search.finding import candidate_versions, find_among, find_bare
from health_exchange.store import subjects
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource

CONDITIONS_COST_MAX = 10_000
"""Most that the conditions of one request may cost: one each, for the writer asks them again, and one a candidate."""
OTHERS_MAX = 50
"""Most persons, besides one for each condition, whose records those of one request find: its entry names them all."""
Condition = tuple[str, str]
"""Resource type and search query."""
Sieve = Callable[[Transaction, Sequence[StoredResource]], list[StoredResource]]
"""Of some resources, which need no bodies, some."""


@dataclass(slots=True)
class Finder:
    """Asks conditions, each one once, until those of one request have cost too much.

    Attributes:
        seen: Leaves what the caller may read.
        whose: Subjects of what conditions have found, and references also where the caller may not read it.
        candidates: Row and version of what each condition may find, as far as they were asked.
    """

    seen: Sieve
    whose: set[int] = field(default_factory=set)
    candidates: dict[Condition, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    _found: dict[Condition, list[StoredResource]] = field(default_factory=dict)
    _cost: int = 0
    _others: int = 0

    def start_over(self) -> None:
        """Forget everything: a read may be tried again, on another state."""
        self.whose.clear()
        self.candidates = {}
        self._found = {}
        self._cost = self._others = 0

    def found(self, tx: Transaction, condition: Condition) -> list[StoredResource]:
        """All that a condition finds, without bodies.

        Raises:
            TooCostlyError: With the others, it would open too much.
            ExchangeError: As :func:`find_bare`.
        """
        if condition not in self._found:
            candidates = candidate_versions(tx, *condition)
            self._spend(1 + len(candidates))
            self.candidates[condition] = candidates
            self._found[condition] = find_bare(tx, *condition) if candidates else []
        return self._found[condition]

    def ids_for(self, tx: Transaction, request: WriteRequest) -> list[str]:
        """Ids of all that the condition of ``request`` may mean: nobody changes or deletes by it what he may not read.

        Creates and updates find whatever there is, or they would make another of it.

        Raises:
            ExchangeError: As :meth:`found`; or it is of too many persons.
        """
        found = self.found(tx, (request.type, request.if_none_exist or request.condition or ""))
        meant = self.seen(tx, found) if request.method in {"DELETE", "PATCH"} else found
        self._note(meant, request.where)
        return [each.id for each in meant]

    def ids_after(
        self,
        tx: Transaction,
        conditions: Mapping[Condition, Mention],
        written: Mapping[tuple[str, str], bytes | None],
        rewriting: dict[str, str],
    ) -> Mapping[Condition, list[str]]:
        """Ids of all that each conditional reference finds when the request is carried out: they are resolved last.

        What the caller may not read is found by none, or the reference would tell of it.

        Args:
            tx: The transaction.
            conditions: Each with where it stands.
            written: What is about to be kept, by type and id; ``None`` for what is deleted.
            rewriting: What references become in it, but for those that are conditions too.

        Raises:
            ExchangeError: As :meth:`ids_for`.
        """
        of_type = Counter(kind for kind, _id in written)
        self._spend(sum(of_type[kind] for kind, _query in conditions))
        kinds = {kind for kind, _query in conditions}
        settled = {at: raw and rewrite_references(raw, rewriting.get) for at, raw in written.items() if at[0] in kinds}
        after = find_among(tx, conditions, settled)
        kept = {each: [one for one in self.found(tx, each) if (one.type, one.id) not in written] for each in after}
        for condition, mention in conditions.items():
            self._note(kept[condition], mention.where)
        found = {one.rid: one for each in kept.values() for one in each}
        seen = {one.rid for one in self.seen(tx, list(found.values()))}
        for condition, ids in after.items():
            ids += [one.id for one in kept[condition] if one.rid in seen]
        return after

    def _note(self, found: Iterable[StoredResource], where: str) -> None:
        """Note whose that is which a condition has found, before anything comes of it."""
        new = {each.sid for each in found} - self.whose - {subjects.DIRECTORY_SID}
        self._others += max(len(new) - 1, 0)
        if self._others > OTHERS_MAX:
            raise AmbiguousMatchError(
                f"the conditions of one request find records of at most {OTHERS_MAX} persons besides one each",
                where=where,
            )
        self.whose |= new

    def _spend(self, resources_looked_at: int) -> None:
        self._cost += resources_looked_at
        if self._cost > CONDITIONS_COST_MAX:
            raise TooCostlyError(
                f"the conditions of one request cost at most {CONDITIONS_COST_MAX}: one each, and one for each "
                "resource that one may mean; send it in parts"
            )

"""The first views of nation and province, under policy and in the log: everyone in numbers, one person in full.

How a view is made is handed in (``datacenter``): unsuppressed numbers are seen by that function and by nobody else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from health_exchange.node.callers import Caller
from health_exchange.node.everything import Everything
from health_exchange.node.journal import log_each
from health_exchange.node.parts import NodeParts
from health_exchange.node.refusals import decision_entry
from health_exchange.node.rights import question_of, refusal
from health_exchange.policy.decisions import Action
from health_exchange.policy.questions import decision_on
from health_exchange.store import statistics
from health_exchange.store.engine import Transaction
from health_exchange.store.resources import StoredResource

View = TypeVar("View")
Shown_co = TypeVar("Shown_co", covariant=True)


class ShowsPopulation(Protocol[Shown_co]):
    """Makes what may be shown of raw counts: ``datacenter.population.population_view``."""

    def __call__(
        self, counts: Mapping[tuple[str, str], int], /, *, persons: int, persons_across_provinces: int
    ) -> Shown_co:
        """The view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawCounts:
    """Counts before small ones are hidden."""

    counts: Mapping[tuple[str, str], int]
    persons: int
    persons_across_provinces: int


class Statistics:
    """Views over what this node keeps."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts
        self._everything = Everything(parts)

    async def population(self, caller: Caller, show: ShowsPopulation[View]) -> View:
        """Persons, persons across provinces, records by type and province.

        Raises:
            ForbiddenError: Policy lets this caller see no statistics; the refusal is in the log.
        """
        question = question_of(caller, Action.VIEW_STATISTICS, None)
        decision = decision_on(self._parts.policies, question)
        entry = decision_entry(self._parts, caller, question, decision, kind="read", summary="population")
        await self._parts.store.write_each(log_each, entry)
        if not decision.allowed:
            raise refusal(decision)
        raw = await self._parts.store.read(_raw_counts, asker=caller.principal.id)
        return show(raw.counts, persons=raw.persons, persons_across_provinces=raw.persons_across_provinces)

    async def person(self, person: str, caller: Caller, show: Callable[[Sequence[StoredResource]], View]) -> View:
        """One person's unified view, of what the caller may see; raises as ``Everything.records_of``.

        Args:
            person: A pseudonym, or the id of a Patient kept here.
            caller: Who asks.
            show: ``datacenter.person.person_view``.
        """
        return show(await self._everything.records_of(person, caller))


def _raw_counts(tx: Transaction) -> _RawCounts:
    return _RawCounts(
        counts=statistics.counts(tx),
        persons=statistics.persons(tx),
        persons_across_provinces=len(statistics.persons_across_provinces(tx)),
    )

"""What a caller may see, as a condition that is part of the SQL: before anything is counted, cut or followed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, false, func, or_, select, true

from health_exchange.model.sensitivity import ResourceClass, class_of
from health_exchange.store.among import among, among_values, rows_among
from health_exchange.store.schema import classes, resources, subjects
from health_exchange.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Permitted:
    """Which resources the caller may see: class numbers by the consent class of their subject.

    A consent class that is not named permits nothing.

    Attributes:
        classes: By consent class.
        is_whole: Whether that is all there is of the types it was asked about, as of the transaction that it was asked
            in and is used in: nothing has to be compared then.
    """

    classes: Mapping[str, frozenset[int]] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is permitted."""
        return not any(self.classes.values())


def classes_of(tx: Transaction, resource_type: str | None = None) -> dict[int, ResourceClass]:
    """Every class that this node has met, or those of one type, by number."""
    rows = tx.rows(_CLASSES, {}) if resource_type is None else tx.rows(_CLASSES_OF_TYPE, {"of_type": resource_type})
    return {row.class_id: class_of(row.type, row.sensitivity, row.category, row.jurisdiction) for row in rows}


def consents_of(tx: Transaction, sids: Iterable[int] | None = None) -> list[str]:
    """Every consent class that a subject here has, or that one of ``sids`` has."""
    rows = tx.rows(_CONSENTS, {}) if sids is None else rows_among(tx, _CONSENTS_OF_SUBJECTS, "sids", sids)
    return sorted(row.consent for row in rows)


def _each_consent() -> Select[Any]:
    """Every consent class by its index, from one to the next: few classes stand in very many rows."""
    first = select(func.min(subjects.c.consent).label("consent")).cte("consents", recursive=True)
    following = select(func.min(subjects.c.consent)).where(subjects.c.consent > first.c.consent).scalar_subquery()
    all_of_them = first.union_all(select(following).where(first.c.consent.is_not(None)))
    return select(all_of_them.c.consent).where(all_of_them.c.consent.is_not(None))


_CONSENTS = _each_consent()
_CONSENTS_OF_SUBJECTS = select(subjects.c.consent).distinct().where(among(subjects.c.sid, "sids"))
_CLASSES = select(classes)
_CLASSES_OF_TYPE = _CLASSES.where(classes.c.type == bindparam("of_type"))


def is_permitted(permitted: Permitted) -> ColumnElement[bool]:
    """The caller's rights as a condition; texts that permit the same are one, for there may be as many as persons."""
    if permitted.is_whole:
        return true()
    texts: dict[frozenset[int], list[str]] = {}
    for consent, numbers in sorted(permitted.classes.items()):
        if numbers:
            texts.setdefault(numbers, []).append(consent)
    return or_(
        false(),
        *(
            and_(
                among_values(subjects.c.consent.concat(""), consents),
                among_values(resources.c.class_id, sorted(numbers)),
            )
            for numbers, consents in texts.items()
        ),
    )

"""Erasures that were carried out here, by the reference of their case: whose, when, how much. No name, no identity."""

from dataclasses import dataclass

from sqlalchemy import insert, select

from health_exchange.model.identifiers import Pseudonym
from health_exchange.store.schema import erasures
from health_exchange.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One erasure: its case, the person, when it was, and how many resources were destroyed."""

    case_reference: str
    pseudonym: Pseudonym
    erased_at: str
    resources: int


def of_case(tx: Transaction, case_reference: str) -> Erasure | None:
    """The erasure of a case; ``None`` where there was none."""
    row = tx.execute(select(erasures).where(erasures.c.case_reference == case_reference)).one_or_none()
    if row is None:
        return None
    return Erasure(
        case_reference=row.case_reference,
        pseudonym=row.pseudonym,
        erased_at=row.erased_at,
        resources=row.resources,
    )


def add(tx: Transaction, erasure: Erasure) -> None:
    """Keep that an erasure was carried out; a case has one."""
    tx.execute(
        insert(erasures).values(
            case_reference=erasure.case_reference,
            pseudonym=erasure.pseudonym,
            erased_at=erasure.erased_at,
            resources=erasure.resources,
        )
    )

"""Records to search, and searches for them."""

from sqlalchemy import func, select
from tests.tombstones import delete_resource

from health_exchange.search.finding import find, total
from health_exchange.search.permission import Permitted
from health_exchange.search.query import parse_pairs
from health_exchange.store import resources
from health_exchange.store.engine import Store
from health_exchange.store.schema import resources as resources_table

LOINC = "http://loinc.org"
ANNE, BO = "a" * 26, "b" * 26


def observation(
    number: int, *, patient: str = "p1", code: str = "4548-4", date: str = "2024-05-06"
) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "identifier": [{"system": "urn:lab", "value": f"L{number}"}, {"value": "plain"}],
        "category": [{"coding": [{"system": "urn:categories", "code": "laboratory"}]}],
        "code": {
            "coding": [{"system": LOINC, "code": code}, {"system": "urn:local", "code": "HBA1C"}, {"code": "bare"}]
        },
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": date,
    }


def kept(store: Store) -> int:
    """How many resources there are."""
    rows = select(func.count()).select_from(resources_table)
    return store.read_now(lambda tx: int(tx.execute(rows).scalar_one()))


def ask(store: Store, permitted: Permitted, *pairs: tuple[str, str], kind: str = "Observation") -> list[str]:
    query = parse_pairs(kind, pairs)
    return store.read_now(lambda tx: [found.id for found in find(tx, query, permitted).resources])


def count(store: Store, permitted: Permitted, *pairs: tuple[str, str]) -> int | None:
    query = parse_pairs("Observation", pairs)
    return store.read_now(lambda tx: total(tx, query, permitted))


def delete(store: Store, resource_id: str) -> None:
    kept = store.read_now(lambda tx: resources.current(tx, "Observation", resource_id))
    if kept is not None and not kept.deleted:
        store.write_now(
            lambda tx: delete_resource(tx, kept, version=kept.version + 1, changed_at="2026-01-02T00:00:00+00:00")
        )

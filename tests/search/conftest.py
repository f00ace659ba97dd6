"""A real store with a few people's records, indexed as admission does it."""

import json
from collections.abc import Callable, Iterator
from random import Random

import pytest
from tests.databases import NewDatabase
from tests.extraction import extract

from health_exchange.fhir.parameters import instant_of
from health_exchange.model.clock import SystemClock
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.search.permission import Permitted, classes_of, consents_of
from health_exchange.search.tokens import tokens_of
from health_exchange.store import resources, subjects
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Store, StoreKeys, Transaction

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
ORIGIN = "cn/33/3305/330521"

Keep = Callable[..., int]


@pytest.fixture
def store(new_database: NewDatabase) -> Iterator[Store]:
    opened = Store.open(new_database(), KEYS, SystemClock(), Random(1).randbytes, inline=True)
    yield opened
    opened.close()


@pytest.fixture
def keep(store: Store) -> Keep:
    """Keeps a resource of a person: ``keep({...}, person="a" * 26, sensitivity=3)``."""

    def kept(
        resource: dict[str, object],
        *,
        person: str | None = None,
        sensitivity: int = 3,
        changed_at: str = "2026-01-01T00:00:00+00:00",
    ) -> int:
        def write(tx: Transaction) -> int:
            resource_type, resource_id = str(resource["resourceType"]), str(resource["id"])
            now = resources.current(tx, resource_type, resource_id)
            sid = subjects.find_or_make_subject(tx, pseudonym=Pseudonym(person)).sid if person else None
            return resources.put(
                tx,
                resources.NewVersion(
                    type=resource_type,
                    id=resource_id,
                    sid=sid,
                    origin=ORIGIN,
                    version=now.version + 1 if now else 1,
                    resource_class=ResourceClass(
                        type=resource_type,
                        sensitivity=Sensitivity(sensitivity),
                        category=SensitiveCategory.GENERAL,
                        jurisdiction=ORIGIN,
                    ),
                    changed_at=changed_at,
                    instant=instant_of(resource),
                    tokens=tokens_of(KEYS.tokens, resource_type, extract(resource)),
                    packed=pack_body(str(resource["resourceType"]), json.dumps(resource).encode()),
                ),
            )

        return store.write_now(write)

    return kept


@pytest.fixture
def permit(store: Store) -> Callable[[int], Permitted]:
    """What a caller up to some sensitivity may see."""

    def permitted(sensitivity_max: int) -> Permitted:
        def ask(tx: Transaction) -> Permitted:
            allowed = frozenset(
                number for number, known in classes_of(tx).items() if known.sensitivity <= sensitivity_max
            )
            return Permitted(classes=dict.fromkeys(consents_of(tx), allowed))

        return store.read_now(ask)

    return permitted

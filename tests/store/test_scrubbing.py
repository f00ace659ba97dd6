"""After a shredding and a scrub, no file of the database holds the key or the bodies any more."""

import random
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.secrecy import Secret
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.store import resources, shredding, subjects
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Store, StoreKeys, Transaction
from health_exchange.store.resources import NewVersion
from health_exchange.store.schema import resources as resources_table
from health_exchange.store.schema import subjects as subjects_table

P = Pseudonym("abcdefghijklmnopqrstuvwxyz")


class Noon:
    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, tzinfo=UTC)


def fill(tx: Transaction) -> None:
    subject = subjects.find_or_make_subject(tx, anchor="Patient/p1", pseudonym=P)
    resource_class = ResourceClass(
        type="Observation",
        sensitivity=Sensitivity.CLINICAL,
        category=SensitiveCategory.GENERAL,
        jurisdiction="cn/33/3305/330521",
    )
    for version in (1, 2):
        resources.put(
            tx,
            NewVersion(
                type="Observation",
                id="o1",
                sid=subject.sid,
                origin="cn/33/3305/330521",
                version=version,
                resource_class=resource_class,
                changed_at="2026-11-24T12:00:00+00:00",
                instant=None,
                packed=pack_body("Observation", b'{"resourceType":"Observation"}' * 20),
            ),
        )


def secrets_of(tx: Transaction) -> list[bytes]:
    wrapped = tx.execute(select(subjects_table.c.key_wrapped).where(subjects_table.c.pseudonym == P)).scalars()
    return [*wrapped, *tx.execute(select(resources_table.c.body)).scalars()]


def test_no_file_holds_what_was_shredded(tmp_path: Path) -> None:
    path = tmp_path / "node.sqlite"
    dice = random.Random(1)
    keys = StoreKeys(at_rest=Secret(b"a" * 32), tokens=Secret(b"t" * 32))
    store = Store.open(f"sqlite:///{path}", keys, Noon(), dice.randbytes, inline=True)
    store.write_now(fill)
    secrets = store.read_now(secrets_of)
    assert len(secrets) == 2
    before = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert all(secret in before for secret in secrets)

    store.write_now(lambda tx: shredding.shred(tx, P))
    assert store.scrub()

    after = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [secret for secret in secrets if secret in after]
    store.close()

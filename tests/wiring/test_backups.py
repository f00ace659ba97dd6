"""Backups: what comes back is what was there, and a file that was changed, cut off or another's is refused by name."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table, create_engine, insert, select, update
from tests.databases import KINDS, PostgresqlServer
from tests.federation.network import SMALL, ceremony_of

from health_exchange.crypto.sealing import SealBrokenError
from health_exchange.model.addresses import NodeAddress
from health_exchange.model.errors import ExchangeError
from health_exchange.model.identifiers import Pseudonym
from health_exchange.model.sensitivity import ResourceClass, SensitiveCategory, Sensitivity
from health_exchange.store import (
    answered,
    backup,
    incarnations,
    migrations,
    node_state,
    resources,
    schema,
    shredding,
    subjects,
    token_index,
)
from health_exchange.store.archive import BadBackupError, Frame, Part
from health_exchange.store.bodies import pack_body
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.migrations import SchemaError
from health_exchange.store.restoration import NotEmptyError
from health_exchange.store.token_lists import TokenList
from health_exchange.wiring import backups
from health_exchange.wiring.inspection import open_store
from health_exchange.wiring.settings import Settings

COUNTY = NodeAddress.parse("cn/33/3305/330521")
PERSON, OTHER = Pseudonym("a" * 26), Pseudonym("b" * 26)
CLASS = ResourceClass(
    type="Observation", sensitivity=Sensitivity.CLINICAL, category=SensitiveCategory.GENERAL, jurisdiction=str(COUNTY)
)


def settings_of(folder: Path, name: str, address: NodeAddress = COUNTY) -> Settings:
    """What a backup needs of a node's settings."""
    keys = folder / f"{str(address).replace('/', '-')}.keys.json"
    keys.write_bytes(ceremony_of(SMALL).keys[address].to_json())
    return Settings(
        address=str(address),
        fhir_port=1,
        exchange_port=2,
        database=f"sqlite:///{folder / name}",
        nation_key=b"",
        keys=str(keys),
        directory="",
        directory_signature="",
        authority="",
        certificate="",
        certificate_key="",
        clients="",
    )


def keep(tx: Transaction, anchor: str, person: Pseudonym, resource_id: str) -> None:
    subject = subjects.find_or_make_subject(tx, anchor=anchor, pseudonym=person)
    resources.put(
        tx,
        resources.NewVersion(
            type="Observation",
            id=resource_id,
            sid=subject.sid,
            origin=str(COUNTY),
            version=1,
            resource_class=CLASS,
            changed_at="2026-01-01T00:00:00Z",
            instant="2026-01-01",
            tokens=(1, -(2**62)),
            packed=pack_body("Observation", b'{"resourceType":"Observation"}'),
        ),
    )


def value_for(column: Column[Any], number: int) -> object:
    """A value that a column takes."""
    if isinstance(column.type, TokenList):
        return [number, -number]
    if isinstance(column.type, Boolean):
        return bool(number % 2)
    if isinstance(column.type, Integer):
        return number + (2**40 if isinstance(column.type, BigInteger) else 0)
    if isinstance(column.type, LargeBinary):
        return number.to_bytes(2) + bytes((0, 255))
    return f"值-{number}"


def fill(tx: Transaction, table: Table, rows: int = 3) -> None:
    """Some rows of any table."""
    made = [{column.name: value_for(column, number) for column in table.columns} for number in range(1, rows + 1)]
    tx.connection.execute(insert(table), made)


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    return store.read_now(
        lambda tx: {
            table.name: sorted((tuple(row) for row in tx.execute(select(table))), key=repr)
            for table in (*backup.tables_of("bulk"), *backup.tables_of("keys"))
        }
    )


def database(request: pytest.FixtureRequest, path: Path, kind: str) -> str:
    """A new database of a kind."""
    if kind == "sqlite":
        return f"sqlite:///{path}"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.url(server.new_database())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a node's database, a recovery key and a backup, made once."""
    folder = tmp_path_factory.mktemp("made")
    settings = settings_of(folder, "node.sqlite")
    store = open_store(settings)
    store.write_now(node_state.own_stream)
    store.write_now(lambda tx: keep(tx, "Patient/p1", PERSON, "o1"))
    store.write_now(lambda tx: keep(tx, "Patient/p2", OTHER, "o2"))
    store.close()
    backups.make_recovery_key(folder / "recovery")
    back_up(settings, folder, folder / "recovery")
    return folder


@pytest.fixture
def recovery(tmp_path: Path, made: Path) -> Path:
    """The private half; the public one is beside it."""
    for name in ("recovery", "recovery.pub"):
        shutil.copy(made / name, tmp_path / name)
    return tmp_path / "recovery"


@pytest.fixture
def settings(tmp_path: Path, made: Path) -> Settings:
    shutil.copy(made / "node.sqlite", tmp_path / "node.sqlite")
    return settings_of(tmp_path, "node.sqlite")


def back_up(settings: Settings, folder: Path, recovery: Path, *, keys_only: bool = False) -> dict[str, Path]:
    public = recovery.with_name("recovery.pub")
    done = backups.back_up(settings, folder / "backups", public, keys_only=keys_only)
    return {each.header.part: each.path for each in done}


def bodies(settings: Settings) -> set[str]:
    """Ids of the resources whose bodies open."""
    store = open_store(settings)
    try:
        return store.read_now(
            lambda tx: {
                resources.opened(tx, row).id
                for row in tx.execute(resources.CURRENT)
                if resources.opened(tx, row).body is not None
            }
        )
    finally:
        store.close()


@pytest.mark.parametrize(("one", "other"), [(one, other) for one in KINDS for other in KINDS])
def test_every_row_of_every_table_comes_back_in_whichever_database(
    request: pytest.FixtureRequest, tmp_path: Path, recovery: Path, one: str, other: str
) -> None:
    here, there = (
        msgspec.structs.replace(settings_of(tmp_path, name), database=database(request, tmp_path / name, kind))
        for name, kind in (("here.sqlite", one), ("there.sqlite", other))
    )
    store = open_store(here)
    for table in (*backup.tables_of("bulk"), *backup.tables_of("keys")):
        store.write_now(partial(fill, table=table, rows=backup.ROWS + 3))
    # No key of generated rows opens, and a restore tries one.
    store.write_now(lambda tx: tx.execute(update(schema.subjects).values(key_wrapped=None)))
    store.write_now(lambda tx: tx.execute(update(schema.audit_periods).values(key_wrapped=None)))
    before = everything(store)
    files = back_up(here, tmp_path, recovery)
    backups.restore(there, recovery, bulk=files["bulk"], keys=files["keys"])
    restored = open_store(there)
    after = everything(restored)

    rewritten = {"node_state", "sequences"}
    assert {name: rows for name, rows in after.items() if name not in rewritten} == {
        name: rows for name, rows in before.items() if name not in rewritten
    }
    for name in rewritten:
        kept = {row[0] for row in before[name]}
        assert kept <= {row[0] for row in after[name]}
    found = restored.read_now(
        lambda tx: tx.execute(select(schema.resources.c.rid).where(token_index.has_token(tx, [-7]))).scalars().all()
    )
    assert found == [2**40 + 7]
    store.close()
    restored.close()


def test_a_backup_is_one_state_although_the_node_goes_on_writing(
    tmp_path: Path, recovery: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = open_store(settings)
    real = backup.frames

    def frames_while_writing(tx: Transaction, part: Part) -> Iterator[Frame]:
        node.write_now(lambda writing: keep(writing, f"Patient/late-{part}", PERSON, f"late-{part}"))
        return real(tx, part)

    monkeypatch.setattr(backup, "frames", frames_while_writing)
    files = back_up(settings, tmp_path, recovery)
    monkeypatch.undo()
    node.close()
    restored = settings_of(tmp_path, "restored.sqlite")
    backups.restore(restored, recovery, bulk=files["bulk"], keys=files["keys"])

    assert bodies(settings) == {"o1", "o2", "late-bulk", "late-keys"}
    assert bodies(restored) == {"o1", "o2"}


def test_a_restored_database_is_a_new_incarnation(tmp_path: Path, recovery: Path, settings: Settings) -> None:
    store = open_store(settings)
    before = store.write_now(node_state.own_stream)
    store.close()
    files = back_up(settings, tmp_path, recovery)
    restored = settings_of(tmp_path, "restored.sqlite")
    done = backups.restore(restored, recovery, bulk=files["bulk"], keys=files["keys"])
    store = open_store(restored)

    assert done.rejoining.stream == before
    assert store.write_now(node_state.own_stream) != before
    assert store.read_now(incarnations.current) > 1_700_000_000
    assert [life.number for life in store.read_now(incarnations.lives)] == [0, store.read_now(incarnations.current)]
    store.close()
    with pytest.raises(BadBackupError, match="has not rejoined"):
        back_up(restored, tmp_path, recovery)


def test_who_was_erased_since_is_gone_with_the_younger_keys(tmp_path: Path, recovery: Path, settings: Settings) -> None:
    bulk = back_up(settings, tmp_path, recovery)["bulk"]
    store = open_store(settings)
    store.write_now(lambda tx: shredding.shred(tx, PERSON))
    store.write_now(lambda tx: keep(tx, "Patient/p3", OTHER, "o3"))
    store.close()
    keys = back_up(settings, tmp_path, recovery, keys_only=True)["keys"]
    restored = settings_of(tmp_path, "restored.sqlite")
    backups.restore(restored, recovery, bulk=bulk, keys=keys)

    assert bodies(restored) == {"o2"}
    store = open_store(restored)
    everybody = everything(store)
    store.write_now(lambda tx: keep(tx, "Patient/p4", PERSON, "o4"))  # with a row number that nobody has
    store.close()
    assert PERSON not in repr(everybody["subjects"])
    assert {row[2] for row in everybody["resources"]} == {"o2"}
    assert bodies(restored) == {"o2", "o4"}


def test_what_was_answered_after_the_bulk_is_carried_out_again(
    tmp_path: Path, recovery: Path, settings: Settings
) -> None:
    store = open_store(settings)
    store.write_now(lambda tx: answered.keep(tx, "before", b"d" * 32, b"answer"))
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    store.write_now(lambda tx: tx.execute(update(schema.answered).values(kept_at=old)))
    store.close()
    bulk = back_up(settings, tmp_path, recovery)["bulk"]
    store = open_store(settings)
    store.write_now(lambda tx: answered.keep(tx, "since", b"d" * 32, b"answer"))
    store.close()
    keys = back_up(settings, tmp_path, recovery, keys_only=True)["keys"]
    restored = settings_of(tmp_path, "restored.sqlite")
    backups.restore(restored, recovery, bulk=bulk, keys=keys)

    store = open_store(restored)
    kept = {key for key in ("before", "since") if store.read_now(lambda tx, key=key: answered.answer_of(tx, key))}  # type: ignore[misc]  # bound as a default
    store.close()
    assert kept == {"before"}


def test_half_a_restore_is_not_backed_up(tmp_path: Path, recovery: Path, settings: Settings) -> None:
    store = open_store(settings)
    store.write_now(lambda tx: node_state.put(tx, incarnations.LOADING, b"underway"))
    store.close()
    with pytest.raises(ExchangeError, match="broken off"):
        back_up(settings, tmp_path, recovery, keys_only=True)
    assert not list((tmp_path / "backups").glob("*"))


def flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes((raw[place] ^ 1,)) + raw[place + 1 :]


@pytest.mark.parametrize(
    ("part", "harm"),
    [
        *((part, lambda raw, at=at: flip(raw, len(raw) * at // 20)) for part in ("bulk", "keys") for at in range(20)),
        *(
            (part, lambda raw, keep=keep: raw[: len(raw) * keep // 10])
            for part in ("bulk", "keys")
            for keep in range(10)
        ),
        *((part, lambda raw: raw + b"\0") for part in ("bulk", "keys")),
        ("bulk", lambda _raw: b"PK\3\4 something else"),
    ],
)
def test_a_harmed_file_is_refused_and_nothing_is_loaded(
    tmp_path: Path, made: Path, recovery: Path, part: str, harm: Callable[[bytes], bytes]
) -> None:
    files = {kind: next((made / "backups").glob(f"*.{kind}")) for kind in ("bulk", "keys")}
    harmed = tmp_path / files[part].name
    harmed.write_bytes(harm(files[part].read_bytes()))
    files[part] = harmed
    restored = settings_of(tmp_path, "restored.sqlite")
    with pytest.raises(BadBackupError, match=harmed.name):
        backups.restore(restored, recovery, bulk=files["bulk"], keys=files["keys"])
    assert not (tmp_path / "restored.sqlite").exists()


def test_what_does_not_belong_together_is_refused_in_words(tmp_path: Path, recovery: Path, settings: Settings) -> None:
    files = back_up(settings, tmp_path, recovery)
    later = back_up(settings, tmp_path, recovery)
    other = tmp_path / "other"
    backups.make_recovery_key(other)
    elsewhere = settings_of(tmp_path, "restored.sqlite", NodeAddress.parse("cn/51/5100"))
    here = settings_of(tmp_path, "restored.sqlite")
    refused: list[tuple[Settings, Path, Path, Path, str]] = [
        (elsewhere, recovery, files["bulk"], files["keys"], "is of cn/33/3305/330521, the settings are of cn/51/5100"),
        (here, other, files["bulk"], files["keys"], "sealed for another recovery key"),
        (here, recovery, files["keys"], files["bulk"], "keys and bulk were given"),
        (here, recovery, later["bulk"], files["keys"], "are older than the bulk"),
        (here, recovery.with_name("recovery.pub"), files["bulk"], files["keys"], "not a file that begins with"),
        (here, recovery, tmp_path / "nothing", files["keys"], "No such file"),
    ]
    for settings_, key, bulk, keys, words in refused:
        with pytest.raises(BadBackupError, match=words):
            backups.restore(settings_, key, bulk=bulk, keys=keys)
    with pytest.raises(NotEmptyError):
        backups.restore(settings, recovery, bulk=files["bulk"], keys=files["keys"])


def test_another_nodes_key_set_does_not_open_what_was_restored(
    tmp_path: Path, recovery: Path, settings: Settings
) -> None:
    files = back_up(settings, tmp_path, recovery)
    restored = settings_of(tmp_path, "restored.sqlite")
    Path(restored.keys).write_bytes(ceremony_of(SMALL).keys[NodeAddress.parse("cn")].to_json())
    with pytest.raises(SealBrokenError):
        backups.restore(restored, recovery, bulk=files["bulk"], keys=files["keys"])


def test_a_backup_says_nothing_of_what_it_holds_and_only_its_owner_reads_it(
    tmp_path: Path, recovery: Path, settings: Settings
) -> None:
    files = back_up(settings, tmp_path, recovery)

    for path in files.values():
        raw = path.read_bytes()
        assert not any(word in raw for word in (PERSON.encode(), b"Patient/p1", b"Observation", b"subjects"))
        assert path.stat().st_mode & 0o077 == 0
    assert recovery.stat().st_mode & 0o077 == 0
    assert not list((tmp_path / "backups").glob(".*"))


def test_a_recovery_key_is_never_written_over(recovery: Path) -> None:
    before = recovery.read_bytes()
    with pytest.raises(ExchangeError, match="is there already"):
        backups.make_recovery_key(recovery)
    assert recovery.read_bytes() == before


def test_the_snapshots_instant_is_in_the_header(tmp_path: Path, recovery: Path, settings: Settings) -> None:
    (written,) = backups.back_up(settings, tmp_path / "b", recovery.with_name("recovery.pub"), keys_only=True)
    age = datetime.now().astimezone() - datetime.fromisoformat(written.header.taken_at)

    assert timedelta(0) <= age < timedelta(minutes=1)
    assert os.fspath(written.path).endswith(".keys")


def test_what_works_beside_a_node_leaves_its_schema_alone(tmp_path: Path, recovery: Path, settings: Settings) -> None:
    migrations.downgrade(settings.database, "0010")
    for attempt in (lambda: open_store(settings), lambda: back_up(settings, tmp_path, recovery)):
        with pytest.raises(SchemaError, match="run health-exchange database upgrade"):
            attempt()
    with create_engine(settings.database).connect() as connection:
        assert migrations.standing_of(connection).revision == "0010"
        connection.engine.dispose()

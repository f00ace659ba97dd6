"""Who waits for a pseudonym: a subject once, with its latest identity, until it is resolved."""

from tests.store.troubles import SECRET, check_all_or_nothing_on_a_full_disk, check_all_or_nothing_while_locked

from health_exchange.store import pending
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.pending import PendingIdentity


def waiting(store: Store, limit: int = 100) -> list[PendingIdentity]:
    return store.read_now(lambda tx: pending.waiting(tx, limit))


def test_a_subject_waits_with_what_was_sealed(store: Store) -> None:
    store.write_now(lambda tx: pending.add(tx, b"tag", 1, b"sealed"))
    assert waiting(store) == [PendingIdentity(tag=b"tag", sid=1, sealed=b"sealed")]


def test_a_subject_waits_for_its_latest_identity_only(store: Store) -> None:
    store.write_now(lambda tx: pending.add(tx, b"a", 1, b"first"))
    store.write_now(lambda tx: pending.add(tx, b"b", 1, b"second"))
    store.write_now(lambda tx: pending.add(tx, b"b", 1, b"third"))
    assert waiting(store) == [PendingIdentity(tag=b"b", sid=1, sealed=b"third")]
    assert store.read_now(pending.count) == 1


def test_two_subjects_may_wait_for_one_identity_and_one_of_them_is_resolved_alone(store: Store) -> None:
    for sid in (2, 1):
        store.write_now(lambda tx, sid=sid: pending.add(tx, b"tag", sid, b"sealed"))  # type: ignore[misc]  # bound as a default
    assert store.read_now(pending.count) == 2
    store.write_now(lambda tx: pending.resolved(tx, 1))
    assert [one.sid for one in waiting(store)] == [2]


def test_the_waiting_come_by_subject_and_no_more_than_asked(store: Store) -> None:
    for sid in (5, 3, 4, 1):
        store.write_now(lambda tx, sid=sid: pending.add(tx, b"%d" % sid, sid, b"sealed"))  # type: ignore[misc]  # bound as a default
    assert [one.sid for one in waiting(store)] == [1, 3, 4, 5]
    assert [one.sid for one in waiting(store, limit=2)] == [1, 3]
    assert store.read_now(pending.count) == 4


def test_who_does_not_wait_may_be_resolved(store: Store) -> None:
    store.write_now(lambda tx: pending.resolved(tx, 1))
    assert (waiting(store), store.read_now(pending.count)) == ([], 0)


def test_a_locked_database_leaves_the_former_identity_waiting(store: Store, database: str) -> None:
    store.write_now(lambda tx: pending.add(tx, b"a", 1, b"first"))
    check_all_or_nothing_while_locked(store, database, lambda tx: pending.add(tx, b"b", 1, SECRET))


def test_a_full_disk_leaves_the_former_identity_waiting(sqlite_store: Store) -> None:
    sqlite_store.write_now(lambda tx: pending.add(tx, b"a", 1, b"first"))

    def write(tx: Transaction) -> None:
        pending.add(tx, b"b", 1, SECRET * 100_000)

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)

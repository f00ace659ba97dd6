"""Where each resource stands with those above: the last word counts, and the counts are of the last words."""

from tests.store.troubles import SECRET, check_all_or_nothing_on_a_full_disk, check_all_or_nothing_while_locked

from health_exchange.model.addresses import NodeAddress
from health_exchange.store import exports
from health_exchange.store.engine import Store, Transaction
from health_exchange.store.exports import Standing
from health_exchange.store.transaction import IN_MAX

NATION, PROVINCE = NodeAddress.parse("cn"), NodeAddress.parse("cn/33")


def sent(rid: int, *recipients: NodeAddress, version: int = 1) -> Standing:
    return Standing(rid=rid, version=version, recipients=frozenset(recipients), held="")


def held(rid: int, reason: str, version: int = 1) -> Standing:
    return Standing(rid=rid, version=version, recipients=frozenset(), held=reason)


def test_a_standing_comes_back_as_it_was_recorded(store: Store) -> None:
    rows = [sent(1, NATION, PROVINCE), sent(2, PROVINCE, version=7), held(3, "policy"), sent(4)]
    store.write_now(lambda tx: exports.record(tx, rows))
    assert store.read_now(lambda tx: exports.standings(tx, [1, 2, 3, 4, 5])) == {row.rid: row for row in rows}
    assert store.read_now(lambda tx: exports.standings(tx, [])) == {}


def test_the_last_word_on_a_resource_counts_in_one_call_and_over_calls(store: Store) -> None:
    store.write_now(lambda tx: exports.record(tx, [held(1, "identity"), sent(1, PROVINCE), held(2, "policy")]))
    assert store.read_now(lambda tx: exports.standings(tx, [1])) == {1: sent(1, PROVINCE)}
    again = [held(1, "policy", version=2), sent(3, NATION), sent(2, NATION, version=3)]
    store.write_now(lambda tx: exports.record(tx, again))
    assert store.read_now(lambda tx: exports.standings(tx, [1, 2, 3])) == {row.rid: row for row in again}


def test_recording_nothing_writes_nothing(store: Store) -> None:
    store.write_now(lambda tx: exports.record(tx, []))
    assert store.read_now(exports.held_counts) == {}


def test_more_resources_than_one_question_may_name_are_all_found_and_all_updated(store: Store) -> None:
    count = 2 * IN_MAX + 1
    store.write_now(lambda tx: exports.record(tx, [sent(rid, NATION) for rid in range(count)]))
    assert len(store.read_now(lambda tx: exports.standings(tx, range(count)))) == count
    store.write_now(lambda tx: exports.record(tx, [held(rid, "policy", version=2) for rid in range(count)]))
    found = store.read_now(lambda tx: exports.standings(tx, range(count)))
    assert {row.version for row in found.values()} == {2}


def test_counts_are_by_reason_and_by_recipient(store: Store) -> None:
    rows = [
        sent(1, NATION, PROVINCE),
        sent(2, PROVINCE),
        sent(3, NATION, PROVINCE),
        sent(4),
        held(5, "policy"),
        held(6, "policy"),
        held(7, "identity"),
    ]
    store.write_now(lambda tx: exports.record(tx, rows))
    assert store.read_now(exports.held_counts) == {"policy": 2, "identity": 1}
    assert store.read_now(exports.shared_counts) == {"cn": 2, "cn/33": 3}
    store.write_now(lambda tx: exports.record(tx, [sent(5, NATION, version=2)]))
    assert store.read_now(exports.held_counts) == {"policy": 1, "identity": 1}
    assert store.read_now(exports.shared_counts) == {"cn": 3, "cn/33": 3}


def test_a_locked_database_keeps_the_standings_of_before(store: Store, database: str) -> None:
    store.write_now(lambda tx: exports.record(tx, [held(1, "identity")]))
    check_all_or_nothing_while_locked(
        store, database, lambda tx: exports.record(tx, [sent(1, NATION), sent(2, NATION)])
    )


def test_a_full_disk_keeps_the_standings_of_before(sqlite_store: Store) -> None:
    sqlite_store.write_now(lambda tx: exports.record(tx, [held(1, "identity")]))

    def write(tx: Transaction) -> None:
        exports.record(tx, [sent(1, NATION)])
        exports.record(tx, [held(rid, SECRET.decode(), version=rid) for rid in range(2, 3000)])

    check_all_or_nothing_on_a_full_disk(sqlite_store, write)

"""A database is one running node's: a second is refused, and one that was displaced writes nothing more."""

import os
from collections.abc import Callable, Iterator

import pytest
from tests.databases import NODE_ROLE, NewDatabase, PostgresqlServer, running_server

from health_exchange.model.addresses import NodeAddress
from health_exchange.model.clock import SystemClock
from health_exchange.model.errors import UnavailableError
from health_exchange.model.secrecy import Secret
from health_exchange.store import node_state
from health_exchange.store.database import BadDatabaseError, DatabaseTakenError
from health_exchange.store.engine import Store, StoreKeys
from health_exchange.store.opening import open_database

KEYS = StoreKeys(at_rest=Secret(b"k" * 32), tokens=Secret(b"t" * 32))
OpenStore = Callable[[str], Store]


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    opened: list[Store] = []

    def make(url: str) -> Store:
        opened.append(Store.open(url, KEYS, SystemClock(), os.urandom))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def put(store: Store, name: str) -> None:
    store.write_now(lambda tx: node_state.put(tx, name, b"x"))


def is_kept(store: Store, name: str) -> bool:
    return store.read_now(lambda tx: node_state.get(tx, name)) is not None


def test_a_second_node_is_refused_and_the_first_goes_on(new_database: NewDatabase, open_store: OpenStore) -> None:
    url = new_database()
    first, second = open_store(url), open_store(url)
    first.claim("run-1")
    with pytest.raises(DatabaseTakenError):
        second.claim("run-2")
    put(first, "a")
    assert is_kept(first, "a")


def test_who_ended_leaves_the_database_to_the_next(new_database: NewDatabase, open_store: OpenStore) -> None:
    url = new_database()
    first = open_store(url)
    first.claim("run-1")
    first.close()
    second = open_store(url)
    second.claim("run-2")
    put(second, "a")
    assert is_kept(second, "a")


def test_a_nodes_further_processes_write_under_its_claim(new_database: NewDatabase, open_store: OpenStore) -> None:
    url = new_database()
    node, door = open_store(url), open_store(url)
    node.claim("run-1")
    door.join("run-1")
    put(door, "a")
    put(node, "b")
    assert is_kept(door, "b")


def test_a_database_says_whose_it_is(new_database: NewDatabase, open_store: OpenStore) -> None:
    store = open_store(new_database())
    mine, other = NodeAddress.parse("cn/33"), NodeAddress.parse("cn/51")
    assert store.write_now(lambda tx: node_state.owner(tx, mine)) == mine
    assert store.write_now(lambda tx: node_state.owner(tx, other)) == mine


def test_another_kind_of_database_is_refused_by_name() -> None:
    with pytest.raises(BadDatabaseError, match="not in mysql"):
        open_database("mysql://somewhere/node")
    with pytest.raises(BadDatabaseError, match="no URL"):
        open_database("node.sqlite")


class TestOnPostgresql:
    """What happens to claims when the server takes connections away; files lose theirs with the process only."""

    @pytest.fixture
    def url(self, postgresql: PostgresqlServer) -> str:
        return postgresql.url(postgresql.new_database(), NODE_ROLE)

    @staticmethod
    def cut_all(server: PostgresqlServer) -> None:
        """What a restart of the server does to everybody."""
        server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{NODE_ROLE}'"  # noqa: S608  # a role of ours
        )

    def test_what_is_read_when_the_server_has_taken_all_connections_away_is_read_again(
        self, url: str, open_store: OpenStore, postgresql: PostgresqlServer
    ) -> None:
        store = open_store(url)
        put(store, "a")
        assert is_kept(store, "a")
        self.cut_all(postgresql)
        assert is_kept(store, "a")

    def test_a_node_that_was_displaced_writes_nothing_more(
        self, url: str, open_store: OpenStore, postgresql: PostgresqlServer
    ) -> None:
        first = open_store(url)
        first.claim("run-1")
        put(first, "a")
        self.cut_all(postgresql)
        second = open_store(url)
        second.claim("run-2")
        for _attempt in range(3):
            with pytest.raises((DatabaseTakenError, UnavailableError)):
                put(first, "b")
        with pytest.raises(DatabaseTakenError):
            put(first, "b")
        assert not is_kept(second, "b")
        put(second, "c")

    def test_a_further_process_of_an_earlier_run_writes_nothing_once_another_has_claimed(
        self, url: str, open_store: OpenStore
    ) -> None:
        node, door = open_store(url), open_store(url)
        node.claim("of the release before")
        door.join("of the release before")
        node.close()
        put(door, "a")
        open_store(url).claim("of this release")
        with pytest.raises(DatabaseTakenError):
            put(door, "b")

    def test_a_node_claims_its_database_again_when_the_server_is_back(
        self, url: str, open_store: OpenStore, postgresql: PostgresqlServer
    ) -> None:
        first = open_store(url)
        first.claim("run-1")
        self.cut_all(postgresql)
        put(first, "a")
        self.cut_all(postgresql)
        assert is_kept(first, "a")
        put(first, "b")
        second = open_store(url)
        with pytest.raises(DatabaseTakenError):
            second.claim("run-2")

    def test_a_node_whose_server_is_away_says_so_as_often_as_it_is_asked(self, open_store: OpenStore) -> None:
        with running_server() as server:
            store = open_store(server.url(server.new_database(), NODE_ROLE))
            store.claim("run-1")
            server.stop("immediate")
            for _attempt in range(3):
                with pytest.raises(UnavailableError):
                    put(store, "a")
            server.start()
            put(store, "a")

    def test_a_value_that_a_column_does_not_take_fails_its_own_write_only(
        self, url: str, open_store: OpenStore
    ) -> None:
        from health_exchange.store.database import UnkeepableError

        store = open_store(url)
        with pytest.raises(UnkeepableError):
            put(store, "nul\0")
        put(store, "a")
